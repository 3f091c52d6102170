// The firing rates of a network's layers as a bar chart.
#pragma once

#include <spikenet/training/monitor.hpp>
#include <string>
#include <vector>

#include "chart.hpp"

namespace mnist {

// "conv2 + downsample.0" for neurons called layer2.0.spike2 behind layer2.0.conv2 and layer2.0.downsample.0.
std::string joined(const std::vector<std::string>& layers, const std::string& neurons);

// A bar for each layer of neurons, in their order.
bar_chart firing_rate_chart(const spikenet::monitor& monitor, const std::string& subtitle);

}  // namespace mnist
