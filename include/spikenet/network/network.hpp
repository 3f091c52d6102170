// A static network: every shape is known when it is compiled, forward and backward passes unroll over T timesteps.
//
//     using net_t = spikenet::network<spikenet::cpu<float>, spikenet::timesteps<4>, spikenet::image<1, 28, 28>,
//                                     spikenet::conv2d<32, 3>, spikenet::tdbn<>, spikenet::lif<>,
//                                     spikenet::global_avg_pool, spikenet::linear<10>>;
//     net_t net{spikenet::seed{1}};
//     net.train_step(images, labels, spikenet::adam{});
//
// The readout is the mean over the timesteps of the last layer's output: mean spikes where that is a lif, mean current
// where it is a linear.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "spikenet/backend/backend.hpp"
#include "spikenet/backend/memory.hpp"
#include "spikenet/core/buffer.hpp"
#include "spikenet/core/compiler.hpp"
#include "spikenet/core/error.hpp"
#include "spikenet/core/parameter.hpp"
#include "spikenet/core/random.hpp"
#include "spikenet/core/text.hpp"
#include "spikenet/core/tensor.hpp"
#include "spikenet/layer/layer.hpp"
#include "spikenet/network/architecture.hpp"
#include "spikenet/network/chain.hpp"
#include "spikenet/network/profile.hpp"

namespace spikenet {

// What a step reports of its batch, before the parameters were moved.
struct step_result {
  double loss = 0;          // mean over the batch
  std::size_t correct = 0;  // images whose largest logit is their label's
  std::size_t size = 0;     // images
  // The share of the images that are correct; 0, as the loss is, where there are none.
  double accuracy() const { return size > 0 ? static_cast<double>(correct) / static_cast<double>(size) : 0; }
};

// A compile-time error, like those of check.hpp.
template <class OutputShape>
struct network_must_end_in_a_vector_of_logits {
  static_assert(
      vector_shape<OutputShape>,
      "spikenet: the last layer must produce a vector (see network_must_end_in_a_vector_of_logits<shape>): end "
      "the network in linear<classes>, or in linear<classes>, lif<>");
  static constexpr bool checked = true;
};

struct softmax_cross_entropy;

namespace detail {

// A loss that looks at one item at a time; see training/loss.hpp.
template <class Loss, class S>
concept loss_of_items = requires(const Loss& loss, std::size_t n, const S* logits, double share, S* gradient) {
  { loss.of_item(n, logits, n, share, gradient) } -> std::convertible_to<double>;
};

// to[i] = the mean of from [steps, count] over the steps.
template <class Backend, class Real, class S>
void mean_over_steps(Backend& backend, std::size_t steps, std::size_t count, const Real* from, S* to) {
  backend.for_each(count, [=] SPIKENET_HOST_DEVICE(std::size_t i) {
    S sum{};
    for (std::size_t t = 0; t < steps; ++t) sum += static_cast<S>(from[t * count + i]);
    to[i] = sum / static_cast<S>(steps);
  });
}

// The gradient of that, times *factor, or 1 where that is null: every timestep has the same share. to [steps, count]
template <class Backend, class S, class Real>
void share_among_steps(Backend& backend, std::size_t steps, std::size_t count, const double* factor, const S* from,
                       Real* to) {
  backend.for_each(steps * count, [=] SPIKENET_HOST_DEVICE(std::size_t i) {
    const S share = (factor ? static_cast<S>(*factor) : S{1}) / static_cast<S>(steps);
    to[i] = static_cast<Real>(share * from[i % count]);
  });
}

template <class Backend, class S>
void scale(Backend& backend, std::size_t count, double factor, S* values) {
  backend.for_each(count, [=] SPIKENET_HOST_DEVICE(std::size_t i) {
    values[i] = static_cast<S>(static_cast<double>(values[i]) * factor);
  });
}

// What a backend that only queues steps keeps of them in its memory, of doubles: the sum of their losses, how many images
// were right, the number of steps that were not left out; and, in mixed precision, the loss scale.
enum of_steps : std::size_t { sum_of_losses, sum_of_correct, steps_done, current_loss_scale, numbers_of_steps };

// Where gradients, and nothing before them, are not finite, and the loss scale can be halved: does that, and has the step
// left out, by `not_finite` being what says so. At the step's end that is to be forgotten.
template <class Backend, class S>
void lower_loss_scale(Backend& backend, const S* gradients, double* numbers) {
  unsigned long long* const not_finite = backend.not_finite();
  backend.for_each(1, [=] SPIKENET_HOST_DEVICE(std::size_t) {
    double& scale = numbers[current_loss_scale];
    if (*not_finite != reinterpret_cast<unsigned long long>(gradients) || scale <= 1) return;
    scale /= 2;
    *not_finite = Backend::step_left_out;
  });
}
template <class Backend>
void forget_step_left_out(Backend& backend) {
  unsigned long long* const not_finite = backend.not_finite();
  backend.for_each(1, [=] SPIKENET_HOST_DEVICE(std::size_t) {
    if (*not_finite == Backend::step_left_out) *not_finite = 0;
  });
}
template <class Backend>
void count_step(Backend& backend, double* numbers) {
  backend.for_each(1, [=] SPIKENET_HOST_DEVICE(std::size_t) { numbers[steps_done] += 1; });
}

// What Backend says the gradient of the loss is to be multiplied with; 1 where it says nothing.
template <class Backend>
inline constexpr double default_loss_scale = [] {
  if constexpr (requires { Backend::loss_scale; }) {
    return Backend::loss_scale;
  } else {
    return 1.0;
  }
}();

// gradient [batch, Classes] of the mean of a loss that looks at one item at a time.
template <std::size_t Classes, class Backend, class Loss, class S>
void differentiate_items(Backend& backend, std::size_t batch, const Loss& loss, const S* logits,
                         const std::int32_t* labels, S* gradient) {
  const double share = 1.0 / static_cast<double>(batch);
  const Loss of = loss;
  backend.for_each(batch, [=] SPIKENET_HOST_DEVICE(std::size_t n) {
    of.of_item(Classes, logits + n * Classes, static_cast<std::size_t>(labels[n]), share, gradient + n * Classes);
  });
}

// The same, and adds the losses of the items, and how many are right, to the numbers.
template <std::size_t Classes, class Backend, class Loss, class S>
void differentiate_and_add_up(Backend& backend, std::size_t batch, const Loss& loss, const S* logits,
                              const std::int32_t* labels, S* gradient, double* numbers) {
  const double share = 1.0 / static_cast<double>(batch);
  const Loss of = loss;
  static_assert(sum_of_losses == 0 && sum_of_correct == 1);
  backend.template add_up<2>(
      batch,
      [=] SPIKENET_HOST_DEVICE(std::size_t n, double* to) {
        const auto label = static_cast<std::size_t>(labels[n]);
        const S* const own = logits + n * Classes;
        to[sum_of_losses] += of.of_item(Classes, own, label, share, gradient + n * Classes);
        std::size_t best = 0;
        for (std::size_t c = 1; c < Classes; ++c)
          if (own[c] > own[best]) best = c;
        to[sum_of_correct] += best == label ? 1.0 : 0.0;
      },
      numbers);
}

// Checks an optimizer's settings in the network's precision, if the optimizer can.
template <class Scalar, class Optimizer>
void validate(const Optimizer& optimizer) {
  if constexpr (requires { optimizer.template validate<Scalar>(); }) {
    optimizer.template validate<Scalar>();
  } else {
    optimizer.validate();
  }
}

// Whether steps can be queued on Backend, and their results be asked for later.
template <class Backend>
inline constexpr bool queues_steps = requires(Backend& b) {
  b.not_finite();
  b.only_if_finite();
};

// The tensors of a layer of any type, so that the work on them is compiled once and not for every layer.
template <class Scalar>
struct layer_tensors {
  using initializer = void(std::size_t, std::span<Scalar>, initialization, random_stream&);

