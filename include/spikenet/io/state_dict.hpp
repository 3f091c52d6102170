// Networks to and from safetensors files under PyTorch's names: what `safetensors.torch.save_file(model.state_dict())`
// writes, a network of the same structure loads, and the reverse with `load_state_dict(..., strict=True)`. Opt-in:
// needs nlohmann/json.
//
// A network here is anything with `for_each_tensor(f)`, which calls f(info, values) for every parameter and running
// statistic; info.name is PyTorch's name and info.shape its shape, values a std::span<Scalar> of its elements,
// row-major.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <set>
#include <span>
#include <spikenet/core/error.hpp>
#include <spikenet/io/safetensors.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace spikenet {

namespace detail {

// PyTorch's batch normalisation counts its batches in a scalar beside its running variance: for "bn1.running_var" this
// is "bn1.num_batches_tracked". Empty for any other name.
inline std::string batch_counter_name(std::string_view name) {
  constexpr std::string_view variance = "running_var";
  if (name != variance && !name.ends_with(".running_var")) return {};
  return std::string{name.substr(0, name.size() - variance.size())} + "num_batches_tracked";
}

// The content of the file that save_state_dict(net, path, metadata) writes.
template <class Network>
safetensors_writer state_dict_writer(Network& net, const std::filesystem::path& path,
                                     const safetensors_metadata& metadata) {
  std::int64_t updates = 0;
  if constexpr (requires { net.updates(); }) updates = static_cast<std::int64_t>(net.updates());

  safetensors_writer writer;
  writer.set_metadata("format", "pt");  // as PyTorch's own; some readers insist
  for (const auto& [key, value] : metadata) writer.set_metadata(key, value);
  net.for_each_tensor([&](const auto& info, auto values) {
    using scalar = typename decltype(values)::value_type;
    // Such a file could not be loaded, and would replace one that can.
    if (!std::all_of(values.begin(), values.end(), [](scalar value) { return std::isfinite(value); }))
      throw numeric_error("Tensor " + in_quotes(info.name) + " holds a value that is not finite, so " + path.string() +
                          " is not written.");
    writer.add<scalar>(info.name, info.shape, values);
    if (const std::string counter = batch_counter_name(info.name); !counter.empty())
      writer.add<std::int64_t>(counter, {}, std::span{&std::as_const(updates), 1});
  });
  return writer;
}

}  // namespace detail

// Writes parameters, running statistics and batch counters, F32 or F64 as the network computes, replacing the file in
// one step. The counters are net.updates(), the training steps so far, or 0 for a network that does not count. Throws
// numeric_error naming the tensor where a value is not finite, and file_error naming the path; what was there is then
// untouched.
template <class Network>
void save_state_dict(Network& net, const std::filesystem::path& path, const safetensors_metadata& metadata = {}) {
  detail::state_dict_writer(net, path, metadata).write(path);
}

// Sets the network's parameters and running statistics from the file's tensors, F32 or F64 whatever the network
// computes in. Everything is checked before anything changes: throws file_error naming the tensor where one is missing,
// has another shape or type, has no place in the network, or holds NaN, infinity, or a negative running variance. Batch
// counters may be there or not and are ignored: tdBN's running statistics do not depend on them.
template <class Network>
void load_state_dict(Network& net, const safetensors_file& file) {
  std::vector<std::function<void()>> assignments;
  std::set<std::string, std::less<>> known;
  net.for_each_tensor([&](const auto& info, auto values) {
    using scalar = typename decltype(values)::value_type;
    const auto fail = [&](const std::string& what) {
      throw file_error(file.name() + ": tensor " + detail::in_quotes(info.name) + " " + what + ".");
    };
    if (!file.contains(info.name)) fail("is missing");
    if (const auto& stored = file.at(info.name).shape;
        !std::equal(stored.begin(), stored.end(), info.shape.begin(), info.shape.end()))
      fail("has shape " + detail::shape_text(stored) + ", where the network has " + detail::shape_text(info.shape));

    const std::string counter = detail::batch_counter_name(info.name);
    // Staged in the network's own precision, so that a double beyond float's range is found to be infinite here.
    std::vector<scalar> staged = file.template values<scalar>(info.name);
    for (std::size_t i = 0; i < staged.size(); ++i) {
      if (!std::isfinite(staged[i]))
        fail("holds a value that is not finite in the network's precision, at element " + std::to_string(i));
      if (!counter.empty() && staged[i] < 0) fail("holds a negative variance, at element " + std::to_string(i));
    }
    assignments.push_back(
        [values, staged = std::move(staged)] { std::copy(staged.begin(), staged.end(), values.begin()); });
    known.insert(info.name);
    if (!counter.empty()) known.insert(counter);
  });
  for (const auto& [name, entry] : file.tensors())
    if (!known.contains(name))
      throw file_error(file.name() + ": tensor " + detail::in_quotes(name) + " of shape " +
                       detail::shape_text(entry.shape) + " has no place in the network.");

  for (const auto& assign : assignments) assign();
}

// As above, from a file. Throws file_error also where it cannot be read or is not a safetensors file.
template <class Network>
void load_state_dict(Network& net, const std::filesystem::path& path) {
  load_state_dict(net, safetensors_file::read(path));
}

}  // namespace spikenet
