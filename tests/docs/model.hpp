// A header such as spikenet-nir to-cpp writes, for the block of docs/nir.md that includes one.
#pragma once

#include <cstddef>
#include <spikenet/spikenet.hpp>

namespace model {

template <class Backend = spikenet::cpu<float>, std::size_t Timesteps = 25>
using network = spikenet::network<Backend, spikenet::timesteps<Timesteps>, spikenet::frames<2, 8, 8>,
                                  spikenet::conv2d<4, 3>, spikenet::lif<>, spikenet::flatten, spikenet::linear<10>>;

inline network<> make() { return network<>{}; }

}  // namespace model
