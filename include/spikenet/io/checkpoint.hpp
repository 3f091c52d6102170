// Checkpoints: all that a training needs to go on bit for bit as if it had never stopped, as two safetensors files in a
// directory.
//
//   model.safetensors     the network: a PyTorch state dict, see state_dict.hpp
//   training.safetensors  what training knows beside it, and the SHA-256 of the model file that it belongs to: the
//                         optimizer's moments (adam.first.conv1.weight, ...) and steps, epoch, batch and seed (learning
//                         rate schedules, the order of the images and their augmentation are functions of these), and
//                         notes of the program's own, such as hyperparameters
//
// Two files cannot be replaced in one step, yet whoever loads the directory after a crash at any moment must find a
// pair that belongs together. Saving is therefore:
//
//   1. The new model is written as model-<its SHA-256>.safetensors. The old pair is untouched.
//   2. The new training.safetensors replaces the old one. This is the moment from which on the new pair counts.
//   3. model-<its SHA-256>.safetensors is renamed to model.safetensors.
//   4. What killed programs left half done in the directory is removed.
//
// Each file is written to a temporary file, forced to the disk, and renamed, and the directory is forced to the disk
// before the next step (atomic_file.hpp). Loading reads training.safetensors and takes the model that it names:
// model-<SHA-256>.safetensors where there is one, a sign of a kill between 2 and 3, else model.safetensors. So there is
// a whole model.safetensors at any time after the first save; after such a kill it is the previous one until the next
// save. One program at a time may save to a directory.
//
// Opt-in: needs nlohmann/json and OpenSSL's libcrypto.
#pragma once

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <spikenet/core/error.hpp>
#include <spikenet/core/random.hpp>
#include <spikenet/io/atomic_file.hpp>
#include <spikenet/io/safetensors.hpp>
#include <spikenet/io/state_dict.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace spikenet {

// Where a training stands, beside what the network holds.
struct training_state {
  std::uint64_t epoch = 0;          // epochs that are complete
  std::uint64_t batch = 0;          // batches of the next epoch that are complete
  spikenet::seed seed = {};         // of the random numbers, which are functions of it, the epoch and the image
  safetensors_metadata notes = {};  // the program's own; keys that begin with "spikenet." are reserved
};

// An optimizer whose moments can be saved: it has a name, and so has each of its moments.
template <class Optimizer>
concept named_optimizer = requires {
  { Optimizer::name } -> std::convertible_to<std::string>;
  { *std::begin(Optimizer::moment_names) } -> std::convertible_to<std::string>;
  requires std::size(Optimizer::moment_names)
  == Optimizer::moments;
};

