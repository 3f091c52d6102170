#include "checkpoint.hpp"

#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdlib>
#include <optional>
#include <spikenet/core/error.hpp>
#include <spikenet/io/checkpoint.hpp>
#include <spikenet/io/safetensors.hpp>
#include <spikenet/io/state_dict.hpp>
#include <string>
#include <string_view>
#include <system_error>

#include "hyperparameters.hpp"

namespace mnist {

namespace {

// Reads what text_of wrote.
bool read_text(const std::string& text, std::string& value) {
  value = text;
  return true;
}
bool read_text(const std::string& text, double& value) {
  char* end = nullptr;
  value = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0' && value >= 0;
}
template <std::unsigned_integral Number>
bool read_text(const std::string& text, Number& value) {
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && rest == end;
}

// Metadata, and the file they are from, for messages.
struct entries {
  const spikenet::safetensors_metadata& metadata;
  const std::string& file;

  template <class Value>
  void read(std::string_view key, Value& value) const {
    const auto found = metadata.find(key);
    if (found == metadata.end())
      throw spikenet::file_error(file + ": There is no \"" + std::string{key} +
                                 "\" in its metadata, so it was not written by spikenet-mnist.");
    if (!read_text(found->second, value))
      throw spikenet::file_error(file + ": The \"" + std::string{key} +
                                 "\" in its metadata is not a number that this program writes.");
  }
  // No entry stands for no value.
  template <class Value>
  void read(std::string_view key, std::optional<Value>& value) const {
    value.reset();
    if (metadata.contains(key)) read(key, value.emplace());
  }
  template <class Value>
  Value get(std::string_view key) const {
    Value value{};
    read(key, value);
    return value;
  }
};

// f(name, value) for each entry of a record that is not part of the library's training state.
template <class Record, class F>
void for_each_entry(Record& r, F&& f) {
  f("epoch_images", r.so_far.images);
  f("epoch_loss_sum", r.so_far.loss_sum);
  f("epoch_correct", r.so_far.correct);
  f("best_epoch", r.best_epoch);
  f("best_accuracy", r.best_accuracy);
  f("best_loss", r.best_loss);
  f("least_validation_loss", r.stopping.best_loss);
  f("worse_epochs", r.stopping.worse_epochs);
}

template <class Value>
std::string shown(const Value& value) {
  return text_of(value);
}
template <class Value>
std::string shown(const std::optional<Value>& value) {
  return value ? text_of(*value) : "not given";
}

std::size_t resumed_epochs(const train_options& saved, std::size_t asked, std::uint64_t done) {
  if (asked == saved.epochs) return asked;
  if (saved.schedule != "step" && saved.schedule != "constant")
    throw spikenet::argument_error("--epochs: It is " + text_of(saved.epochs) +
                                   " in the training that is resumed, and cannot be " + text_of(asked) +
                                   ": its schedule, " + saved.schedule + ", is laid out over all epochs.");
  if (asked < done)
    throw spikenet::argument_error("--epochs: The training that is resumed has done " + text_of(done) +
                                   " already, more than " + text_of(asked) + ".");
  return asked;
}

// Every copy of this program has the bundled images, so a file remembers their directory by a name, and any other by its
// absolute path.
constexpr const char* bundled_images = "MNIST";

std::string directory_text(const std::filesystem::path& data) {
  std::error_code failure;
  if (std::filesystem::equivalent(data, SPIKENET_MNIST_DIR, failure)) return bundled_images;
  return std::filesystem::absolute(data).lexically_normal().string();
}
std::filesystem::path directory_of(const std::string& text) {
  return text == bundled_images ? std::filesystem::path{SPIKENET_MNIST_DIR} : std::filesystem::path{text};
}

spikenet::safetensors_metadata to_metadata(const checkpoint_info& info) {
  return {{"width", text_of(info.model.width)},
          {"timesteps", text_of(info.model.steps)},
          {"readout", info.model.readout},
          {"v_th", text_of(info.model.v_th)},
          {"tau", text_of(info.model.tau)},
          {"surrogate_half_width", text_of(info.model.a)},
          {"pixel_mean", text_of(info.normalisation.mean.at(0))},
          {"pixel_stddev", text_of(info.normalisation.stddev.at(0))},
          {"data", directory_text(info.data)}};
}

spikenet::training_state to_state(const training_record& record, const train_options& options) {
  spikenet::training_state state{.epoch = record.epoch, .batch = record.batch, .seed = {options.seed}};
  state.notes["data"] = directory_text(options.data);
  const auto note = [&](const char* name, const auto& value) { state.notes[name] = text_of(value); };
  for_each_hyperparameter(options, [&]<class Value>(const char* name, const Value& value) {
    if constexpr (requires { value.has_value(); }) {
      if (value) note(name, *value);
    } else {
      note(name, value);
    }
  });
  for_each_entry(record, note);
  return state;
}

}  // namespace

void save_model(const model& net, const checkpoint_info& info, const std::filesystem::path& path) {
  spikenet::save_state_dict(net, path, to_metadata(info));
}

void load_weights(model& net, const std::filesystem::path& path) { spikenet::load_state_dict(net, path); }

checkpoint_info info_of(const spikenet::safetensors_file& file) {
  const entries from{file.metadata(), file.name()};
  std::optional<std::string> data;
  from.read("data", data);
  return {.model = {.width = from.get<std::size_t>("width"),
                    .steps = from.get<std::size_t>("timesteps"),
                    .readout = from.get<std::string>("readout"),
                    .v_th = from.get<double>("v_th"),
                    .tau = from.get<double>("tau"),
                    .a = from.get<double>("surrogate_half_width")},
          .normalisation = {.mean = {from.get<double>("pixel_mean")}, .stddev = {from.get<double>("pixel_stddev")}},
          .data = data ? directory_of(*data) : std::filesystem::path{}};
}

checkpoint_info checked_info(const spikenet::safetensors_file& file) {
  checkpoint_info info = info_of(file);
  try {
    info.normalisation.check(1);
    if (const auto reason = why_not_built(info.model)) throw spikenet::argument_error(*reason);
  } catch (const spikenet::argument_error& error) {
    throw spikenet::file_error(file.name() + ": " + error.what());
  }
  return info;
}

saved_model load_model(const std::filesystem::path& path) {
  const auto file = spikenet::safetensors_file::read(path);
  saved_model saved{checked_info(file), nullptr};
  try {
    saved.net = make_model(saved.info.model, spikenet::seed{});
  } catch (const spikenet::argument_error& error) {
    throw spikenet::file_error(file.name() + ": " + error.what());
  }
  spikenet::load_state_dict(*saved.net, file);
  return saved;
}

std::filesystem::path data_for(const std::filesystem::path& path, const checkpoint_info& info,
                               const std::optional<std::filesystem::path>& asked) {
  if (asked) return *asked;
  if (info.data.empty())
    throw spikenet::file_error(path.string() + ": It does not say which images its network was trained on; say where " +
                               "they are: --data (the bundled MNIST: " SPIKENET_MNIST_DIR ").");
  std::error_code failure;
  if (!std::filesystem::is_directory(info.data, failure))
    throw spikenet::file_error(path.string() + ": Its network was trained on the images in " + info.data.string() +
                               ", and there is no such directory; say where they are: --data.");
  return info.data;
}

void save_training(const model& net, const optimizer& rule, const checkpoint_info& info, const training_record& record,
                   const train_options& options, const std::filesystem::path& directory) {
  std::visit(
      [&](const auto& chosen) {
        spikenet::save_checkpoint(net, chosen, directory, to_state(record, options), to_metadata(info));
      },
      rule);
}

saved_training::saved_training(const std::filesystem::path& directory)
    : content_{std::make_shared<const spikenet::checkpoint>(spikenet::checkpoint::read(directory))} {}

const std::string& saved_training::name() const { return content_->name(); }

train_options saved_training::options(const train_options& command_line) const {
  const entries from{content_->state().notes, name()};
  train_options options = command_line;
  for_each_hyperparameter(options, [&](const std::string& option, auto& value) {
    const auto asked = value;
    from.read(option, value);
    if (command_line.given.contains(option) && option != "epochs" && asked != value)
      throw spikenet::argument_error("--" + option + ": It is " + shown(value) +
                                     " in the training that is resumed, and cannot become " + shown(asked) + ".");
  });
  if (command_line.given.contains("epochs"))
    options.epochs = resumed_epochs(options, command_line.epochs, content_->state().epoch);
  if (!command_line.given.contains("data")) options.data = directory_of(from.get<std::string>("data"));
  return options;
}

training_record saved_training::record(const train_options& options) const {
  const spikenet::training_state& state = content_->state();
  const entries from{state.notes, name()};
  training_record record{.epoch = state.epoch, .batch = state.batch, .so_far = {}, .stopping = {}};
  for_each_entry(record, [&](const char* entry, auto& value) { from.read(entry, value); });
  record.stopping.patience = options.patience;
  return record;
}

bool saved_training::is_of(const checkpoint_info& info) const {
  checkpoint_info own = info_of(content_->model());
  own.data = info.data;  // the same images may have moved
  return to_metadata(own) == to_metadata(info);
}

void saved_training::restore(model& net, const optimizer& rule) const {
  std::visit([&](const auto& chosen) { content_->restore(net, chosen); }, rule);
}

train_options begun_options(const train_options& command_line) {
  const checkpoint_info info = info_of(spikenet::safetensors_file::read(command_line.init.value()));
  train_options options = command_line;
  options.model = info.model;
  options.model.device = command_line.model.device;
  options.model.precision = command_line.model.precision;
  if (command_line.given.contains("a")) options.model.a = command_line.model.a;
  options.pixel_mean = info.normalisation.mean.at(0);
  options.pixel_stddev = info.normalisation.stddev.at(0);
  if (!command_line.given.contains("data")) options.data = data_for(*command_line.init, info, std::nullopt);
  return options;
}

}  // namespace mnist
