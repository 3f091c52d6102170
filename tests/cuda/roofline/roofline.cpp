// The least time that a training step of spikenet::dsrn<spikenet::cuda<...>, WIDTH, 2> can take on three cards, from what it
// computes and moves: cuda_roofline prints the tables of docs/cuda.md. Nothing is measured.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <spikenet/network/dsrn.hpp>
#include <spikenet/training/loss.hpp>
#include <spikenet/training/optimizer.hpp>
#include <string>
#include <vector>

#include "../cards.hpp"
#include "counting_backend.hpp"

namespace {

using spikenet_tests::card;
using spikenet_tests::cost;
using spikenet_tests::counted;
using spikenet_tests::counting_backend;

constexpr std::size_t batch = 64, timesteps = 2, images_of_an_epoch = 60000, epochs = 11;

struct step_cost {
  std::map<std::string, cost> operations;
  double neurons = 0;
  std::size_t waits = 0;
};

// Not the first step, which also takes memory.
template <class Network>
step_cost count_step(Network& net, std::size_t size) {
  const std::vector<float> images(size * 28 * 28);
  const std::vector<std::int32_t> labels(size);
  for (int step = 0; step < 2; ++step) {
    counted().clear();
    spikenet_tests::counted_neurons() = 0;
    spikenet_tests::counted_waits() = 0;
    net.train_step(images, labels, spikenet::adam{});
  }
  return {counted(), spikenet_tests::counted_neurons(), spikenet_tests::counted_waits()};
}

// All counts are a part that is always the same, for the parameters, and one that grows with the batch.
cost at_batch(const cost& one, const cost& two) {
  const auto grow = [](double a, double b) { return a + (b - a) * (batch - 1); };
  return {grow(one.bytes, two.bytes), grow(one.operations, two.operations), one.calls, one.kernels};
}

template <std::size_t Width, class Real>
step_cost count_network() {
  spikenet::dsrn<counting_backend<Real>, Width, timesteps> net{spikenet::seed{1}};
  const step_cost one = count_step(net, 1), two = count_step(net, 2);
  step_cost all;
  for (const auto& [name, c] : one.operations) all.operations[name] = at_batch(c, two.operations.at(name));
  all.neurons = one.neurons + (two.neurons - one.neurons) * (batch - 1);
  all.waits = one.waits;
  return all;
}

bool is_ours(const std::string& name) { return name.rfind("cu", 0) != 0; }
// Of those, the kernels that only what lies between layers matters to.
bool is_of_layers(const std::string& name) {
  return is_ours(name) && name.rfind("for_each", 0) != 0 && name.find("watch") == name.npos && name != "copy_filters";
}

struct estimate {
  double ours = 0, libraries = 0;
  double total() const { return ours + libraries; }
};

// Each operation takes as long as its memory traffic or its arithmetic, whichever is longer, at this part of the peaks.
estimate time_of(const step_cost& step, const card& c, double rate, double attained) {
  estimate e;
  for (const auto& [name, o] : step.operations) {
    const double seconds = std::max(o.bytes / c.bandwidth, o.operations / rate) / attained;
    (is_ours(name) ? e.ours : e.libraries) += seconds;
  }
  return e;
}

void print_totals(const char* type, const step_cost& step) {
  double kernels = 0, calls = 0, flops = 0, bytes = 0, of_layers = 0;
  for (const auto& [name, o] : step.operations) {
    (is_ours(name) ? kernels : calls) += is_ours(name) ? o.kernels : o.calls;
    flops += o.operations;
    if (is_ours(name)) bytes += o.bytes;
    if (is_of_layers(name)) of_layers += o.bytes;
  }
  std::printf("In %s: %.0f kernels of this library, %.0f calls of cuDNN and cuBLASLt (one kernel or more each), the host waits "
              "%zu times; %.2f TFLOP. Of the %.0f million neurons times timesteps each costs this library's kernels %.1f bytes, "
              "%.1f with the optimizer and what else runs as for_each, watch or copy_filters.\n\n",
              type, kernels, calls, step.waits, flops / 1e12, step.neurons / 1e6, of_layers / step.neurons,
              bytes / step.neurons);
}

template <std::size_t Width>
void report() {
  const step_cost in_float = count_network<Width, float>(), in_half = count_network<Width, spikenet_tests::half_sized>();
  std::printf("Width %zu, batch %zu, %zu timesteps:\n\n", Width, batch, timesteps);
  std::printf("| operation | calls | kernels | MB in float | MB in half | GFLOP |\n|---|---|---|---|---|---|\n");
  for (const auto& [name, o] : in_half.operations) {
    const auto found = in_float.operations.find(name);
    const double bytes = found == in_float.operations.end() ? 0 : found->second.bytes;
    std::printf("| %s | %.0f | %.0f | %.1f | %.1f | %.1f |\n", name.c_str(), o.calls, o.kernels, bytes / 1e6, o.bytes / 1e6,
                o.operations / 1e9);
  }
  std::printf("\n");
  print_totals("float", in_float);
  print_totals("half", in_half);

  std::printf("| card | type | step at the peaks | of that: this library's kernels | step at half of the peaks | %zu "
              "epochs of MNIST, likewise |\n|---|---|---|---|---|---|\n", epochs);
  const double steps = std::ceil(static_cast<double>(images_of_an_epoch) / batch) * epochs;
  for (const card& c : spikenet_tests::cards) {
    const struct {
      const char* name;
      const step_cost& step;
      double rate;
    } types[] = {{"float", in_float, c.float_rate}, {"TF32", in_float, c.tf32_rate}, {"half", in_half, c.half_rate}};
    for (const auto& type : types) {
      if (type.rate == c.float_rate && type.name[0] == 'T') continue;  // no TF32 there
      const estimate peak = time_of(type.step, c, type.rate, 1), half = time_of(type.step, c, type.rate, 0.5);
      std::printf("| %s | %s | %.1f ms | %.1f ms, %.0f %% | %.1f ms | %.1f min |\n", c.short_name, type.name,
                  1e3 * peak.total(), 1e3 * peak.ours, 100 * peak.ours / peak.total(), 1e3 * half.total(),
                  half.total() * steps / 60);
    }
  }
}

}  // namespace

int main() { report<128>(); }