namespace detail {

inline constexpr std::string_view reserved_note = "spikenet.";
inline constexpr const char* format_note = "spikenet.training_format";
inline constexpr const char* format_version = "1";
inline constexpr const char* model_hash_note = "spikenet.model_sha256";
inline constexpr const char* optimizer_note = "spikenet.optimizer";

inline std::string sha256(std::span<const std::byte> bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
    throw error("OpenSSL offers no SHA-256 on this machine.");
  std::string text;
  for (unsigned int i = 0; i < size; ++i) {
    text += "0123456789abcdef"[digest[i] / 16];
    text += "0123456789abcdef"[digest[i] % 16];
  }
  return text;
}

inline bool is_sha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

inline std::filesystem::path model_path(const std::filesystem::path& directory) {
  return directory / "model.safetensors";
}
inline std::filesystem::path pending_model_path(const std::filesystem::path& directory, const std::string& hash) {
  return directory / ("model-" + hash + ".safetensors");
}
inline std::filesystem::path training_path(const std::filesystem::path& directory) {
  return directory / "training.safetensors";
}

// Files that only a killed program leaves behind: models under their hash, and temporary files of either.
inline bool is_left_over(const std::string& name) {
  constexpr std::string_view prefix = "model-", suffix = ".safetensors", temporary = ".tmp-";
  if (name.starts_with("training.safetensors.tmp-")) return true;
  if (!name.starts_with(prefix) || !is_sha256(std::string_view{name}.substr(prefix.size()).substr(0, 64))) return false;
  const std::string_view rest = std::string_view{name}.substr(prefix.size() + 64);
  return rest == suffix || (rest.starts_with(suffix) && rest.substr(suffix.size()).starts_with(temporary));
}

// Where a file cannot be removed it only takes up space.
inline void remove_left_overs(const std::filesystem::path& directory) {
  std::error_code ignored;
  std::vector<std::filesystem::path> left_over;
  for (std::filesystem::directory_iterator entry{directory, ignored}, end; !ignored && entry != end;
       entry.increment(ignored))
    if (is_left_over(entry->path().filename().string())) left_over.push_back(entry->path());
  for (const auto& path : left_over) std::filesystem::remove(path, ignored);
}

inline void rename_in_directory(const std::filesystem::path& from, const std::filesystem::path& to) {
  const auto fail = [&](const char* what) { throw file_error(to.string() + ": " + what + std::strerror(errno) + "."); };
  if (std::rename(from.c_str(), to.c_str()) != 0) fail("cannot be replaced: ");
  if (!sync_directory(to.parent_path())) fail("is written, but its directory cannot be synchronised: ");
}

// A whole file; nothing where there is none.
inline std::optional<std::vector<std::byte>> read_if_there(const std::filesystem::path& path) {
  std::error_code failure;
  if (!std::filesystem::is_regular_file(path, failure)) return std::nullopt;
  const std::uintmax_t size = std::filesystem::file_size(path, failure);
  std::ifstream stream{path, std::ios::binary};
  if (failure || !stream)
    throw file_error(path.string() + ": cannot be opened: " + (failure ? failure.message() : std::strerror(errno)) +
                     ".");
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!stream) throw file_error(path.string() + ": cannot be read to its end.");
  return bytes;
}

template <class Optimizer>
std::string moment_tensor_name(std::size_t moment, const std::string& parameter) {
  return std::string{Optimizer::name} + "." + Optimizer::moment_names[moment] + "." + parameter;
}
template <class Optimizer>
std::string step_counter_name() {
  return std::string{Optimizer::name} + ".updates";
}

template <class Optimizer, class Network>
safetensors_writer training_writer(const Network& net, const std::filesystem::path& path, const training_state& state,
                                   const std::string& model_hash) {
  safetensors_writer writer;
  for (const auto& [key, value] : state.notes) {
    if (key.starts_with(reserved_note))
      throw argument_error("A checkpoint's notes cannot have the key " + in_quotes(key) +
                           ": those that begin with \"spikenet.\" are reserved.");
    writer.set_metadata(key, value);
  }
  writer.set_metadata(format_note, format_version);
  writer.set_metadata(model_hash_note, model_hash);
  writer.set_metadata(optimizer_note, Optimizer::name);
  const auto add_number = [&](const std::string& name, std::uint64_t value) {
    const auto number = std::bit_cast<std::int64_t>(value);
    writer.add<std::int64_t>(name, {}, std::span{&number, 1});
  };
  add_number("epoch", state.epoch);
  add_number("batch", state.batch);
  add_number("seed", state.seed.value);
  add_number("updates", net.updates());
  add_number(step_counter_name<Optimizer>(), net.template updates_by<Optimizer>());
  net.template for_each_moment<Optimizer>([&](const auto& info, std::size_t moment, auto values) {
    const std::string name = moment_tensor_name<Optimizer>(moment, info.name);
    if (!std::all_of(values.begin(), values.end(), [](auto value) { return std::isfinite(value); }))
      throw numeric_error("Tensor " + in_quotes(name) + " holds a value that is not finite, so " + path.string() +
                          " is not written.");
    writer.add<typename Network::scalar>(name, info.shape, values);
  });
  return writer;
}

}  // namespace detail

