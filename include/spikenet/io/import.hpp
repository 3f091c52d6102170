// Weights of other libraries, and weights for them: SpikingJelly's and STBP-simple's state dicts of a network of the
// same structure, in safetensors files. PyTorch's own: state_dict.hpp.
//
// What differs is the scale of tdBN, whose output is weight * alpha * Vth * (x - mean) / sqrt(var + eps) + bias here
// and in STBP-simple, and gamma * (x - mean) / sqrt(var + eps) + bias in SpikingJelly: gamma = weight * alpha * Vth.
#pragma once

#include <cmath>
#include <filesystem>
#include <optional>
#include <spikenet/core/error.hpp>
#include <spikenet/core/setting.hpp>
#include <spikenet/io/safetensors.hpp>
#include <spikenet/io/state_dict.hpp>
#include <spikenet/neuron/lif.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace spikenet {

// Whose state dict a file has.
enum class library {
  // https://github.com/fangwei123456/spikingjelly: PyTorch's names, and tdBN as ThresholdDependentBatchNorm2d.
  spikingjelly,
  // https://github.com/thiswinex/STBP-simple: conv1, bn1 and conv1_s = tdLayer(conv1, bn1), so that a state dict lists
  // their tensors twice, and downsample = tdLayer(conv, bn). A file may have one of the two names or both; statistics
  // may have the shape [1, C, 1, 1, 1].
  stbp_simple
};

namespace detail {

// STBP-simple's names of a tensor: "layer1.0.bn1.bias" is that and "layer1.0.conv1_s.bn.bias".
inline std::vector<std::string> stbp_simple_names(std::string_view name) {
  const std::string module{name.substr(0, name.rfind('.'))};
  const std::string tensor{name.substr(module.size())};  // ".weight"
  const std::string_view layer = std::string_view{module}.substr(module.rfind('.') + 1);
  const std::string before = module.substr(0, module.size() - layer.size());
  if (before.ends_with("downsample.")) return {before + (layer == "0" ? "layer" : "bn") + tensor};
  if (layer.starts_with("bn"))
    return {std::string{name}, before + "conv" + std::string{layer.substr(2)} + "_s.bn" + tensor};
  return {std::string{name}, module + "_s.layer" + tensor};
}

template <class Network>
state_dict_dialect dialect_of(library of, const Network& net) {
  if (of == library::stbp_simple) return {.names = stbp_simple_names, .threshold = 0, .unit_extents = true};
  return {.names = own_name, .threshold = net.neurons().threshold, .unit_extents = false};
}

}  // namespace detail

// The library whose names the file has; nothing where they are PyTorch's, as spikenet's and SpikingJelly's both are.
inline std::optional<library> recognise_library(const safetensors_file& file) {
  for (const auto& [name, entry] : file.tensors())
    if (name.find("_s.layer.") != std::string::npos || name.find("downsample.layer.") != std::string::npos)
      return library::stbp_simple;
  return std::nullopt;
}

// Sets the network's parameters and running statistics from the other library's, so that the two compute the same where
// their neurons do. Converts, checks and throws as load_state_dict, and also where two names of one tensor have other
// values. The scale of tdBN depends on the network's threshold, which is no part of the file: see lif_node.
template <class Network>
void import_state_dict(Network& net, const safetensors_file& file, library from, const load_options& options = {}) {
  detail::load_tensors(net, file, detail::dialect_of(from, net), options);
}
template <class Network>
void import_state_dict(Network& net, const std::filesystem::path& path, library from,
                       const load_options& options = {}) {
  import_state_dict(net, safetensors_file::read(path), from, options);
}

// Writes a file that the other library's network loads with strict=True. Throws as save_state_dict.
template <class Network>
void export_state_dict(Network& net, const std::filesystem::path& path, library to,
                       const safetensors_metadata& metadata = {}) {
  detail::state_dict_writer(net, path, metadata, detail::dialect_of(to, net)).write(path);
}

// SpikingJelly's neurons, LIFNode(tau, decay_input, v_threshold, v_reset=0), with its defaults.
struct lif_node {
  double tau = 2, threshold = 1;
  bool decay_input = true;

  // The same neurons for a network that computes in Scalar, but for the surrogate. They fire at the threshold, those of
  // spikenet above it: at the next number. Where the input decays, v += (x - v) / tau, the potential here is tau * v.
  // Throws argument_error unless tau >= 1 and the threshold is positive and finite.
  template <class Scalar>
  neuron neurons() const {
    using namespace detail;
    require_setting<double>([](double t) { return t >= 1 && std::isfinite(t); },
                            "LIFNode: tau must be at least 1 and finite", tau);
    require_setting<Scalar>(is_positive, "LIFNode: the threshold must be positive and finite", threshold);
    const double scaled = decay_input ? tau * threshold : threshold;
    require_setting<Scalar>(is_positive, "LIFNode: tau times the threshold must be positive and finite", scaled);
    neuron made;
    made.decay = 1 - 1 / tau;
    made.threshold = std::nextafter(static_cast<Scalar>(scaled), Scalar{0});
    made.validate<Scalar>();
    return made;
  }
};

}  // namespace spikenet
