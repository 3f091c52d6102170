// The type of a network of this program.
#pragma once

#include <cstddef>
#include <spikenet/network/dsrn.hpp>
#include <type_traits>

#include "model.hpp"

namespace mnist {

template <class Backend, std::size_t Width, std::size_t Timesteps, readout Readout>
using network_of =
    spikenet::dsrn<Backend, Width, Timesteps,
                   std::conditional_t<Readout == readout::mean_current, spikenet::mean_current, spikenet::mean_spikes>>;

}  // namespace mnist