  std::string name;
  std::span<const parameter> parameters;
  parameter_slot<Scalar>* slots;  // one for each parameter
  initializer* initialize;
};
template <class Scalar>
[[gnu::noinline]] void append(std::vector<layer_tensors<Scalar>>& layers, const layer_path& path,
                              std::span<const parameter> parameters, parameter_slot<Scalar>* slots,
                              typename layer_tensors<Scalar>::initializer* initialize) {
  layers.push_back({path.string(), parameters, slots, initialize});
}

}  // namespace detail

// The code of a network that walks its layers, which is nearly all of its compile time. A program that uses a network
// in several source files compiles this code in one of them:
//
//     extern template struct spikenet::network_code<net_t>;  // in the header that defines net_t
//     template struct spikenet::network_code<net_t>;         // in one source file
//
// The members are for the network alone. They are defined outside of the class because compilers instantiate an inline
// function in spite of `extern template`.
template <class Network>
struct network_code {
  using scalar = typename Network::scalar;
  using backend_type = typename Network::backend_type;
  using real = real_of<backend_type>;

  static void initialize(Network& net, seed s, initialization how);
  static void forward(Network& net, std::size_t size, bool training);
  static void backward(Network& net, std::size_t batch, const real* gy);
  static void update_statistics(Network& net, std::size_t batch);
  static void average_statistics(Network& net, std::size_t batch, std::size_t n);
  static void check_statistics(Network& net, bool training);
  static std::vector<detail::layer_tensors<scalar>> layers(Network& net);
};

template <backend Backend, class Timesteps, class Input, class... Layers>
class network {
  friend struct network_code<network>;

 public:
  using scalar = typename Backend::scalar;
  using architecture = spikenet::architecture<Timesteps, Input, Layers...>;
  using input = typename Input::template signal_type<Timesteps::value>;
  static constexpr std::size_t timesteps = Timesteps::value;
  static constexpr std::size_t channels = Input::shape_type::extents[0];
  static constexpr std::size_t height = Input::shape_type::extents[1];
  static constexpr std::size_t width = Input::shape_type::extents[2];

 private:
  static_assert(sizeof...(Layers) > 0, "spikenet: a network needs at least 1 layer");
  using backend_type = Backend;
  using code = network_code<network>;
  using chain_type = detail::chain<Backend, timesteps, 0, input, Layers...>;
  using output = typename chain_type::output;
  using real = real_of<Backend>;
  using output_value = held<Backend, output>;
  static_assert(network_must_end_in_a_vector_of_logits<typename output::shape>::checked);

 public:
  static constexpr std::size_t classes = output::size;

  // Throws argument_error where a value of the neuron is out of its range.
  explicit network(seed s = {}, const neuron& neurons = {}, initialization how = initialization::pytorch)
      : neurons_{neurons} {
    neurons_.validate<scalar>();
    code::initialize(*this, s, how);
    if constexpr (queues || is_mixed) {
      detail::fill(backend_, of_steps_.reserve(detail::numbers_of_steps), detail::numbers_of_steps,
                   [this](double* numbers) {
                     std::fill_n(numbers, detail::numbers_of_steps, 0.0);
                     numbers[detail::current_loss_scale] = loss_scale_;
                   });
    }
  }
  network(const network&) = delete;  // a network owns much memory; copy its tensors where a copy is meant
  network& operator=(const network&) = delete;
  network(network&&) noexcept = default;
  network& operator=(network&&) noexcept = default;

