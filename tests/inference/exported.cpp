// A network from a header: its parameters and its logits are, bit for bit, those that export_network.cpp noted. Compiled
// without exceptions and type information, and without Eigen.
//
//     exported DIRECTORY
#include "in_float.hpp"
#include "in_float.hpp"  // twice does no harm
#include "in_double.hpp"
#include "in_int8.hpp"
#include "of_bytes.hpp"
// What the standard library brings must not be what makes it compile.
#include <cstdio>
#include <cstring>
#include <string>

namespace {

template <class T>
bool read(std::FILE* file, T* values, std::size_t count) {
  return std::fread(values, sizeof(T), count, file) == count;
}

// Whether the file goes on with these.
template <class T, std::size_t N>
bool same(std::FILE* file, const std::array<T, N>& values, const char* what) {
  static std::array<T, N> expected;
  if (!read(file, expected.data(), N)) return false;
  for (std::size_t i = 0; i < N; ++i) {
    if (std::memcmp(&expected[i], &values[i], sizeof(T)) != 0) {
      std::printf("%s %zu differs\n", what, i);
      return false;
    }
  }
  return true;
}

template <class Model>
bool check(const typename Model::parameters& parameters, const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "rb");
  if (!file) return false;
  bool good = same(file, parameters.weights, "weight") && same(file, parameters.units, "unit") &&
              same(file, parameters.biases, "bias");
  constexpr std::size_t count = 20;
  static std::array<typename Model::value, count * Model::image_size> images;
  static std::array<typename Model::logit, count * Model::classes> logits;
  static Model model{parameters};
  good = good && read(file, images.data(), images.size());
  if (good) model.logits(images.data(), count, logits.data());
  good = good && same(file, logits, "logit");
  std::fclose(file);
  if (!good) std::printf("%s: not the same\n", path.c_str());
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string directory = argv[1];
  bool good = check<in_float::model>(in_float::parameters, directory + "/in_float");
  good = check<in_double::model>(in_double::parameters, directory + "/in_double") && good;
  good = check<in_int8::model>(in_int8::parameters, directory + "/in_int8") && good;
  good = check<of_bytes::model>(of_bytes::parameters, directory + "/of_bytes") && good;
  return good ? 0 : 1;
}
