// A project that uses spikenet from several translation units: what the headers define must be fit for that. The
// network is compiled in network.cpp alone; without that file the program does not link.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <spikenet/dsrn.hpp>

using net_t = spikenet::dsrn<spikenet::cpu<float>, 2, 1>;
extern template struct spikenet::network_code<net_t>;

// The number of images that the network labels as its label says. Throws if a logit is not finite.
std::size_t count_correct(net_t& net, std::span<const float> images, std::span<const std::int32_t> labels);