  // One step of training: forward, loss, backward, update.
  //   images  [N, C, H, W] ([T, N, C, H, W] for frames), row-major, finite
  //   labels  [N], each in 0 ... classes-1
  // Throws argument_error on sizes, labels or an optimizer that do not fit, or on a batch that leaves a tdBN a single
  // value per channel; numeric_error where NaN or infinity arises. Parameters and running statistics are then as before
  // the call.
  template <class Optimizer, class Loss = softmax_cross_entropy>
  step_result train_step(std::span<const scalar> images, std::span<const std::int32_t> labels,
                         const Optimizer& optimizer, const Loss& loss = {}) {
    detail::validate<scalar>(optimizer);
    const step_result result = compute_gradients(images, labels, loss);
    update(optimizer);
    return result;
  }

  // A step of training like train_step, whose result is asked for later, by finish_steps. Where the backend can, the step is
  // only queued, and the host goes on at once: a device then has no need to wait for it between two steps. images and
  // labels are free when this returns. Arguments as in train_step; throws argument_error for them.
  //
  // Of what only the device sees finish_steps tells, or an evaluation that comes before it. Until then: where a value is not finite, that step and all that are
  // queued after it move nothing; in mixed precision, where gradients alone are infinite, that step moves nothing and the
  // loss scale is halved for those that follow (train_step runs such a step's backward pass again).
  template <class Optimizer, class Loss = softmax_cross_entropy>
  void queue_step(std::span<const scalar> images, std::span<const std::int32_t> labels, const Optimizer& optimizer,
                  const Loss& loss = {}) {
    detail::validate<scalar>(optimizer);
    if constexpr (queues && differentiates_on_device<Loss>) {
      if (!times_) return queue_step_on_device(images, labels, optimizer, loss);
    }
    const step_result result = train_step(images, labels, optimizer, loss);
    queued_.loss += result.loss * static_cast<double>(result.size);
    queued_.correct += result.correct;
    queued_.size += result.size;
  }

  // Waits for the steps that were queued since the last call, and says what they did, all together: the loss is the mean
  // over all of their images. If no step was queued, all numbers are 0. Throws numeric_error where NaN or infinity arose
  // in one; parameters and running statistics are then as before that one.
  step_result finish_steps() {
    step_result all = std::exchange(queued_, {});
    if constexpr (queues) {
      if (const std::uint64_t steps = std::exchange(queued_steps_, 0); steps > 0) {
        std::array<double, detail::numbers_of_steps> numbers{};
        backend_.download(static_cast<const double*>(of_steps_.data()), numbers.size(), numbers.data());
        backend_.clear(of_steps_.data(), detail::current_loss_scale);
        const std::uint64_t left_out = steps - static_cast<std::uint64_t>(numbers[detail::steps_done]);
        updates_ -= left_out;
        updates_by_kind_ -= std::min(left_out, updates_by_kind_);
        loss_scale_ = numbers[detail::current_loss_scale];
        if (!check_pass(true)) find_bad_gradient();
        all.loss += numbers[detail::sum_of_losses];
        all.correct += static_cast<std::size_t>(numbers[detail::sum_of_correct]);
      }
    }
    if (all.size > 0) all.loss /= static_cast<double>(all.size);
    return all;
  }

  // The first half of train_step: the gradients of the mean loss, see for_each_parameter. Running statistics take in
  // the batch. Same arguments and errors.
  template <class Loss = softmax_cross_entropy>
  step_result compute_gradients(std::span<const scalar> images, std::span<const std::int32_t> labels,
                                const Loss& loss = {}) {
    const std::size_t batch = labels.size();
    real* const gy = begin_step(images, labels);
    step_result result;
    if constexpr (differentiates_on_device<Loss>) {
      take_in_labels(labels);
      reserve_logits(batch);
      repeat<Loss>(batch, &kind_of<Loss>, [&] {
        code::forward(*this, batch, true);
        differentiate_on_device(batch, loss, gy);
        code::backward(*this, batch, gy);
      });
    } else {
      code::forward(*this, batch, true);
      check_pass(true);
      result = judge_and_differentiate(labels, loss, gy);
      code::backward(*this, batch, gy);
    }
    const detail::profile_scope timed(times_, detail::pass::backward, "update");
    if constexpr (differentiates_on_device<Loss>) {
      const bool finite = check_pass(true);
      const std::span<const scalar> logits = fetch_logits();
      result = judge(logits, labels);
      result.loss = loss_of(labels, loss, logits);
      if (!finite) run_backward_with_less(batch, gy);
    } else if (!gradients_are_finite()) {
      run_backward_with_less(batch, gy);
    }
    code::update_statistics(*this, batch);
    return result;
  }

  // The second half of train_step. The optimizer's moments start at zero with the first step, and again when another
  // type of optimizer takes over.
  template <class Optimizer>
  void update(const Optimizer& optimizer) {
    detail::validate<scalar>(optimizer);
    const detail::profile_scope timed(times_, detail::pass::backward, "update");
    if (optimizer_kind_ != &kind_of<Optimizer>) restore_updates<Optimizer>(updates_, 0);
    ++updates_;
    optimizer(backend_, optimizer_step<scalar>{values_.data(), gradients_.data(), moments_.data(), arena_size_,
                                               ++updates_by_kind_});
  }

