// A layer of your own, outside the library: a learnable gain for each channel, with its backward pass. In front of
// neurons with a hard reset, gain g is the same as the threshold Vth / g: a threshold that every channel learns.
//
// The program checks the backward pass by finite differences, then trains the layer within a network.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <spikenet/spikenet.hpp>
#include <string>
#include <vector>

// y = gain[channel] * x
struct gain : spikenet::layer {
  template <class Backend, std::size_t T, class In>
  struct module {
    using scalar = typename Backend::scalar;
    using output = spikenet::signal<typename In::shape, In::steps>;
    static constexpr std::size_t C = In::channels;

    static constexpr std::array<spikenet::parameter, 1> parameters{spikenet::parameter{"weight", {C}, 1}};
    std::array<spikenet::parameter_slot<scalar>, 1> slots{};

    static void initialize(std::size_t, std::span<scalar> values, spikenet::initialization, spikenet::random_stream&) {
      std::fill(values.begin(), values.end(), scalar{1});
    }

    void forward(spikenet::context<Backend>& c, spikenet::tensor<In, const scalar> x,
                 spikenet::tensor<output, scalar> y) {
      c.backend.for_each(x.size(), [in = x.data, out = y.data, weight = slots[0].value](std::size_t i) {
        out[i] = weight[i % C] * in[i];
      });
    }

    void backward(spikenet::context<Backend>& c, spikenet::tensor<In, const scalar> x,
                  spikenet::tensor<output, const scalar>, spikenet::tensor<output, const scalar> gy,
                  spikenet::tensor<In, scalar> gx) {
      scalar* const product = c.scratch.take(x.size());
      c.backend.for_each(x.size(), [=](std::size_t i) { product[i] = gy.data[i] * x.data[i]; });
      c.backend.template channel_sums<C>(x.size() / C, product, slots[0].gradient);
      c.scratch.give_back(1);
      if (!gx) return;
      c.backend.for_each(gx.size(), [g = gy.data, out = gx.data, weight = slots[0].value](std::size_t i) {
        out[i] = weight[i % C] * g[i];
      });
    }
  };
};

template <class Scalar, class Lif>
using net_t = spikenet::network<spikenet::cpu<Scalar>, spikenet::timesteps<3>, spikenet::image<2, 8, 8>,
                                spikenet::named<"conv", spikenet::conv2d<6, 3>>, spikenet::named<"gain", gain>,
                                spikenet::named<"spike", Lif>, spikenet::named<"conv2", spikenet::conv2d<6, 3>>,
                                spikenet::named<"gain2", gain>, spikenet::named<"spike2", Lif>,
                                spikenet::global_avg_pool, spikenet::named<"fc", spikenet::linear<4>>>;

// 16 images of noise, each brighter in the quarter that is its label.
template <class Scalar>
struct data {
  std::vector<Scalar> images;
  std::vector<std::int32_t> labels;

  data() {
    spikenet::random_stream random{spikenet::seed{7}};
    for (std::int32_t n = 0; n < 16; ++n) {
      labels.push_back(n % 4);
      for (std::int32_t i = 0; i < 2 * 8 * 8; ++i) {
        const bool bright = (i / 8 % 8 < 4) == (n % 4 < 2) && (i % 8 < 4) == (n % 2 == 0);
        images.push_back(static_cast<Scalar>((bright ? 1.0 : 0.0) + 0.5 * random.normal()));
      }
    }
  }
};

// The largest difference between the gradients of the backward pass and central differences of the loss, over the
// largest gradient. The neurons emit a ramp instead of spikes: differences across a step mean nothing.
double gradient_error() {
  const data<double> d;
  net_t<double, spikenet::lif<spikenet::ramp>> net{spikenet::seed{1}};
  std::vector<double> analytic;
  std::vector<double*> parameters;
  net.compute_gradients(d.images, d.labels);
  net.for_each_parameter([&](const spikenet::tensor_info& info, std::span<double> values, std::span<double> gradients) {
    if (info.name.find("gain") == std::string::npos && info.name.find("conv") == std::string::npos) return;
    analytic.insert(analytic.end(), gradients.begin(), gradients.end());
    for (double& value : values) parameters.push_back(&value);
  });

  double largest = 0, error = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const double kept = *parameters[i], h = 1e-6;
    *parameters[i] = kept + h;
    const double above = net.compute_gradients(d.images, d.labels).loss;
    *parameters[i] = kept - h;
    const double below = net.compute_gradients(d.images, d.labels).loss;
    *parameters[i] = kept;
    error = std::max(error, std::abs((above - below) / (2 * h) - analytic[i]));
    largest = std::max(largest, std::abs(analytic[i]));
  }
  std::printf("%zu gradients checked, error over the largest gradient: %.1e\n", parameters.size(), error / largest);
  return error / largest;
}

int main() {
  const bool gradients_right = gradient_error() < 1e-6;

  const data<float> d;
  net_t<float, spikenet::lif<>> net{spikenet::seed{1}};
  const spikenet::adam optimizer{.learning_rate = 1e-2};
  const double first = net.train_step(d.images, d.labels, optimizer).loss;
  double last = first;
  for (int step = 1; step < 100; ++step) last = net.train_step(d.images, d.labels, optimizer).loss;
  std::printf("loss at the start %.3f, after 100 steps %.3f\n", first, last);
  net.for_each_parameter([](const spikenet::tensor_info& info, std::span<float> values, std::span<float>) {
    if (info.name != "gain.weight") return;
    std::printf("%s:", info.name.c_str());
    for (const float value : values) std::printf(" %.3f", static_cast<double>(value));
    std::printf("\n");
  });
  return gradients_right && last < first / 2 ? 0 : 1;
}