// Saves all that the next training step with this type of optimizer depends on, to `directory`, which is created where
// there is none. `model_metadata` goes into model.safetensors. Throws numeric_error naming the tensor where a value is
// not finite, argument_error for a reserved or not UTF-8 note, and file_error naming the path. The previous checkpoint
// is then untouched, unless model.safetensors was the last that could not be replaced: then the new one is complete.
template <class Network, named_optimizer Optimizer>
void save_checkpoint(const Network& net, const Optimizer&, const std::filesystem::path& directory,
                     const training_state& state, const safetensors_metadata& model_metadata = {}) {
  const std::filesystem::path model = detail::model_path(directory), training = detail::training_path(directory);
  // The content of both first: what is to be refused is refused before anything is written.
  const std::vector<std::byte> model_bytes = detail::state_dict_writer(net, model, model_metadata).bytes();
  const std::string hash = detail::sha256(model_bytes);
  const std::vector<std::byte> training_bytes = detail::training_writer<Optimizer>(net, training, state, hash).bytes();

  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  if (failure) throw file_error(directory.string() + ": cannot be created: " + failure.message() + ".");
  const std::filesystem::path pending = detail::pending_model_path(directory, hash);
  write_file_atomically(pending, model_bytes);
  write_file_atomically(training, training_bytes);
  detail::rename_in_directory(pending, model);
  detail::remove_left_overs(directory);
}

// Two files that belong together, read and checked, in memory. Reading comes before restoring, so that a program can
// make the network that the notes describe.
class checkpoint {
 public:
  // Throws file_error where a file is missing or damaged, or where the two do not belong together.
  static checkpoint read(const std::filesystem::path& directory) {
    auto training = safetensors_file::read(detail::training_path(directory));
    const auto note = [&](const char* key) -> const std::string& {
      const auto found = training.metadata().find(key);
      if (found == training.metadata().end())
        throw file_error(training.name() + ": has no \"" + key + "\" in its metadata, so it is no training state.");
      return found->second;
    };
    if (note(detail::format_note) != detail::format_version)
      throw file_error(training.name() + ": is of the format " + detail::in_quotes(note(detail::format_note)) +
                       ", where this program reads \"" + detail::format_version + "\".");
    const std::string& hash = note(detail::model_hash_note);
    if (!detail::is_sha256(hash))  // it becomes part of a path
      throw file_error(training.name() + ": names its model by " + detail::in_quotes(hash) + ", which is no SHA-256.");

    const std::filesystem::path model = detail::model_path(directory);
    bool there = false;
    for (const auto& path : {detail::pending_model_path(directory, hash), model}) {
      const auto bytes = detail::read_if_there(path);
      there = there || bytes;
      if (bytes && detail::sha256(*bytes) == hash)
        return checkpoint{safetensors_file::parse(*bytes, path.string()), std::move(training)};
    }
    if (!there) throw file_error(model.string() + ": is missing, and " + training.name() + " is of no use without it.");
    throw file_error(model.string() + ": does not belong to " + training.name() +
                     ", which names a model with the SHA-256 " + hash + "; one of them was replaced or damaged.");
  }

  // The path of training.safetensors, for messages.
  const std::string& name() const noexcept { return training_.name(); }
  const training_state& state() const noexcept { return state_; }
  // The name of the optimizer that is to go on: "adam".
  const std::string& optimizer() const noexcept { return optimizer_; }
  // The network's tensors, with the metadata that were saved with them.
  const safetensors_file& model() const noexcept { return model_; }

