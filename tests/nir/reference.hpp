// Runs a graph of NIR as the specification says, by forward Euler: one item, in double precision, the plainest way.
// What the tests hold exported and generated networks against.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <spikenet/nir/graph.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace test {

// What each node gives at each timestep, and how far the membrane of each neuron was from its threshold.
struct nir_run {
  std::map<std::string, std::vector<std::vector<double>>> outputs, margins;
};

class nir_reference {
 public:
  nir_reference(const spikenet::nir::graph& g, double dt) : graph_{g}, analysis_{spikenet::nir::analyse(g)}, dt_{dt} {}

  // frames: [timesteps][values of the input]
  nir_run run(const std::vector<std::vector<double>>& frames) const {
    nir_run result;
    std::map<std::string, std::vector<double>> membranes;
    for (const std::vector<double>& frame : frames) {
      std::map<std::string, std::vector<double>> now;
      for (const std::string& name : analysis_.order) {
        const auto& n = graph_.nodes.at(name);
        std::vector<double> x = frame;
        if (!std::holds_alternative<spikenet::nir::input>(n)) {
          const auto& sources = analysis_.into.at(name);
          x = now.at(sources[0]);
          for (std::size_t s = 1; s < sources.size(); ++s)
            for (std::size_t i = 0; i < x.size(); ++i) x[i] += now.at(sources[s])[i];
        }
        const auto shape = [&] {
          return std::holds_alternative<spikenet::nir::input>(n) ? analysis_.shapes.at(name)
                                                                 : analysis_.shapes.at(analysis_.into.at(name)[0]);
        }();
        step s{x, shape, analysis_.shapes.at(name), membranes[name], dt_, {}};
        now[name] = std::visit(s, n);
        result.outputs[name].push_back(now[name]);
        if (!s.margin.empty()) result.margins[name].push_back(s.margin);
      }
    }
    return result;
  }

 private:
  struct step {
    const std::vector<double>& x;
    spikenet::nir::extents in, out;
    std::vector<double>& v;
    double dt;
    std::vector<double> margin;

    std::vector<double> operator()(const spikenet::nir::input&) { return x; }
    std::vector<double> operator()(const spikenet::nir::output&) { return x; }
    std::vector<double> operator()(const spikenet::nir::flatten&) { return x; }
    std::vector<double> matrix(const spikenet::nir::array& w, const double* bias) {
      std::vector<double> y(w.shape[0]);
      for (std::size_t o = 0; o < y.size(); ++o) {
        y[o] = bias ? bias[o] : 0;
        for (std::size_t i = 0; i < x.size(); ++i) y[o] += w.values[o * x.size() + i] * x[i];
      }
      return y;
    }
    std::vector<double> operator()(const spikenet::nir::linear& n) { return matrix(n.weight, nullptr); }
    std::vector<double> operator()(const spikenet::nir::affine& n) { return matrix(n.weight, n.bias.values.data()); }
    double at(std::size_t c, std::size_t row, std::size_t column, const spikenet::nir::pair& padding) const {
      if (row < padding[0] || column < padding[1]) return 0;
      row -= padding[0], column -= padding[1];
      return row < in[1] && column < in[2] ? x[(c * in[1] + row) * in[2] + column] : 0;
    }
    std::vector<double> operator()(const spikenet::nir::conv2d& n) {
      const auto& w = n.weight.shape;
      const std::size_t group_in = w[1], group_out = w[0] / n.groups;
      std::vector<double> y;
      for (std::size_t o = 0; o < out[0]; ++o)
        for (std::size_t i = 0; i < out[1]; ++i)
          for (std::size_t j = 0; j < out[2]; ++j) {
            double sum = n.bias.values[o];
            for (std::size_t c = 0; c < group_in; ++c)
              for (std::size_t k = 0; k < w[2]; ++k)
                for (std::size_t l = 0; l < w[3]; ++l)
                  sum += n.weight.values[((o * group_in + c) * w[2] + k) * w[3] + l] *
                         at(o / group_out * group_in + c, i * n.stride[0] + k * n.dilation[0],
                            j * n.stride[1] + l * n.dilation[1], n.padding);
            y.push_back(sum);
          }
      return y;
    }
    std::vector<double> operator()(const spikenet::nir::sum_pool2d& n) {
      std::vector<double> y;
      for (std::size_t c = 0; c < out[0]; ++c)
        for (std::size_t i = 0; i < out[1]; ++i)
          for (std::size_t j = 0; j < out[2]; ++j) {
            double sum = 0;
            for (std::size_t k = 0; k < n.kernel_size[0]; ++k)
              for (std::size_t l = 0; l < n.kernel_size[1]; ++l)
                sum += at(c, i * n.stride[0] + k, j * n.stride[1] + l, n.padding);
            y.push_back(sum);
          }
      return y;
    }
    std::vector<double> operator()(const spikenet::nir::avg_pool2d& n) {
      std::vector<double> y = (*this)(static_cast<const spikenet::nir::sum_pool2d&>(n));
      for (double& value : y) value /= static_cast<double>(n.kernel_size[0] * n.kernel_size[1]);
      return y;
    }
    std::vector<double> operator()(const spikenet::nir::scale& n) {
      std::vector<double> y = x;
      for (std::size_t i = 0; i < y.size(); ++i) y[i] *= n.factor[i];
      return y;
    }
    // change(i): that of the membrane in dt.
    template <class Node, class Change>
    std::vector<double> fire(const Node& n, Change change) {
      v.resize(x.size());
      std::vector<double> y(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        v[i] += change(i);
        margin.push_back(v[i] - n.v_threshold[i]);
        y[i] = v[i] > n.v_threshold[i] ? 1 : 0;
        if (y[i] > 0) v[i] = n.v_reset[i];
      }
      return y;
    }
    std::vector<double> operator()(const spikenet::nir::integrate_and_fire& n) {
      return fire(n, [&](std::size_t i) { return dt * n.r[i] * x[i]; });
    }
    std::vector<double> operator()(const spikenet::nir::leaky_integrate_and_fire& n) {
      return fire(n, [&](std::size_t i) { return dt / n.tau[i] * (n.v_leak[i] - v[i] + n.r[i] * x[i]); });
    }
    template <class Node>
    std::vector<double> operator()(const Node&) {
      throw std::logic_error("the reference does not run " + std::string(Node::type));
    }
  };

  const spikenet::nir::graph& graph_;
  spikenet::nir::analysis analysis_;
  double dt_;
};

}  // namespace test