  // The running statistics anew, for the parameters as they are: their mean over several batches, of which this is the
  // n-th, counted from 1. Running averages lag behind parameters that move, and the further the deeper a network is; a
  // spike that is lost for that is lost whole, so accuracy in evaluation mode can fall far below that in training and
  // recover a step later. Some thousand images before an evaluation end that ("precise BN": Wu and Johnson, arXiv
  // 2105.07576, section 3; PyTorch's swa_utils.update_bn). Training itself does not depend on running statistics.
  //   images  [N, C, H, W] ([T, N, C, H, W] for frames), N >= 1, finite; from the training data
  // Throws argument_error as train_step and on n = 0, numeric_error where NaN or infinity arises; the running
  // statistics are then as before the call.
  void recalibrate(std::span<const scalar> images, std::size_t n) {
    if (n == 0) throw argument_error("network: batches to recalibrate with are counted from 1, but this one is 0");
    const std::size_t batch = count_images(images);
    forward(images, batch, batch, 0, true);
    check_pass(true);
    code::average_statistics(*this, batch, n);
  }

  // Logits [N, classes] in evaluation mode (running statistics), valid until the next call. images as in train_step;
  // any N >= 1. Computed in slices, so memory does not grow with N.
  std::span<const scalar> evaluate(std::span<const scalar> images) { return evaluate(images, nobody{}); }

  // The same, and shows an observer every layer on each slice of the batch, in order: observer(name, output), whose
  // type says what it holds: tensor<signal<Shape, Steps, Content>, const scalar>; or, where the observer does not take
  // that, observer(observation), which has the layer's module and input too. `monitor` is one of the second kind.
  template <class Observer>
  std::span<const scalar> evaluate(std::span<const scalar> images, Observer&& observer) {
    const std::size_t batch = count_images(images);
    logits_.reserve(batch * classes);
    for (std::size_t first = 0; first < batch; first += evaluation_slice) {
      const std::size_t size = std::min(evaluation_slice, batch - first);
      forward(images, batch, size, first, false);
      read_out(batch, first, size);
      if constexpr (!std::is_same_v<std::decay_t<Observer>, nobody>) {
        check_pass(false);
        show_layers(size, false, observer);
      }
    }
    check_pass(false);  // once: a device computes a slice while the host takes in the next
    return fetch_logits();
  }

  // Loss and correct answers in evaluation mode; arguments and errors as in train_step.
  template <class Loss = softmax_cross_entropy>
  step_result test_step(std::span<const scalar> images, std::span<const std::int32_t> labels, const Loss& loss = {}) {
    check_labels(labels);
    check_images(images, labels.size());
    const std::span<const scalar> logits = evaluate(images);
    step_result result = judge(logits, labels);
    result.loss = loss_of(labels, loss, logits);
    return result;
  }

  // f(const tensor_info&, std::span<scalar>) for every parameter and running statistic, in the order and layout of a
  // PyTorch state dict.
  template <class F>
  void for_each_tensor(F&& f) {
    visit_tensors([&](const tensor_info& info, std::size_t size, const parameter_slot<scalar>& slot) {
      detail::on_host(backend_, slot.value, size, [&](std::span<scalar> values) { f(info, values); });
    });
  }
  template <class F>
  void for_each_tensor(F&& f) const {
    auto* const self = const_cast<network*>(this);
    self->visit_tensors([&](const tensor_info& info, std::size_t size, const parameter_slot<scalar>& slot) {
      detail::on_host(self->backend_, static_cast<const scalar*>(slot.value), size,
                      [&](std::span<const scalar> values) { f(info, values); });
    });
  }

  // f(const tensor_info&, std::span<scalar> values, std::span<scalar> gradients) for every trainable tensor; gradients
  // are those of the last compute_gradients or train_step.
  template <class F>
  void for_each_parameter(F&& f) {
    visit_tensors([&](const tensor_info& info, std::size_t size, const parameter_slot<scalar>& slot) {
      if (!info.trainable) return;
      detail::on_host(backend_, slot.value, size, [&](std::span<scalar> values) {
        detail::on_host(backend_, slot.gradient, size,
                        [&](std::span<scalar> gradients) { f(info, values, gradients); });
      });
    });
  }

  // Shows an observer every layer as the last compute_gradients or train_step left it, if nothing was evaluated since;
  // see evaluate.
  template <class Observer>
  void for_each_output(Observer&& observer) {
    show_layers(training_batch_, true, observer);
  }

  // All gradients in one array, for what concerns them as a whole; between tensors there may be zeros. Those of the
  // last compute_gradients or train_step.
  std::span<scalar> gradients() noexcept requires host_visible<Backend> { return {gradients_.data(), arena_size_}; }
  // The same where the host does not see them: the sum of their squares, and all of them times a factor.
  double sum_of_squared_gradients() requires(!host_visible<Backend>) {
    return backend_.sum_of_squares(arena_size_, static_cast<const scalar*>(gradients_.data()));
  }
  void scale_gradients(double factor) requires(!host_visible<Backend>) {
    detail::scale(backend_, arena_size_, factor, gradients_.data());
  }

  // f(const tensor_info&, std::size_t moment, std::span<scalar> values) for what this type of optimizer remembers of
  // every trainable tensor: its moments 0 ... Optimizer::moments-1. Nothing where updates_by<Optimizer>() is 0.
  template <class Optimizer, class F>
  void for_each_moment(F&& f) {
    if (updates_by<Optimizer>() == 0) return;
    visit_tensors([&](const tensor_info& info, std::size_t size, const parameter_slot<scalar>& slot) {
      if (!info.trainable) return;
      scalar* moment = moments_.data() + (slot.value - values_.data());
      for (std::size_t m = 0; m < Optimizer::moments; ++m, moment += arena_size_)
        detail::on_host(backend_, moment, size, [&](std::span<scalar> values) { f(info, m, values); });
    });
  }
  template <class Optimizer, class F>
  void for_each_moment(F&& f) const {
    const_cast<network*>(this)->template for_each_moment<Optimizer>(
        [&](const tensor_info& info, std::size_t m, std::span<scalar> values) {
          f(info, m, std::span<const scalar>(values));
        });
  }

