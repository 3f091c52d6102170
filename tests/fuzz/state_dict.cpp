// Fuzz target: a state dict out of a safetensors file, into a small network, as its own and as another library's. It is
// loaded whole or not at all.
#include "spikenet/io/state_dict.hpp"

#include <cmath>
#include <cstring>

#include "fuzz/safetensors_mutator.hpp"
#include "spikenet/io/import.hpp"
#include "spikenet/spikenet.hpp"

namespace {

using spikenet::image, spikenet::named, spikenet::timesteps;
using network = spikenet::network<spikenet::cpu<float>, timesteps<1>, image<1, 3, 3>,
                                  named<"conv1", spikenet::conv2d<2, 3>>, named<"bn1", spikenet::tdbn<>>,
                                  spikenet::lif<>, spikenet::flatten, named<"fc", spikenet::linear<1>>>;

network& net() {
  static network instance{spikenet::seed{1}};
  return instance;
}

fuzz::bytes content_of(network& n) {
  fuzz::bytes content;
  n.for_each_tensor([&](const auto&, std::span<const float> values) {
    const auto* first = reinterpret_cast<const std::uint8_t*>(values.data());
    content.insert(content.end(), first, first + values.size_bytes());
  });
  return content;
}

fuzz::bytes content_of(const spikenet::safetensors_writer& writer) {
  const auto written = writer.bytes();
  const auto* first = reinterpret_cast<const std::uint8_t*>(written.data());
  return {first, first + written.size()};
}

// The network's state dict, and what else is in the writer.
template <class Scalar>
fuzz::bytes state_dict(spikenet::safetensors_writer writer = {}, const std::string& prefix = "") {
  net().for_each_tensor([&](const auto& info, std::span<const float> values) {
    const std::vector<Scalar> converted{values.begin(), values.end()};
    writer.add<Scalar>(prefix + info.name, info.shape, converted);
  });
  return content_of(writer);
}

// With each tensor's two names.
fuzz::bytes stbp_simple_state_dict() {
  return content_of(spikenet::detail::state_dict_writer(
      net(), "", {}, spikenet::detail::dialect_of(spikenet::library::stbp_simple, net())));
}

// Whole or not at all. The values are held once more, and for each tensor of the network there are some names.
template <class Load>
bool loads(std::size_t size, const Load& load) {
  const fuzz::bytes before = content_of(net());
  const auto loaded = fuzz::attempt(2 * size + (1 << 14), [&] {
    load();
    return true;
  });
  if (!loaded) fuzz::require(content_of(net()) == before, "a refused file leaves the network as it was");
  net().for_each_tensor([&](const auto& info, std::span<const float> values) {
    for (const float value : values) {
      fuzz::require(std::isfinite(value), "values are finite");
      fuzz::require(value >= 0 || info.name != "bn1.running_var", "variances are not negative");
    }
  });
  return loaded.has_value();
}

}  // namespace

std::vector<fuzz::bytes> fuzz::seeds() {
  const std::int64_t counter = 3;
  spikenet::safetensors_writer counting, many_extents;
  counting.add<std::int64_t>("bn1.num_batches_tracked", {}, std::span{&counter, 1});
  // Messages once had them all.
  many_extents.add<std::int64_t>("x", std::vector<std::size_t>(400, 1), std::span{&counter, 1});
  return {state_dict<float>(counting), state_dict<double>(), state_dict<float>(many_extents),
          state_dict<float>({}, "module."), stbp_simple_state_dict()};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ++fuzz::count.inputs;
  const std::string name{fuzz::input_name};
  const auto file = fuzz::attempt(20 * size + (1 << 13), [&] {
    return spikenet::safetensors_file::parse(std::as_bytes(std::span{data, size}), name);
  });
  if (!file) return 0;

  const bool jelly = loads(size, [&] { import_state_dict(net(), *file, spikenet::library::spikingjelly); });
  const bool stbp = loads(size, [&] { import_state_dict(net(), *file, spikenet::library::stbp_simple); });
  const bool own = loads(size, [&] { spikenet::load_state_dict(net(), *file); });
  fuzz::count.accepted += own || stbp;
  fuzz::require(!own || stbp, "STBP-simple's names include PyTorch's where there is no downsample");
  if (!own) return 0;

  std::size_t tensors = file->contains("bn1.num_batches_tracked") ? 1 : 0;
  for (const auto& [tensor, entry] : file->tensors()) tensors += spikenet::detail::is_of_no_network(entry.dtype);
  net().for_each_tensor([&](const auto& info, std::span<const float> values) {
    ++tensors;
    fuzz::require(file->at(info.name).shape == info.shape, "a tensor that is loaded has the network's shape");
    fuzz::require(std::ranges::equal(file->values<float>(info.name), values), "the network has the file's values");
  });
  fuzz::require(tensors == file->tensors().size(), "each tensor of the file has a place in the network");
  // Over alpha * threshold, tdBN's weight may be infinite.
  const auto large = [](double value) { return std::abs(value) > 1e38; };
  fuzz::require(jelly || std::ranges::any_of(file->values<double>("bn1.weight"), large),
                "SpikingJelly's names are PyTorch's");
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned int seed) {
  return fuzz::mutate_safetensors(data, size, max_size, seed);
}
