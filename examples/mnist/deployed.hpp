// The inference of a network of this program (spikenet/inference/inference.hpp) in one kind of numbers, behind an
// interface as of model.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <spikenet/data/transform.hpp>
#include <spikenet/inference/fold.hpp>
#include <spikenet/inference/parallel.hpp>
#include <spikenet/inference/quantise.hpp>
#include <type_traits>
#include <vector>

#include "model.hpp"

namespace mnist {

class deployed {
 public:
  struct sizes {
    std::size_t parameters, state, workspace;  // bytes: of the network; of an image between two timesteps; beside them
  };

  virtual ~deployed() = default;
  // Images to compute with from now on: the bytes [N, 1, image_height, image_width] of the data set.
  virtual void take(std::span<const std::uint8_t> images) = 0;
  // Logits [count, classes] of the images from `first` on, by all threads. They are the network's.
  virtual void logits(std::size_t first, std::size_t count, std::span<double> result) = 0;
  // The class of one image, by the way that is for one: by one thread, or by all together.
  virtual std::size_t classify(std::size_t image) = 0;
  virtual std::size_t classify_together(std::size_t image) = 0;
  // Logits [timesteps, classes] of one image: what they are after each timestep.
  virtual void follow(std::size_t image, std::span<double> result) = 0;
  // How often a neuron fires at a timestep, on average over all neurons and timesteps of these images.
  virtual double firing_rate(std::size_t first, std::size_t count) = 0;
  virtual sizes bytes() const = 0;
};

template <class Network, class Number>
class deployed_as final : public deployed {
  using architecture = typename Network::architecture;
  using one = spikenet::inference<architecture, Number>;
  using together = spikenet::parallel_inference<architecture, Number, 1>;
  using many = spikenet::parallel_inference<architecture, Number>;
  using value = typename one::value;
  static constexpr bool in_integers = !std::is_floating_point_v<Number>;

 public:
  deployed_as(const Network& net, const spikenet::normalise& normalisation) : parameters_{parameters_of(net, normalisation)} {
    for (std::size_t byte = 0; byte < values_.size(); ++byte) {
      const auto b = static_cast<std::uint8_t>(byte);
      if constexpr (in_integers)
        values_[byte] = b;
      else
        values_[byte] = static_cast<value>(normalisation(b, 0));
    }
  }

  void take(std::span<const std::uint8_t> images) override {
    images_.resize(images.size());
    std::transform(images.begin(), images.end(), images_.begin(), [&](std::uint8_t byte) { return values_[byte]; });
  }
  void logits(std::size_t first, std::size_t count, std::span<double> result) override {
    logits_.resize(count * classes);
    many_.logits(std::span(images_).subspan(first * one::image_size, count * one::image_size), logits_);
    std::transform(logits_.begin(), logits_.end(), result.begin(), as_real());
  }
  std::size_t classify(std::size_t image) override {
    std::array<typename one::logit, classes> result;
    one_->logits(this->image(image), result);
    return one::class_of(result);
  }
  std::size_t classify_together(std::size_t image) override {
    std::array<typename one::logit, classes> result;
    together_.logits(this->image(image), result);
    return one::class_of(result);
  }
  void follow(std::size_t image, std::span<double> result) override {
    std::array<typename one::logit, classes> logits;
    typename one::state state;
    for (std::size_t t = 0; t < one::timesteps; ++t) {
      one_->step(state, this->image(image));
      one::read_out(state, logits);
      std::transform(logits.begin(), logits.end(), result.begin() + static_cast<std::ptrdiff_t>(t * classes), as_real());
    }
  }
  double firing_rate(std::size_t first, std::size_t count) override {
    double fired = 0, neurons = 0;
    std::array<typename one::logit, classes> result;
    for (std::size_t i = first; i < first + count; ++i) {
      one_->logits(this->image(i).data(), 1, result.data(), [&](const spikenet::fired_layer& layer) {
        for (std::size_t t = 0; t < layer.steps; ++t)
          for (std::size_t y = 0; y < layer.height; ++y)
            for (std::size_t x = 0; x < layer.width; ++x)
              for (std::size_t c = 0; c < layer.channels; ++c, ++neurons) fired += layer.fired(0, t, y, x, c);
      });
    }
    return fired / neurons;
  }
  sizes bytes() const override { return {sizeof(typename one::parameters), sizeof(typename one::state), sizeof(one)}; }

 private:
  static auto parameters_of(const Network& net, const spikenet::normalise& normalisation) {
    if constexpr (in_integers)
      return spikenet::quantise<one>(net, normalisation);
    else
      return spikenet::fold<one>(net);
  }
  auto as_real() const {
    return [this](typename one::logit logit) {
      if constexpr (in_integers)
        return logit * static_cast<double>(parameters_->constants.logit_unit);
      else
        return static_cast<double>(logit);
    };
  }
  std::span<const value, one::image_size> image(std::size_t i) const {
    return std::span<const value, one::image_size>(images_.data() + i * one::image_size, one::image_size);
  }

  std::unique_ptr<typename one::parameters> parameters_;
  std::array<value, 256> values_;  // of the bytes
  std::unique_ptr<one> one_ = std::make_unique<one>(*parameters_);
  together together_{*parameters_};
  many many_{*parameters_};
  std::vector<value> images_;
  std::vector<typename one::logit> logits_;
};

}  // namespace mnist