  // The readout [N, classes] of the last call.
  std::span<const scalar> logits() const { return host_logits_.last(); }

  // Steps of training taken so far, and those that this type of optimizer has taken since the last step of another one.
  std::uint64_t updates() const noexcept { return updates_; }
  template <class Optimizer>
  std::uint64_t updates_by() const noexcept {
    return optimizer_kind_ == &kind_of<Optimizer> ? updates_by_kind_ : 0;
  }

  // Goes on as after `updates` steps, the last `by_optimizer` of which this type of optimizer has taken. Its moments
  // are zero until for_each_moment sets them.
  template <class Optimizer>
  void restore_updates(std::uint64_t updates, std::uint64_t by_optimizer) {
    constexpr std::size_t moments = Optimizer::moments;
    detail::clear(backend_, moments_.reserve(moments * arena_size_), moments * arena_size_);
    optimizer_kind_ = &kind_of<Optimizer>;
    updates_by_kind_ = by_optimizer;
    updates_ = updates;
  }

  // In mixed precision the gradient of the loss is multiplied by this before it goes back through the layers, so that what
  // is small is not lost where it is stored in few bits, and the gradients of the parameters are divided by it at the end:
  // nobody else sees it. A power of two, for that rounds nothing; at first 1024 for half, which has few bits of exponent,
  // and 1 for bfloat16. Where it makes gradients infinite the backward pass is run again with half of it, which stays.
  // Throws argument_error where it is to be no power of two.
  double loss_scale() const noexcept { return loss_scale_; }
  void set_loss_scale(double scale) requires(!std::is_same_v<real_of<Backend>, scalar>) {
    int exponent = 0;
    if (!(scale > 0) || std::frexp(scale, &exponent) != 0.5 || exponent < -60 || exponent > 60) {
      throw argument_error("network: the loss scale must be a power of two, but is " + detail::text_of(scale));
    }
    loss_scale_ = scale;
    detail::fill(backend_, of_steps_.data() + detail::current_loss_scale, 1, [scale](double* to) { *to = scale; });
    if constexpr (requires { backend_.forget_passes(); }) backend_.forget_passes();  // with a scale of 1 less is done
  }

  // From now on every pass adds the time of each layer to `times`, which must live as long; null: no more. The
  // network's results are the same; see network/profile.hpp.
  void profile_into(profile* times) noexcept { times_ = times; }

  const neuron& neurons() const noexcept { return neurons_; }
  std::size_t parameter_count() const noexcept { return parameter_count_; }

 private:
  static constexpr std::size_t evaluation_slice = 64;
  static constexpr std::size_t image_size = input::steps * input::size;  // values
  static constexpr bool is_mixed = !std::is_same_v<real, scalar>;
  static constexpr bool queues = detail::queues_steps<Backend>;
  struct nobody {};  // observes nothing
  template <class Optimizer>
  static constexpr char kind_of = 0;  // its address stands for the type
  template <class Loss>
  static constexpr char queued_kind_of = 0;

  template <class Observer>
  void show_layers(std::size_t size, bool training, Observer& observer) {
    scratch_.clear();
    context<Backend> c{backend_, scratch_, neurons_, training};
    chain_.observe(c, "", {input_.data(), size}, {output_.data(), size}, observer);
  }

  // f(const tensor_info&, std::size_t size, const parameter_slot<scalar>&)
  template <class F>
  void visit_tensors(F&& f) {
    for (const auto& layer : code::layers(*this)) {
      const parameter_slot<scalar>* slot = layer.slots;
      for (const parameter& p : layer.parameters) {
        tensor_info info;
        info.name = layer.name + "." + p.name;
        info.shape.assign(p.extents.begin(), p.extents.begin() + static_cast<std::ptrdiff_t>(p.rank));
        info.trainable = p.trainable;
        info.branches = p.branches;
        f(info, p.size(), *slot++);
      }
    }
  }

  // Returns the number of images. Throws argument_error if they are none, or not whole.
  static std::size_t count_images(std::span<const scalar> images) {
    if (images.empty()) throw argument_error("network: the batch is empty");
    const std::size_t batch = images.size() / image_size;
    if (images.size() % image_size != 0) refuse_images(images, std::max<std::size_t>(batch, 1));
    return batch;
  }
  static void check_images(std::span<const scalar> images, std::size_t batch) {
    if (batch == 0) {
      throw argument_error("network: the batch is empty: there are no labels, and " + std::to_string(images.size()) +
                           " values of images");
    }
    if (images.size() != batch * image_size) refuse_images(images, batch);
  }
  [[noreturn]] static void refuse_images(std::span<const scalar> images, std::size_t batch) {
    const bool one = batch == 1;
    throw argument_error("network: " + std::to_string(batch) + (one ? " image" : " images") + " of " +
                         std::to_string(channels) + "x" + std::to_string(height) + "x" + std::to_string(width) +
                         (input::steps > 1 ? " at " + std::to_string(input::steps) + " timesteps" : std::string()) +
                         (one ? " is " : " are ") + std::to_string(batch * image_size) + " values, but " +
                         std::to_string(images.size()) + " were given");
  }

