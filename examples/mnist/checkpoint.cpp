#include "checkpoint.hpp"

#include <array>
#include <charconv>
#include <locale>
#include <spikenet/core/error.hpp>
#include <sstream>
#include <string>
#include <string_view>

namespace mnist {

namespace {

// The shortest text that is read back as the same number.
std::string text_of(double value) {
  std::array<char, 32> text;
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

const std::string& entry(const spikenet::safetensors_file& file, std::string_view key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end())
    throw spikenet::file_error(file.name() + ": There is no \"" + std::string{key} +
                               "\" in its metadata, so it was not written by spikenet-mnist.");
  return found->second;
}

template <class Number>
Number number(const spikenet::safetensors_file& file, std::string_view key) {
  // A stream, for not every standard library's from_chars reads doubles.
  std::istringstream text{entry(file, key)};
  text.imbue(std::locale::classic());
  Number value{};
  if (text.peek() == '-' || !(text >> value) || text.peek() != std::istringstream::traits_type::eof())
    throw spikenet::file_error(file.name() + ": The \"" + std::string{key} +
                               "\" in its metadata is not a number that this program writes.");
  return value;
}

}  // namespace

spikenet::safetensors_metadata to_metadata(const checkpoint_info& info) {
  return {{"width", std::to_string(info.model.width)},
          {"timesteps", std::to_string(info.model.steps)},
          {"readout", info.model.readout},
          {"v_th", text_of(info.model.v_th)},
          {"tau", text_of(info.model.tau)},
          {"surrogate_half_width", text_of(info.model.a)},
          {"pixel_mean", text_of(info.normalisation.mean.at(0))},
          {"pixel_stddev", text_of(info.normalisation.stddev.at(0))}};
}

saved_model load_model(const std::filesystem::path& path) {
  const auto file = spikenet::safetensors_file::read(path);
  saved_model saved{from_metadata(file), nullptr};
  try {
    saved.info.normalisation.check(1);
    saved.net = make_model(saved.info.model, spikenet::seed{});
  } catch (const spikenet::argument_error& error) {
    throw spikenet::file_error(file.name() + ": " + error.what());
  }
  saved.net->load(file);
  return saved;
}

checkpoint_info from_metadata(const spikenet::safetensors_file& file) {
  return {.model = {.width = number<std::size_t>(file, "width"),
                    .steps = number<std::size_t>(file, "timesteps"),
                    .readout = entry(file, "readout"),
                    .v_th = number<double>(file, "v_th"),
                    .tau = number<double>(file, "tau"),
                    .a = number<double>(file, "surrogate_half_width")},
          .normalisation = {.mean = {number<double>(file, "pixel_mean")},
                            .stddev = {number<double>(file, "pixel_stddev")}}};
}

}  // namespace mnist
