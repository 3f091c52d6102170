// Networks to and from safetensors files under PyTorch's names: what `safetensors.torch.save_file(model.state_dict())`
// writes, a network of the same structure loads, and the reverse with `load_state_dict(..., strict=True)`. Opt-in:
// needs nlohmann/json. Weights of other libraries: import.hpp.
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
#include <map>
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

// How the names in a file differ from the network's.
struct load_options {
  // Text before each name of the file: "module." of DistributedDataParallel, "_orig_mod." of torch.compile.
  std::string prefix = {};
};

namespace detail {

// PyTorch's batch normalisation counts its batches in a scalar beside its running variance: for "bn1.running_var" this
// is "bn1.num_batches_tracked". Empty for any other name.
inline std::string batch_counter_name(std::string_view name) {
  constexpr std::string_view variance = "running_var";
  if (name != variance && !name.ends_with(".running_var")) return {};
  return std::string{name.substr(0, name.size() - variance.size())} + "num_batches_tracked";
}

inline std::vector<std::string> own_name(std::string_view name) { return {std::string{name}}; }

// How a library writes a network down; by default spikenet's way.
struct state_dict_dialect {
  // What it calls spikenet's tensor of this name; several names where it lists a tensor more than once.
  std::vector<std::string> (*names)(std::string_view) = own_name;
  // Not 0: tdBN's weight is a plain normalisation's, with alpha and this threshold multiplied into it.
  double threshold = 0;
  // Whether a vector may have more axes.
  bool unit_extents = false;

  // What a value in the file is that is 1 in the network.
  template <class Info>
  double scale(const Info& info) const {
    if constexpr (requires { info.branches; }) {
      if (threshold > 0 && info.branches > 0) return threshold / std::sqrt(static_cast<double>(info.branches));
    }
    return 1;
  }
};

// All that is wrong with a file, in one error: first what the network lacks, then what the file has too many. Each side
// has its share of the message, so that the names of both are seen.
class refusal {
 public:
  explicit refusal(const safetensors_file& file) : file_{file.name()} {}

  // Adds what is wrong with a tensor of the network.
  void add(std::string_view tensor, const std::string& what) { add_to(network_side_, tensor, what); }
  // Adds a tensor of the file that the network has no place for.
  void add_unplaced(std::string_view tensor, const std::string& what) { add_to(file_side_, tensor, what); }

  void raise() const {
    if (network_side_.empty() && file_side_.empty()) return;
    throw file_error(file_ + ": " + network_side_ + (network_side_.empty() || file_side_.empty() ? "" : "; ") +
                     file_side_ + (left_out_ > 0 ? "; and so on, with " + std::to_string(left_out_) + " more." : "."));
  }

 private:
  void add_to(std::string& side, std::string_view tensor, const std::string& what) {
    constexpr std::size_t longest = 400;
    const std::string next = "tensor " + in_quotes(tensor) + " " + what;
    if (side.empty() || side.size() + next.size() <= longest)
      side += (side.empty() ? "" : "; ") + next;
    else
      ++left_out_;
  }

