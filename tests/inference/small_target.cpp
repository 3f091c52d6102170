// Inference as a small target has it: parameters that are constants, workspace in static storage, nothing else. It is
// compiled without exceptions, type information and the host's library; small_target.cmake looks at what it asks of the
// linker.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "spikenet/inference/inference.hpp"

namespace {

// The layers that a small target knows by name only.
using architecture =
    spikenet::architecture<spikenet::timesteps<2>, spikenet::image<1, 12, 12>, spikenet::conv2d<8, 3>, spikenet::tdbn<>,
                           spikenet::lif<>, spikenet::basic_block<8>, spikenet::basic_block<16, spikenet::stride<2>>,
                           spikenet::global_avg_pool, spikenet::linear<10>>;
using in_float = spikenet::inference<architecture, float>;
using in_integers = spikenet::inference<architecture, spikenet::quantised<std::uint8_t>>;

template <class Model>
constexpr typename Model::parameters some_parameters() {
  typename Model::parameters p{};
  for (std::size_t i = 0; i < p.weights.size(); ++i) p.weights[i] = static_cast<std::int8_t>(i % 7);
  return p;
}
constexpr in_float::parameters float_parameters = some_parameters<in_float>();

in_float float_network{float_parameters};
in_float::state stream;

constexpr in_integers::parameters integer_parameters = some_parameters<in_integers>();
in_integers integer_network{integer_parameters};
in_integers::state integer_stream;

static_assert(in_float::image_size == 144 && in_float::classes == 10);
// A membrane for each neuron and no more: 12x12x8 three times, 6x6x16 twice.
static_assert(sizeof(in_float::state::membranes) == 4 * (3 * 144 * 8 + 2 * 36 * 16));
static_assert(sizeof(in_integers::state::membranes) == 2 * (3 * 144 * 8 + 2 * 36 * 16));
static_assert(sizeof(integer_parameters.weights) == sizeof(float_parameters.weights) / 4);

}  // namespace

extern "C" std::size_t classify(const float* image) {
  std::array<float, in_float::classes> logits;
  float_network.logits(std::span<const float, in_float::image_size>(image, in_float::image_size), logits);
  return in_float::class_of(logits);
}

extern "C" std::size_t follow(const float* frame) {
  std::array<float, in_float::classes> logits;
  float_network.step(stream, std::span<const float, in_float::frame_size>(frame, in_float::frame_size));
  in_float::read_out(stream, logits);
  return in_float::class_of(logits);
}

extern "C" std::size_t classify_bytes(const std::uint8_t* image) {
  std::array<std::int32_t, in_integers::classes> logits;
  integer_network.logits(std::span<const std::uint8_t, in_integers::image_size>(image, in_integers::image_size), logits);
  return in_integers::class_of(logits);
}

extern "C" std::size_t follow_bytes(const std::uint8_t* frame) {
  std::array<std::int32_t, in_integers::classes> logits;
  integer_network.step(integer_stream, std::span<const std::uint8_t, in_integers::frame_size>(frame, in_integers::frame_size));
  in_integers::read_out(integer_stream, logits);
  return in_integers::class_of(logits);
}