  static void check_labels(std::span<const std::int32_t> labels) {
    for (std::size_t n = 0; n < labels.size(); ++n) {
      if (labels[n] < 0 || static_cast<std::size_t>(labels[n]) >= classes) {
        throw argument_error("network: label " + std::to_string(n) + " of the batch is " + std::to_string(labels[n]) +
                             ", but there are " + std::to_string(classes) + " classes");
      }
    }
  }

  // The batch goes in; where the gradient by the last layer's output is to be.
  real* begin_step(std::span<const scalar> images, std::span<const std::int32_t> labels) {
    const std::size_t batch = labels.size();
    check_labels(labels);
    check_images(images, batch);
    take_in(images, batch, batch, 0);
    training_batch_ = batch;
    return output_gradient_.reserve(output::steps * batch * classes);
  }

  template <class Optimizer, class Loss>
  void queue_step_on_device(std::span<const scalar> images, std::span<const std::int32_t> labels,
                            const Optimizer& optimizer, const Loss& loss) {
    const std::size_t batch = labels.size();
    real* const gy = begin_step(images, labels);
    take_in_labels(labels);
    reserve_logits(batch);
    double* const numbers = of_steps_.data();
    repeat<Loss>(batch, &queued_kind_of<Loss>, [&] {
      code::forward(*this, batch, true);
      read_out(batch, 0, batch);
      detail::differentiate_and_add_up<classes>(backend_, batch, loss, static_cast<const scalar*>(logits_.data()),
                                                static_cast<const std::int32_t*>(labels_.data()),
                                                logits_gradient_.reserve(batch * classes), numbers);
      share_gradient(batch, gy);
      code::backward(*this, batch, gy);
      if constexpr (is_mixed)
        detail::lower_loss_scale(backend_, static_cast<const scalar*>(gradients_.data()), numbers);
      const auto condition = backend_.only_if_finite();
      code::update_statistics(*this, batch);
      detail::count_step(backend_, numbers);
    });
    {
      const auto condition = backend_.only_if_finite();
      update(optimizer);
    }
    if constexpr (is_mixed) detail::forget_step_left_out(backend_);
    queued_.size += batch;
    ++queued_steps_;
  }

  bool gradients_are_finite() {
    if constexpr (host_visible<Backend>) {
      bool finite = true;
      for (std::size_t i = 0; i < arena_size_; ++i) finite = finite && std::isfinite(gradients_.data()[i]);
      return finite;
    } else {
      return backend_.all_finite();
    }
  }
  [[noreturn]] void find_bad_gradient() {
    for_each_parameter([](const tensor_info& info, std::span<const scalar>, std::span<const scalar> gradient) {
      for (const scalar g : gradient) {
        if (!std::isfinite(g)) throw numeric_error(info.name, "its gradient is not finite");
      }
    });
    throw numeric_error("a value is not finite");
  }

  // Where the host does not see what the layers see, it asks them after a pass. Throws numeric_error for the first whose
  // statistics are not finite; false where something else that was watched is not.
  bool check_pass(bool training) {
    if constexpr (!host_visible<Backend>) {
      if (backend_.all_finite()) return true;
      code::check_statistics(*this, training);
      return false;
    }
    return true;
  }

  // Runs `size` of the `batch` images, from number `first` on.
  void forward(std::span<const scalar> images, std::size_t batch, std::size_t size, std::size_t first, bool training) {
    take_in(images, batch, size, first);
    if (training) training_batch_ = size;
    code::forward(*this, size, training);
  }
  // Runs a pass, which for the same batch size and kind starts the same work with the same arguments: a backend may do again
  // what it did the last time. Not where somebody wants to know how long each layer takes, nor with a loss that has numbers
  // of its own, which may be others the next time.
  template <class Loss, class F>
  void repeat(std::size_t batch, const void* kind, F&& pass) {
    if constexpr (std::is_empty_v<Loss> && requires { backend_.repeat(batch, kind, pass); }) {
      if (!times_) return backend_.repeat(batch, kind, pass);
    }
    pass();
  }

  void take_in(std::span<const scalar> images, std::size_t batch, std::size_t size, std::size_t first) {
    const std::size_t values = input::steps * size * input::size;
    detail::fill(backend_, input_.reserve(values), values,
                 [&](real* to) { take_in(images, batch, size, first, to); });
  }
  void take_in_labels(std::span<const std::int32_t> labels) {
    detail::fill(backend_, labels_.reserve(labels.size()), labels.size(),
                 [&](std::int32_t* to) { std::copy(labels.begin(), labels.end(), to); });
  }

  // The gradients are not finite: back again, with half of the loss scale each time, until they are. Throws numeric_error
  // where it has come down to 1, or there is none.
  void run_backward_with_less(std::size_t batch, real* gy) {
    if constexpr (is_mixed) {
      while (loss_scale_ > 1) {
        set_loss_scale(loss_scale_ / 2);
        share_gradient(batch, gy);
        code::backward(*this, batch, gy);
        if (gradients_are_finite()) return;
      }
    }
    find_bad_gradient();
  }

  // gy, from that by the logits.
  void share_gradient(std::size_t batch, real* gy) {
    detail::share_among_steps(backend_, output::steps, batch * classes, loss_scale_on_device(),
                              static_cast<const scalar*>(logits_gradient_.data()), gy);
  }
  const double* loss_scale_on_device() {
    if constexpr (is_mixed) {
      return of_steps_.data() + detail::current_loss_scale;
    } else {
      return nullptr;
    }
  }

