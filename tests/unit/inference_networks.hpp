// Networks of all that inference knows, and the ways to run their inference.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "catch.hpp"
#include "spikenet/inference/inference.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/set_tensors.hpp"

namespace test {

template <class Network>
std::vector<typename Network::scalar> evaluated(Network& net, const std::vector<typename Network::scalar>& images) {
  const auto logits = net.evaluate(images);
  return {logits.begin(), logits.end()};
}

// How often the neurons of each layer fire.
struct firing_rates {
  std::vector<double> fired, count;
  void operator()(const spikenet::fired_layer& layer) {
    fired.resize(std::max(fired.size(), layer.index + 1));
    count.resize(fired.size());
    for (std::size_t n = 0; n < layer.images; ++n)
      for (std::size_t t = 0; t < layer.steps; ++t)
        for (std::size_t y = 0; y < layer.height; ++y)
          for (std::size_t x = 0; x < layer.width; ++x)
            for (std::size_t c = 0; c < layer.channels; ++c, ++count[layer.index])
              fired[layer.index] += layer.fired(n, t, y, x, c);
  }
};

template <class Model>
std::vector<typename Model::logit> inferred(const typename Model::parameters& parameters,
                                            const std::vector<typename Model::value>& images) {
  const auto model = std::make_unique<Model>(parameters);
  const std::size_t count = images.size() / Model::image_size;
  std::vector<typename Model::logit> logits(count * Model::classes);
  model->logits(images.data(), count, logits.data());
  return logits;
}

// One timestep at a time, with the state saved and the work done twice after the first.
template <class Model>
std::vector<typename Model::logit> stepped(const typename Model::parameters& parameters,
                                           const std::vector<typename Model::value>& images) {
  const auto model = std::make_unique<Model>(parameters);
  const std::size_t count = images.size() / Model::image_size;
  constexpr bool frames = Model::image_size > Model::frame_size;
  std::vector<typename Model::logit> logits(count * Model::classes);
  for (std::size_t n = 0; n < count; ++n) {
    const auto frame = [&](std::size_t t) {
      return std::span<const typename Model::value, Model::frame_size>(
          images.data() + ((frames ? t * count : 0) + n) * Model::frame_size, Model::frame_size);
    };
    const std::span<typename Model::logit, Model::classes> result(logits.data() + n * Model::classes, Model::classes);
    typename Model::state state;
    model->step(state, frame(0));
    const typename Model::state saved = state;
    for (std::size_t t = 1; t < Model::timesteps; ++t) model->step(state, frame(t));
    state = saved;
    for (std::size_t t = 1; t < Model::timesteps; ++t) model->step(state, frame(t));
    Model::read_out(state, result);
    CHECK(state.steps == Model::timesteps);
  }
  return logits;
}

namespace networks {

using namespace spikenet;

template <class Backend>
using mixed = network<Backend, timesteps<3>, image<2, 11, 9>, conv2d<12, 3>, tdbn<>, lif<>, basic_block<12>,
                      basic_block<20, stride<2>, normalised_shortcut>, basic_block<20, normalised_shortcut>,
                      conv2d<16, 3, groups<2>, with_bias>, tdbn<>, lif<>, avg_pool2d<2>,
                      conv2d<9, 2, padding<1>, dilation<1>>, lif<soft_reset>, flatten, linear<18>, tdbn<>, lif<>, linear<7, without_bias>>;

// Frames; sums of three and four terms; real values that several layers take; a tdBN behind a sum, and one of an image.
template <class Backend>
using unusual = network<
    Backend, timesteps<2>, frames<3, 8, 8>, tdbn<>, conv2d<8, 5, stride<2>, padding<3>>,
    residual<sequence<tdbn<>, lif<>, conv2d<8, 3, dilation<2>>>, identity, sequence<tdbn<2>, tdbn<>>>,
    residual<sequence<lif<soft_reset>, conv2d<8, 3>, tdbn<>>, sequence<conv2d<8, 1>, tdbn<>>,
             sequence<tdbn<>, lif<soft_reset>>>,
    residual<sequence<residual<sequence<conv2d<8, 3>>, identity, tdbn<>>>, conv2d<8, 1, with_bias>, lif<>>, lif<>,
    global_avg_pool, linear<12>, lif<>, residual<sequence<linear<12>>, identity, tdbn<2>>, linear<5>, lif<>>;

// Kernels, strides and paddings of all sorts over spikes: windows that overlap, meet, or leave pixels out.
template <class Backend>
using windows = network<Backend, timesteps<2>, image<1, 13, 12>, conv2d<8, 3>, tdbn<>, lif<>, conv2d<12, 5>, tdbn<>, lif<>,
                        conv2d<20, 4, padding<2>>, tdbn<>, lif<>, conv2d<8, 9, padding<5>>, tdbn<>, lif<>,
                        conv2d<8, 5, stride<2>, padding<1>>, tdbn<>, lif<>, conv2d<8, 1, stride<2>>, tdbn<>, lif<>,
                        conv2d<8, 2, stride<3>, padding<1>>, tdbn<>, lif<>, flatten, linear<5>>;

// Maps so large that even one image has tables: of the identity's block more than are kept at a time.
template <class Backend>
using large_maps = network<Backend, timesteps<3>, image<1, 15, 13>, conv2d<20, 3>, tdbn<>, lif<>, basic_block<20>,
                           conv2d<5, 3, stride<2>>, tdbn<>, lif<soft_reset>, global_avg_pool, linear<5>>;

// A map of middle size, whose small tables are more than one image keeps at a time.
template <class Backend>
using many_channels = network<Backend, timesteps<2>, image<1, 6, 7>, conv2d<76, 3>, tdbn<>, lif<>, conv2d<12, 5>, tdbn<>, lif<>,
                              flatten, linear<5>>;

}  // namespace networks
using networks::mixed, networks::unusual, networks::windows, networks::large_maps, networks::many_channels;

}  // namespace test
