#include "firing_rate_chart.hpp"

#include "text.hpp"

namespace mnist {

std::string joined(const std::vector<std::string>& layers, const std::string& neurons) {
  const std::string block = neurons.substr(0, neurons.rfind('.') + 1);
  std::string text;
  for (const std::string& layer : layers) {
    text += text.empty() ? "" : " + ";
    text += !block.empty() && layer.starts_with(block) ? layer.substr(block.size()) : layer;
  }
  return text;
}

bar_chart firing_rate_chart(const spikenet::monitor& monitor, const std::string& subtitle) {
  bar_chart chart;
  chart.title = "Average firing rate of the neurons of each layer";
  chart.subtitle = subtitle;
  chart.label_name = "neurons";
  chart.note_name = "follow";
  chart.value_name = "firing rate: spikes for each neuron and timestep";
  chart.groups = {"convolution", "fully connected"};
  chart.as_percent = true;
  for (const spikenet::neuron_statistics& layer : monitor.neurons()) {
    const bool fully_connected = !layer.follows.empty() && layer.follows[0].starts_with("fc");
    chart.bars.push_back({layer.name, joined(layer.follows, layer.name), layer.rate(), percent(layer.rate()),
                          fully_connected ? 1u : 0u});
  }
  return chart;
}

}  // namespace mnist