  // Channels innermost; throws numeric_error where a value is not finite, or none once it is stored.
  void take_in(std::span<const scalar> images, std::size_t batch, std::size_t size, std::size_t first, real* in) {
    const detail::profile_scope timed(times_, detail::pass::forward, "input");
    constexpr std::size_t pixels = height * width;
    bool finite = true;
    for (std::size_t t = 0; t < input::steps; ++t) {
      const scalar* from = images.data() + (t * batch + first) * input::size;
      real* to = in + t * size * input::size;
      for (std::size_t n = 0; n < size; ++n, from += input::size, to += input::size) {
        for (std::size_t channel = 0; channel < channels; ++channel) {
          for (std::size_t p = 0; p < pixels; ++p) {
            const real value = static_cast<real>(from[channel * pixels + p]);
            finite = finite && std::isfinite(static_cast<scalar>(value));
            to[p * channels + channel] = value;
          }
        }
      }
    }
    if (!finite) throw_not_finite(images);
  }

  // The loss of the last forward pass, and its gradient gy [steps, N, classes] at the last layer's output.
  template <class Loss>
  step_result judge_and_differentiate(std::span<const std::int32_t> labels, const Loss& loss, real* gy) {
    const detail::profile_scope timed(times_, detail::pass::backward, "loss");
    const std::size_t batch = labels.size();
    read_out(batch, 0, batch);
    const std::span<const scalar> logits = fetch_logits();
    step_result result = judge(logits, labels);
    const std::size_t values = batch * classes;
    scalar* const gradient = logits_gradient_.reserve(values);
    detail::fill(backend_, gradient, values,
                 [&](scalar* to) { result.loss = loss_of(labels, loss, logits, std::span<scalar>(to, values)); });
    share_gradient(batch, gy);
    return result;
  }

  // Whether the gradient of a loss is computed without the host, which then need not wait for the forward pass.
  template <class Loss>
  static constexpr bool differentiates_on_device =
      !host_visible<Backend> && detail::loss_of_items<Loss, typename Backend::scalar>;

  // The same gradient, of a loss that has of_item.
  template <class Loss>
  void differentiate_on_device(std::size_t batch, const Loss& loss, real* gy) {
    read_out(batch, 0, batch);
    const std::size_t values = batch * classes;
    scalar* const gradient = logits_gradient_.reserve(values);
    detail::differentiate_items<classes>(backend_, batch, loss, static_cast<const scalar*>(logits_.data()),
                                         static_cast<const std::int32_t*>(labels_.data()), gradient);
    share_gradient(batch, gy);
  }

  // The loss, on the host; its gradient goes to `gradient`, or nowhere that matters.
  template <class Loss>
  double loss_of(std::span<const std::int32_t> labels, const Loss& loss, std::span<const scalar> logits,
                 std::span<scalar> gradient = {}) {
    if (gradient.empty()) gradient = {unused_gradient(logits.size()), logits.size()};
    const double value = loss(classes, logits, labels, gradient);
    if (!std::isfinite(value)) throw numeric_error("the loss is not finite");
    return value;
  }

  [[noreturn]] static void throw_not_finite(std::span<const scalar> images) {
    const auto is_bad = [](scalar v) { return !std::isfinite(static_cast<scalar>(static_cast<real>(v))); };
    const auto bad = std::find_if(images.begin(), images.end(), is_bad);
    throw numeric_error("input: value " + std::to_string(bad - images.begin()) + " of the batch is " +
                        (std::isfinite(*bad) ? "too large for what layers store" : "not finite"));
  }

  // Memory of the host for a gradient that nobody reads.
  scalar* unused_gradient(std::size_t size) {
    if constexpr (host_visible<Backend>) {
      return logits_gradient_.reserve(size);
    } else {
      return unused_gradient_.reserve(size);
    }
  }

  scalar* reserve_logits(std::size_t batch) {
    logits_size_ = batch * classes;
    return logits_.reserve(logits_size_);
  }

  // Writes the logits of images first ... first+size-1 of the batch: the mean over the timesteps of the last output.
  void read_out(std::size_t batch, std::size_t first, std::size_t size) {
    scalar* const logits = reserve_logits(batch);
    scratch_.clear();
    context<Backend> c{backend_, scratch_, neurons_, false};
    const detail::real_view<Backend, output> last(c, tensor<output, const output_value>{output_.data(), size});
    detail::mean_over_steps(backend_, output::steps, size * classes, (*last).data, logits + first * classes);
  }

  // Them on the host. Throws numeric_error where one is not finite.
  std::span<const scalar> fetch_logits() {
    const std::span<const scalar> logits = host_logits_.fetch(backend_, logits_.data(), logits_size_);
    for (const scalar logit : logits)
      if (!std::isfinite(logit)) throw numeric_error("output: the logits are not finite");
    return logits;
  }

  // The first of equal logits wins, as in PyTorch's argmax.
  static step_result judge(std::span<const scalar> logits, std::span<const std::int32_t> labels) {
    step_result result;
    result.size = labels.size();
    for (std::size_t n = 0; n < labels.size(); ++n) {
      const auto row = logits.subspan(n * classes, classes);
      const auto best = std::max_element(row.begin(), row.end()) - row.begin();
      result.correct += best == labels[n];
    }
    return result;
  }

  template <class T>
  using storage = typename Backend::template storage<T>;

  Backend backend_;
  neuron neurons_;
  chain_type chain_;
  storage<scalar> values_, gradients_, state_, moments_;
  std::size_t arena_size_ = 0, parameter_count_ = 0;
  std::uint64_t updates_ = 0, updates_by_kind_ = 0;
  const void* optimizer_kind_ = nullptr;