  // Sets the network's parameters, running statistics and counters, and the moments of its optimizer. Throws file_error
  // for a network of another structure or precision, naming the tensor and both shapes or types, for another type of
  // optimizer, and for values that are not finite; the network is then as before.
  template <class Network, named_optimizer Optimizer>
  void restore(Network& net, const Optimizer&) const {
    using scalar = typename Network::scalar;
    if (optimizer_ != Optimizer::name)
      throw file_error(training_.name() + ": is of a training with the optimizer " + detail::in_quotes(optimizer_) +
                       ", which " + Optimizer::name + " cannot go on with.");
    const std::string counter = detail::step_counter_name<Optimizer>();
    const std::uint64_t updates = count("updates"), by_optimizer = count(counter);
    if (by_optimizer > updates)
      throw file_error(training_.name() + ": has \"" + counter + "\" " + std::to_string(by_optimizer) +
                       ", more than all \"updates\", " + std::to_string(updates) + ".");

    std::map<std::string, std::vector<scalar>> moments;
    if (by_optimizer > 0) {
      net.for_each_parameter([&](const auto& info, auto, auto) {
        for (std::size_t moment = 0; moment < Optimizer::moments; ++moment) {
          const std::string name = detail::moment_tensor_name<Optimizer>(moment, info.name);
          moments[name] = checked<scalar>(name, info.shape);
        }
      });
    }
    std::set<std::string, std::less<>> known{"epoch", "batch", "seed", "updates", counter};
    for (const auto& [name, entry] : training_.tensors())
      if (!known.contains(name) && !moments.contains(name))
        throw file_error(training_.name() + ": tensor " + detail::in_quotes(name) + " of shape " +
                         detail::shape_text(entry.shape) + " has no place in the network's training.");
    net.for_each_tensor([&](const auto& info, auto) {
      if (model_.contains(info.name)) require_dtype<scalar>(model_, info.name);
    });

    load_state_dict(net, model_);  // checks the rest before it changes anything
    net.template restore_updates<Optimizer>(updates, by_optimizer);
    net.template for_each_moment<Optimizer>([&](const auto& info, std::size_t moment, auto values) {
      const std::vector<scalar>& restored = moments.at(detail::moment_tensor_name<Optimizer>(moment, info.name));
      std::copy(restored.begin(), restored.end(), values.begin());
    });
  }

 private:
  checkpoint(safetensors_file model, safetensors_file training)
      : model_{std::move(model)}, training_{std::move(training)} {
    state_ = {.epoch = count("epoch"), .batch = count("batch"), .seed = {std::bit_cast<std::uint64_t>(number("seed"))}};
    for (const auto& [key, value] : training_.metadata())
      if (!key.starts_with(detail::reserved_note)) state_.notes.emplace(key, value);
    const auto optimizer = training_.metadata().find(detail::optimizer_note);
    if (optimizer != training_.metadata().end()) optimizer_ = optimizer->second;
  }

  [[noreturn]] static void fail(const safetensors_file& file, const std::string& tensor, const std::string& what) {
    throw file_error(file.name() + ": tensor " + detail::in_quotes(tensor) + " " + what + ".");
  }

  template <class Scalar>
  static void require_dtype(const safetensors_file& file, const std::string& tensor) {
    constexpr std::string_view needed = detail::safetensors_dtype<Scalar>();
    if (const std::string& dtype = file.at(tensor).dtype; dtype != needed)
      fail(file, tensor,
           "has " + detail::dtype_text(dtype) + ", where the network has " + std::string{needed} +
               ": training would not go on as it would have");
  }

  void require_shape(const std::string& tensor, const std::vector<std::size_t>& shape) const {
    if (!training_.contains(tensor)) fail(training_, tensor, "is missing");
    if (const auto& stored = training_.at(tensor).shape; stored != shape)
      fail(training_, tensor,
           "has shape " + detail::shape_text(stored) + ", where " + detail::shape_text(shape) + " is needed");
  }

  template <class Scalar>
  std::vector<Scalar> checked(const std::string& tensor, const std::vector<std::size_t>& shape) const {
    require_shape(tensor, shape);
    require_dtype<Scalar>(training_, tensor);
    std::vector<Scalar> values = training_.values<Scalar>(tensor);
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!std::isfinite(values[i]))
        fail(training_, tensor, "holds a value that is not finite, at element " + std::to_string(i));
    return values;
  }

  std::int64_t number(const std::string& tensor) const {
    require_shape(tensor, {});
    return training_.values<std::int64_t>(tensor).front();
  }
  std::uint64_t count(const std::string& tensor) const {
    const std::int64_t value = number(tensor);
    if (value < 0) fail(training_, tensor, "is " + std::to_string(value) + ", less than 0");
    return static_cast<std::uint64_t>(value);
  }

  safetensors_file model_, training_;
  training_state state_;
  std::string optimizer_;
};

// Reads and restores at once: the network goes on where save_checkpoint found it. Throws as checkpoint does; the
// network is then as before.
template <class Network, named_optimizer Optimizer>
training_state load_checkpoint(Network& net, const Optimizer& optimizer, const std::filesystem::path& directory) {
  const checkpoint read = checkpoint::read(directory);
  read.restore(net, optimizer);
  return read.state();
}

}  // namespace spikenet
