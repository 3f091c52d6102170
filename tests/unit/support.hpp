// What the tests of layers and networks share: data, comparisons, a layer by itself, and copies of a network's tensors.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "spikenet/core/random.hpp"
#include "spikenet/core/tensor.hpp"
#include "spikenet/layer/layer.hpp"
#include "spikenet/network/real_view.hpp"
#include "spikenet/network/stage.hpp"
#include "spikenet/neuron/lif.hpp"

namespace test {

template <class Scalar>
inline constexpr Scalar nan = std::numeric_limits<Scalar>::quiet_NaN();

// Memory to be written, all of it: NaN inside, and around it values that must survive.
template <class Scalar>
class target {
 public:
  explicit target(std::size_t size) : memory_(size + 2 * margin, mark) {
    for (std::size_t i = 0; i < size; ++i) memory_[margin + i] = nan<Scalar>;
  }
  Scalar* data() { return memory_.data() + margin; }
  std::vector<Scalar> values() const { return {memory_.begin() + margin, memory_.end() - margin}; }
  bool within_bounds() const {
    for (std::size_t i = 0; i < margin; ++i)
      if (memory_[i] != mark || memory_[memory_.size() - 1 - i] != mark) return false;
    return true;
  }

 private:
  static constexpr std::ptrdiff_t margin = 64;
  static constexpr Scalar mark = 12345;
  std::vector<Scalar> memory_;
};

// Standard normal numbers times `deviation` plus `mean`.
template <class Scalar>
std::vector<Scalar> normal(std::size_t count, std::uint64_t seed, double mean = 0, double deviation = 1) {
  spikenet::random_stream random{spikenet::seed{seed}};
  std::vector<Scalar> values(count);
  for (Scalar& value : values) value = static_cast<Scalar>(mean + deviation * random.normal());
  return values;
}

inline std::vector<std::int32_t> labels(std::size_t count, std::uint32_t classes, std::uint64_t seed) {
  spikenet::random_stream random{spikenet::seed{seed}};
  std::vector<std::int32_t> values(count);
  for (std::int32_t& value : values) value = static_cast<std::int32_t>(random.below(classes));
  return values;
}

// The largest difference over the largest magnitude that is expected (over 1 where that is 0). Infinity where the sizes
// differ or a value is not finite.
template <class A, class B>
double error(const A& actual, const B& expected) {
  if (std::size(actual) != std::size(expected)) return std::numeric_limits<double>::infinity();
  double difference = 0, scale = 0;
  for (std::size_t i = 0; i < std::size(actual); ++i) {
    const double a = static_cast<double>(actual[i]), e = static_cast<double>(expected[i]);
    if (!std::isfinite(a) || !std::isfinite(e)) return std::numeric_limits<double>::infinity();
    difference = std::max(difference, std::abs(a - e));
    scale = std::max(scale, std::abs(e));
  }
  return scale > 0 ? difference / scale : difference;
}

template <class A, class B>
double dot(const A& a, const B& b) {
  double sum = 0;
  for (std::size_t i = 0; i < std::size(a); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

// A layer without a network around it; what it must write is NaN before each call. Spikes are real numbers here and,
// for the layer, what the backend holds them as.
template <class Backend, class Layer, class In, std::size_t T = In::steps>
class lone_layer {
 public:
  using scalar = typename Backend::scalar;
  using module_type = typename Layer::template module<Backend, T, In>;
  using output = typename module_type::output;
  using values = std::vector<scalar>;

  explicit lone_layer(const spikenet::neuron& neurons = {}) : neurons_{neurons} {
    for (std::size_t i = 0; i < module_type::parameters.size(); ++i) {
      parameters_.emplace_back(module_type::parameters[i].size());
      gradients_.emplace_back(module_type::parameters[i].size(), nan<scalar>);
      spikenet::random_stream random{spikenet::seed{1}, i};
      if constexpr (module_type::parameters.size() > 0) {
        module_type::initialize(i, parameters_[i], spikenet::initialization::pytorch, random);
      }
    }
  }
  lone_layer(const lone_layer&) = delete;
  lone_layer& operator=(const lone_layer&) = delete;

  values forward(const values& x, bool training = true) {
    auto c = context(training);
    const std::size_t batch = x.size() / (In::steps * In::size);
    const auto in = as_held<In>(c, x, batch);
    auto out = as_held<output>(c, values(output::steps * output::size * batch, nan<scalar>), batch);
    stage_.run(c, {in.data(), batch}, {out.data(), batch});
    const spikenet::detail::real_view<Backend, output> real(c, view_of<output>(out, batch));
    return values((*real).data, (*real).data + (*real).size());
  }

  // After forward(x) gave y.
  values backward(const values& x, const values& y, const values& gy) {
    auto c = context(true);
    const std::size_t batch = x.size() / (In::steps * In::size);
    values gx(x.size(), nan<scalar>);
    const auto in = as_held<In>(c, x, batch);
    const auto out = as_held<output>(c, y, batch);
    stage_.backward(c, {in.data(), batch}, {out.data(), batch}, {gy.data(), batch}, {gx.data(), batch});
    return gx;
  }

  void update_statistics(std::size_t batch) {
    auto c = context(true);
    module.update_statistics(c, batch);
  }

  values& parameter(std::size_t i) { return parameters_[i]; }
  const values& gradient(std::size_t i) const { return gradients_[i]; }

 private:
  template <class Signal>
  using held = spikenet::held<Backend, Signal>;

  template <class Signal>
  static std::vector<held<Signal>> as_held(spikenet::context<Backend>& c, const values& real, std::size_t batch) {
    if constexpr (std::same_as<held<Signal>, scalar>) {
      return real;
    } else {
      constexpr std::size_t channels = Signal::channels;
      std::vector<held<Signal>> bits(batch * Signal::steps * spikenet::item_length<Signal, held<Signal>>);
      c.backend.template pack<channels>(real.size() / channels, real.data(), bits.data());
      return bits;
    }
  }
  template <class Signal>
  static spikenet::tensor<Signal, const held<Signal>> view_of(const std::vector<held<Signal>>& values,
                                                              std::size_t batch) {
    return {values.data(), batch};
  }

  spikenet::detail::single_stage<Backend, T, 0, In, Layer> stage_;

 public:
  module_type& module = stage_.module;

 private:
  spikenet::context<Backend> context(bool training) {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      module.slots[i] = {parameters_[i].data(), gradients_[i].data()};
    }
    return {backend_, scratch_, neurons_, training};
  }

  Backend backend_;
  spikenet::workspace<Backend> scratch_;
  spikenet::neuron neurons_;
  std::vector<values> parameters_, gradients_;
};

template <class Scalar>
struct named_values {
  std::string name;
  std::vector<Scalar> values;
};
template <class Scalar>
using snapshot = std::vector<named_values<Scalar>>;

// All parameters and running statistics.
template <class Network>
auto tensors(Network& net) {
  using scalar = typename Network::scalar;
  snapshot<scalar> all;
  net.for_each_tensor([&](const spikenet::tensor_info& info, std::span<scalar> values) {
    all.push_back({info.name, {values.begin(), values.end()}});
  });
  return all;
}

// The gradients of all parameters.
template <class Network>
auto gradients(Network& net) {
  using scalar = typename Network::scalar;
  snapshot<scalar> all;
  net.for_each_parameter([&](const spikenet::tensor_info& info, std::span<scalar>, std::span<scalar> gradient) {
    all.push_back({info.name, {gradient.begin(), gradient.end()}});
  });
  return all;
}

// Sets all parameters and running statistics to those of another network of the same layers.
template <class To, class From>
void copy_tensors(From& from, To& to) {
  using scalar = typename To::scalar;
  const auto source = tensors(from);
  std::size_t i = 0;
  to.for_each_tensor([&](const spikenet::tensor_info&, std::span<scalar> values) {
    std::copy_n(source[i].values.begin(), values.size(), values.begin());
    ++i;
  });
}

// The values of one tensor, by its full name; empty where there is none.
template <class Network>
std::span<typename Network::scalar> tensor_of(Network& net, const std::string& name) {
  std::span<typename Network::scalar> found;
  net.for_each_tensor([&](const spikenet::tensor_info& info, std::span<typename Network::scalar> values) {
    if (info.name == name) found = values;
  });
  return found;
}

// The same names and the same bits.
template <class Scalar>
bool identical(const snapshot<Scalar>& a, const snapshot<Scalar>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.name == y.name && x.values.size() == y.values.size() &&
           std::memcmp(x.values.data(), y.values.data(), x.values.size() * sizeof(Scalar)) == 0;
  });
}

}  // namespace test