  const std::string& file_;
  std::string network_side_, file_side_;
  std::size_t left_out_ = 0;
};

// Throws file_error if most of these names are in the file, but behind another text than `prefix`.
inline void check_prefix(const safetensors_file& file, const std::vector<std::string>& names,
                         const std::string& prefix) {
  std::map<std::string_view, std::size_t> found;  // how many names stand behind each text
  for (const auto& [stored, entry] : file.tensors())
    for (const std::string& name : names)
      if (stored.ends_with(name)) ++found[std::string_view{stored}.substr(0, stored.size() - name.size())];
  const auto most =
      std::max_element(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == found.end() || 2 * most->second < names.size() || most->first == prefix) return;
  const std::string actual{most->first};
  const auto name = std::find_if(names.begin(), names.end(), [&](const auto& n) { return file.contains(actual + n); });
  throw file_error(file.name() + ": tensor " + in_quotes(prefix + *name) + " is missing, but " +
                   in_quotes(actual + *name) + " is there: the file's names " +
                   (actual.empty() ? "do not begin with " + in_quotes(prefix) + ". Load it without a prefix."
                                   : "begin with " + in_quotes(actual) + ". Load it with that prefix (load_options)."));
}

// Returns whether a tensor of this type cannot be one of a network: parts of quantised weights, complex numbers, and
// unknown types.
inline bool is_of_no_network(std::string_view dtype) {
  const std::size_t bits = safetensors_element_bits(dtype);
  return bits % 8 != 0 || bits == 0 || dtype.starts_with("F8_") || dtype == "C64";
}

// The content of the file that save_state_dict(net, path, metadata) writes, in a dialect.
template <class Network>
safetensors_writer state_dict_writer(Network& net, const std::filesystem::path& path,
                                     const safetensors_metadata& metadata, const state_dict_dialect& dialect = {}) {
  std::int64_t updates = 0;
  if constexpr (requires { net.updates(); }) updates = static_cast<std::int64_t>(net.updates());

  safetensors_writer writer;
  writer.set_metadata("format", "pt");  // as PyTorch's own; some readers insist
  for (const auto& [key, value] : metadata) writer.set_metadata(key, value);
  net.for_each_tensor([&](const auto& info, auto values) {
    using scalar = typename decltype(values)::value_type;
    std::vector<scalar> written{values.begin(), values.end()};
    if (const double scale = dialect.scale(info); scale != 1)
      for (scalar& value : written) value = static_cast<scalar>(static_cast<double>(value) * scale);
    // Such a file could not be loaded, and would replace one that can.
    if (!std::all_of(written.begin(), written.end(), [](scalar value) { return std::isfinite(value); }))
      throw numeric_error("Tensor " + in_quotes(info.name) + " holds a value that is not finite, so " + path.string() +
                          " is not written.");
    for (const std::string& name : dialect.names(info.name)) {
      writer.add<scalar>(name, info.shape, written);
      if (const std::string counter = batch_counter_name(name); !counter.empty())
        writer.add<std::int64_t>(counter, {}, std::span{&std::as_const(updates), 1});
    }
  });
  return writer;
}

// [C], or [1, C, 1, 1, 1] as programs that do tdBN by hand keep its statistics.
inline bool is_vector_of(std::span<const std::size_t> shape, std::size_t size) {
  const auto units = static_cast<std::size_t>(std::count(shape.begin(), shape.end(), std::size_t{1}));
  return size_of(shape, 1) == size && units + 1 >= shape.size();
}

// Sets the network's tensors from a file in a dialect: load_state_dict and import_state_dict.
template <class Network>
void load_tensors(Network& net, const safetensors_file& file, const state_dict_dialect& dialect,
                  const load_options& options) {
  std::vector<std::vector<std::byte>> all_staged;  // what each tensor will hold, in the order of for_each_tensor
  std::set<std::string, std::less<>> known;
  std::vector<std::string> without_prefix;
  bool complete = true;
  refusal wrong{file};
  net.for_each_tensor([&](const auto& info, auto values) {
    using scalar = typename decltype(values)::value_type;
    std::vector<std::string> names = dialect.names(info.name);
    without_prefix.insert(without_prefix.end(), names.begin(), names.end());
    for (std::string& name : names) name.insert(0, options.prefix);
    for (const std::string& name : names)
      if (const std::string counter = batch_counter_name(name); !counter.empty()) known.insert(counter);
    known.insert(names.begin(), names.end());
    const std::string first = names.front();
    std::erase_if(names, [&](const std::string& name) { return !file.contains(name); });
    if (names.empty()) {
      complete = false;
      return wrong.add(first, "is missing");
    }
    const std::string& name = names.front();
    const safetensors_entry& stored = file.at(name);
    const auto content = file.bytes(name);
    for (const std::string& other : names) {
      const auto other_content = file.bytes(other);
      if (file.at(other).dtype != stored.dtype || file.at(other).shape != stored.shape ||
          !std::equal(content.begin(), content.end(), other_content.begin(), other_content.end()))
        wrong.add(other, "is not equal to " + in_quotes(name) + ", of which it is another name");
    }

    if (!std::equal(stored.shape.begin(), stored.shape.end(), info.shape.begin(), info.shape.end()) &&
        !(dialect.unit_extents && info.shape.size() == 1 && is_vector_of(stored.shape, info.shape[0])))
      return wrong.add(name,
                       "has shape " + shape_text(stored.shape) + ", where the network has " + shape_text(info.shape));
    if (stored.dtype != "F32" && stored.dtype != "F64")
      return wrong.add(name, "has " + dtype_text(stored.dtype) + ", where F32 or F64 is needed");

    // Staged in the network's own precision, so that a double beyond float's range is found to be infinite here.
    std::vector<scalar> staged;
    if (const double scale = dialect.scale(info); scale != 1) {
      for (const double value : file.template values<double>(name))
        staged.push_back(static_cast<scalar>(value / scale));
    } else {
      staged = file.template values<scalar>(name);
    }
    const bool variance = !batch_counter_name(name).empty();
    for (std::size_t i = 0; i < staged.size(); ++i) {
      if (!std::isfinite(staged[i]))
        return wrong.add(
            name, "holds a value that is not finite in the network's precision, at element " + std::to_string(i));
      if (variance && staged[i] < 0)
        return wrong.add(name, "holds a negative variance, at element " + std::to_string(i));
    }
    const auto bytes = std::as_bytes(std::span(staged));
    all_staged.emplace_back(bytes.begin(), bytes.end());
  });
  if (!complete) check_prefix(file, without_prefix, options.prefix);
  for (const auto& [name, entry] : file.tensors())
    if (!known.contains(name) && !is_of_no_network(entry.dtype))
      wrong.add_unplaced(name, "of shape " + shape_text(entry.shape) + " has no place in the network");
  wrong.raise();

  // A tensor of a device is on the host for as long as it is visited, and no longer.
  auto staged = all_staged.begin();
  net.for_each_tensor([&](const auto&, auto values) {
    std::copy(staged->begin(), staged->end(), std::as_writable_bytes(values).begin());
    ++staged;
  });
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
// computes in. Checks everything before it changes anything. Throws one file_error that names the tensors which
// - are missing, or have another shape or type,
// - have no place in the network, unless their type is one that no network has (F8_E8M0, C64, unknown ones),
// - hold NaN, infinity, or a negative running variance,
// and if most names are there behind another prefix than that of the options, one that names this prefix.
// Ignores batch counters: tdBN's running statistics do not depend on them.
template <class Network>
void load_state_dict(Network& net, const safetensors_file& file, const load_options& options = {}) {
  detail::load_tensors(net, file, {}, options);
}

// Does the same from a file. Throws file_error also if it cannot be read or is not a safetensors file.
template <class Network>
void load_state_dict(Network& net, const std::filesystem::path& path, const load_options& options = {}) {
  load_state_dict(net, safetensors_file::read(path), options);
}

}  // namespace spikenet