  workspace<Backend> scratch_;
  storage<output_value> output_;
  storage<real> input_, output_gradient_;
  storage<scalar> logits_, logits_gradient_;
  storage<std::int32_t> labels_;
  detail::host_copy<Backend, scalar> host_logits_;
  buffer<scalar> unused_gradient_;  // where the host sees no other
  std::size_t training_batch_ = 0, logits_size_ = 0;
  storage<double> of_steps_;  // see detail::of_steps
  step_result queued_;        // of steps whose results nobody has asked for; here the loss is a sum
  std::uint64_t queued_steps_ = 0;
  double loss_scale_ = detail::default_loss_scale<Backend>;
  profile* times_ = nullptr;
};

// All trainable tensors lie in one array and their gradients in another, so that an optimizer is one loop. Each tensor
// starts on a cache line.
template <class Network>
void network_code<Network>::initialize(Network& net, seed s, initialization how) {
  const auto padded = [](std::size_t size) {
    constexpr std::size_t line = 64 / sizeof(scalar);
    return (size + line - 1) / line * line;
  };
  const auto all = layers(net);
  std::size_t state_size = 0;
  for (const auto& layer : all)
    for (const parameter& p : layer.parameters) (p.trainable ? net.arena_size_ : state_size) += padded(p.size());
  scalar* value = net.values_.reserve(net.arena_size_);
  scalar* gradient = net.gradients_.reserve(net.arena_size_);
  scalar* state = net.state_.reserve(state_size);
  std::uint64_t stream = 0;
  for (const auto& layer : all) {
    for (std::size_t i = 0; i < layer.parameters.size(); ++i) {
      const parameter& p = layer.parameters[i];
      const std::size_t size = p.size();
      if (p.trainable) {
        layer.slots[i] = {value, gradient};
        value += padded(size);
        gradient += padded(size);
        net.parameter_count_ += size;
      } else {
        layer.slots[i] = {state, nullptr};
        state += padded(size);
      }
      random_stream random(s, stream++);
      detail::fill(net.backend_, layer.slots[i].value, size, [&](scalar* values) {
        layer.initialize(i, std::span<scalar>(values, size), how, random);
      });
    }
  }
}

template <class Network>
void network_code<Network>::forward(Network& net, std::size_t size, bool training) {
  const auto out = keep<typename Network::output>(net.output_, size);
  net.scratch_.clear();
  context<backend_type> c{net.backend_, net.scratch_, net.neurons_, training, net.times_};
  if constexpr (requires { net.backend_.begin_pass(); }) net.backend_.begin_pass();
  net.chain_.forward(c, {net.input_.data(), size}, out);
}

// gy [steps, N, classes]: the gradient at the last layer's output
template <class Network>
void network_code<Network>::backward(Network& net, std::size_t batch, const real* gy) {
  net.scratch_.clear();
  context<backend_type> c{net.backend_, net.scratch_, net.neurons_, true, net.times_};
  net.chain_.backward(c, {net.input_.data(), batch}, {net.output_.data(), batch},
                      tensor<typename Network::output, const real>{gy, batch}, {nullptr, batch});
  if constexpr (requires { net.backend_.finish_gradients(); }) net.backend_.finish_gradients();
  if constexpr (Network::is_mixed) {
    if (net.loss_scale_ != 1) {
      return net.backend_.divide_and_watch(net.arena_size_, net.loss_scale_on_device(), net.gradients_.data());
    }
  }
  if constexpr (!host_visible<backend_type>) net.backend_.watch(net.arena_size_, net.gradients_.data());
}

// Adds the batch's statistics to the running ones.
template <class Network>
void network_code<Network>::update_statistics(Network& net, std::size_t batch) {
  context<backend_type> c{net.backend_, net.scratch_, net.neurons_, true};
  const auto update = [&]<class M>(const detail::layer_path&, M& module) {
    if constexpr (requires { module.update_statistics(c, batch); }) module.update_statistics(c, batch);
  };
  net.chain_.visit(nullptr, update);
}

// Makes the running statistics the mean over n batches, of which this is the last.
template <class Network>
void network_code<Network>::average_statistics(Network& net, std::size_t batch, std::size_t n) {
  context<backend_type> c{net.backend_, net.scratch_, net.neurons_, true};
  const auto average = [&]<class M>(const detail::layer_path&, M& module) {
    if constexpr (requires { module.average_statistics(c, batch, n); }) module.average_statistics(c, batch, n);
  };
  net.chain_.visit(nullptr, average);
}

// Throws numeric_error for the first layer whose statistics are not finite, if the host does not see them in a pass.
template <class Network>
void network_code<Network>::check_statistics([[maybe_unused]] Network& net, [[maybe_unused]] bool training) {
  if constexpr (!host_visible<backend_type>) {
    context<backend_type> c{net.backend_, net.scratch_, net.neurons_, training};
    const auto check = [&]<class M>(const detail::layer_path& path, M& module) {
      if constexpr (requires { module.check_statistics(c); }) {
        try {
          module.check_statistics(c);
        } catch (const numeric_error& e) {
          throw e.within(path.string());
        }
      }
    };
    net.chain_.visit(nullptr, check);
  }
}

// Returns the layers that own tensors, in order; valid until the network moves.
template <class Network>
auto network_code<Network>::layers(Network& net) -> std::vector<detail::layer_tensors<scalar>> {
  std::vector<detail::layer_tensors<scalar>> all;
  const auto append = [&]<class M>(const detail::layer_path& path, M& module) {
    if constexpr (M::parameters.size() > 0) {
      detail::append<scalar>(all, path, M::parameters, module.slots.data(),
                             [](std::size_t i, std::span<scalar> values, initialization how, random_stream& random) {
                               M::initialize(i, values, how, random);
                             });
    }
  };
  net.chain_.visit(nullptr, append);
  return all;
}

}  // namespace spikenet
