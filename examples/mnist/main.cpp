// spikenet-mnist: trains, tests and looks into a deep spiking residual network on MNIST, or on any data set in its
// format.
//
// Exit status: 0; 1 where the command failed; 2 where the command line is wrong; either way there is one message. 130
// and 143 where SIGINT or SIGTERM has stopped a training, which can be resumed.
#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "commands.hpp"

namespace {

// CLI11's own validators let NaN pass, and fill the help with ranges.
template <class Holds>
CLI::Validator accept(const std::string& rule, Holds holds) {
  const auto check = [rule, holds](const std::string& text) {
    return holds(text) ? std::string{} : "\"" + text + "\" is not " + rule;
  };
  return {check, ""};
}

CLI::Validator whole_number(std::int64_t low, std::int64_t high) {
  return accept("a whole number from " + std::to_string(low) + " to " + std::to_string(high),
                [low, high](const std::string& text) {
                  std::int64_t value = 0;
                  const char* const end = text.data() + text.size();
                  const auto [rest, error] = std::from_chars(text.data(), end, value);
                  return error == std::errc{} && rest == end && value >= low && value <= high;
                });
}

CLI::Validator number(const std::string& rule, bool (*holds)(double)) {
  return accept("a number " + rule, [holds](const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    return !text.empty() && *end == '\0' && std::isfinite(value) && holds(value);
  });
}

const CLI::Validator count = whole_number(1, std::numeric_limits<std::int32_t>::max());
const CLI::Validator count_or_none = whole_number(0, std::numeric_limits<std::int32_t>::max());
const CLI::Validator positive = number("above 0", [](double x) { return x > 0; });
const CLI::Validator not_negative = number("of at least 0", [](double x) { return x >= 0; });
const CLI::Validator fraction = number("from 0 to 1", [](double x) { return x >= 0 && x <= 1; });
const CLI::Validator fraction_below_1 = number("of at least 0 and below 1", [](double x) { return x >= 0 && x < 1; });

const CLI::Validator directory = accept("a directory", [](const std::string& text) { return !text.empty(); });
const CLI::Validator file_name = accept("a name to give a directory", [](const std::string& text) {
  return !text.empty() && text != "." && text != ".." && text.find('/') == std::string::npos;
});

const CLI::Validator new_file =
    accept("a file", [](const std::string& text) { return !text.empty() && text.back() != '/'; });
const CLI::Validator new_chart = accept("a file .svg or .png, or without an extension", [](const std::string& text) {
  const std::filesystem::path path{text}, extension = path.extension();
  return path.has_filename() && (extension == ".svg" || extension == ".png" || extension.empty());
});

void add_checkpoint_option(CLI::App& app, std::filesystem::path& checkpoint) {
  app.add_option("--checkpoint", checkpoint, "The model.safetensors of a training")
      ->required()
      ->check(CLI::ExistingFile);
}

void add_data_option(CLI::App& app, std::optional<std::filesystem::path>& data) {
  app.add_option("--data", data, "Directory with the images and labels, plain or gzip [that of the network's training]")
      ->check(CLI::ExistingDirectory);
}

void add_network_options(CLI::App& app, mnist::model_options& o) {
  app.option_defaults()->group("Network");
  app.add_option("--width", o.width, "Channels of the first blocks")->check(count);
  app.add_option("--steps", o.steps, "Timesteps")->check(count);
  app.add_option("--readout", o.readout, "Logits: the mean over time of the last layer's current or spikes")
      ->check(CLI::IsMember({"mean_current", "mean_spikes"}));
}

// All but the values of the neurons, of which a sweep has several, and where a training goes.
void add_training_options(CLI::App& app, mnist::train_options& o) {
  app.option_defaults()->group("Data");
  app.add_option("--data", o.data, "Directory with the four IDX files, plain or gzip")->check(CLI::ExistingDirectory);
  app.add_option("--limit", o.limit, "For a quick look: use only that many training images")->check(count);
  app.add_option("--validation", o.validation, "How many of them are set aside to choose the epoch by [a tenth]")
      ->check(count);
  app.add_option("--crop_padding", o.crop_padding, "Shift training images at random by up to that many pixels")
      ->check(whole_number(0, std::int64_t{mnist::image_height} - 1));
  app.add_option("--flip", o.flip, "Probability of mirroring a training image")->check(fraction);

  add_network_options(app, o.model);

  app.option_defaults()->group("Training");
  app.add_option("--epochs", o.epochs, "Passes over the training images")->check(whole_number(1, 1'000'000));
  app.add_option("--train_batch_size", o.train_batch_size, "Images in a step of training")->check(count);
  app.add_option("--val_batch_size", o.val_batch_size, "Images in a batch of the validation")->check(count);
  app.add_option("--test_batch_size", o.test_batch_size, "Images in a batch of the test")->check(count);
  app.add_option("--optimizer", o.optimizer, "Adam, or SGD with momentum")->check(CLI::IsMember({"adam", "sgd"}));
  app.add_option("--lr", o.lr, "Learning rate, which the schedule multiplies")->check(positive);
  app.add_option("--schedule", o.schedule, "Of the learning rate; step is times 0.1 every 10 epochs")
      ->check(CLI::IsMember({"step", "one_cycle", "cosine", "constant"}));
  app.add_option("--momentum", o.momentum, "Of sgd; adam has none to set")->check(fraction_below_1);
  app.add_option("--weight_decay", o.weight_decay, "L2 penalty, added to the gradient")->check(not_negative);
  app.add_option("--clip_norm", o.clip_norm, "Scale gradients down to that norm, all together; 0: leave them")
      ->check(not_negative);
  app.add_option("--patience", o.patience,
                 "Stop after so many epochs worse than the best in validation loss; 0: do not")
      ->check(count_or_none);
  app.add_option("--recalibrate", o.recalibrate,
                 "Training images to take tdBN's running statistics from before each validation; 0: running averages")
      ->check(count_or_none);
  app.add_option("--seed", o.seed, "Of the weights, the split, the order and the augmentation")->check(count_or_none);

  app.option_defaults()->group("Program");
  app.add_flag_callback(
      "--no_tensorboard", [&o] { o.tensorboard = false; }, "Write no event files, and do not watch the firing rates");
  app.add_option("--log_interval", o.log_interval,
                 "Steps between two entries of the event file, and lines where there is no terminal; 0: none")
      ->check(count_or_none);
}

void add_train_options(CLI::App& app, mnist::train_options& o) {
  add_training_options(app, o);
  app.option_defaults()->group("Network");
  app.add_option("--v_th", o.model.v_th, "Threshold of the neurons")->check(positive);
  app.add_option("--tau", o.model.tau, "Share of their potential that a timestep leaves")->check(fraction);
  app.add_option("--a", o.model.a, "Half the width of the surrogate gradient's window")->check(positive);

  app.option_defaults()->group("Program");
  app.add_option("--device", o.model.device, "Where to train; auto: on the GPU if that is possible, and else why not")
      ->check(CLI::IsMember({"cpu", "cuda", "auto"}));
  app.add_option("--precision", o.model.precision, "On a GPU: what layers store and multiply; the CPU has float32 only")
      ->check(CLI::IsMember({"float32", "tf32", "float16", "bfloat16"}));
  app.add_option("--init", o.init, "Begin with this model.safetensors, a training's or an import's")
      ->check(CLI::ExistingFile);
  for (const char* const its : {"--width", "--steps", "--readout", "--v_th", "--tau"})
    app.get_option("--init")->excludes(app.get_option(its));
  CLI::Option* const out =
      app.add_option("--out", o.out, "Directory for all that the training writes [runs/mnist-DATE-TIME]")
          ->check(directory);
  CLI::Option* const name =
      app.add_option("--run_name", o.run_name, "Or its name in runs/")->check(file_name)->excludes(out);
  app.add_option("--resume", o.resume, "Directory of a training to go on with, bit for bit as if it had not stopped")
      ->check(CLI::ExistingDirectory)
      ->excludes(out)
      ->excludes(name)
      ->excludes(app.get_option("--init"));
}

void add_sweep_options(CLI::App& app, mnist::sweep_options& o) {
  const auto add_list = [&app](const char* name, std::vector<double>& values, const char* what,
                               const CLI::Validator& each) {
    app.add_option(name, values, what)->delimiter(',')->check(each);
  };
  app.option_defaults()->group("Values to try, such as 0.2,0.4,0.8");
  add_list("--v_th", o.v_th, "Thresholds of the neurons", positive);
  add_list("--a", o.a, "Half widths of the surrogate gradient's window", positive);
  add_list("--tau", o.tau, "Shares of their potential that a timestep leaves", fraction);
  add_training_options(app, o.train);
  app.get_option("--limit")->default_str(std::to_string(*o.train.limit));  // not shown of a std::optional
  CLI::Option* const out =
      app.add_option("--out", o.train.out, "Directory for the table, the picture and the runs [runs/sweep-DATE-TIME]")
          ->check(directory);
  app.add_option("--run_name", o.train.run_name, "Or its name in runs/")->check(file_name)->excludes(out);
}

void add_import_options(CLI::App& app, mnist::import_options& o) {
  app.option_defaults()->group("Program");
  app.add_option("file", o.file, "Its state dict, a safetensors file")->required()->check(CLI::ExistingFile);
  app.add_option("--from", o.from, "Whose it is; STBP-simple's is recognised by its names")
      ->check(CLI::IsMember({"spikingjelly", "stbp-simple"}));
  app.add_option("--out", o.out, "Directory for model.safetensors")->required()->check(directory);
  app.add_option("--data", o.data, "Directory with the four IDX files that the network is for")
      ->check(CLI::ExistingDirectory);
  add_network_options(app, o.model);
  app.option_defaults()->group("What the file does not say, in the words of that library");
  app.add_option("--v_th", o.model.v_th, "Threshold of the neurons")->required()->check(positive);
  app.add_option("--tau", o.model.tau, "Of the neurons: SpikingJelly's time constant, STBP-simple's decay")
      ->required()
      ->check(positive);
  app.add_flag("--decay_input,!--no_decay_input", o.decay_input, "Of SpikingJelly's neurons; its default");
  app.add_option("--pixel_mean", o.pixel_mean, "Normalisation of the images, whose pixels are from 0 to 1")
      ->check(not_negative);
  app.add_option("--pixel_stddev", o.pixel_stddev, "Normalisation of the images")->check(positive);
}

void add_firing_rates_options(CLI::App& app, mnist::firing_rates_options& o) {
  app.option_defaults()->group("Program");
  add_checkpoint_option(app, o.checkpoint);
  add_data_option(app, o.data);
  app.add_option("--sample", o.sample, "Look at this test image only, counted from 0 [all of them]")
      ->check(count_or_none);
  app.add_option("--out", o.out, "Directory for firing-rates.svg and firing-rates.png [the checkpoint's]")
      ->check(directory);
  app.add_flag("--csv", o.csv, "Write firing-rates.csv there, too");
}

void add_profile_options(CLI::App& app, mnist::profile_options& o) {
  app.option_defaults()->group("Program");
  CLI::Option* const checkpoint =
      app.add_option("--checkpoint", o.checkpoint, "The model.safetensors of a training [an untrained network]")
          ->check(CLI::ExistingFile);
  app.add_option("--width", o.model.width, "Channels of the first blocks")->check(count)->excludes(checkpoint);
  app.add_option("--steps", o.model.steps, "Timesteps")->check(count)->excludes(checkpoint);
  add_data_option(app, o.data);
  app.add_option("--batch_size", o.batch_size, "Images in a step")->check(count);
  app.add_option("--repeat", o.steps, "Steps to take the mean of")->check(whole_number(1, 10'000));
}

void add_infer_options(CLI::App& app, mnist::infer_options& o) {
  app.option_defaults()->group("Program");
  add_checkpoint_option(app, o.checkpoint);
  add_data_option(app, o.data);
  app.add_option("--number", o.number, "What it computes with")->check(CLI::IsMember({"float", "double", "int8"}));
  app.add_option("--images", o.images, "Use only that many test images")->check(count);
  app.add_option("--batch", o.batch, "Images that are computed together")->check(count);
  app.add_option("--repeat", o.repeat, "Passes over the images, of which the fastest counts")
      ->check(whole_number(1, 10'000));
  app.add_option("--early_exit", o.early_exit, "Stop an image as soon as its largest logit leads by that much")
      ->check(not_negative);
  app.add_option("--chart", o.chart, "A chart of accuracy over timesteps, as that margin varies: FILE.svg and FILE.png")
      ->check(new_chart);
}

void add_export_options(CLI::App& app, mnist::export_options& o) {
  app.option_defaults()->group("Program");
  add_checkpoint_option(app, o.checkpoint);
  app.add_option("--header", o.header, "The file to write")
      ->required()
      ->check(new_file);
  app.add_option("--number", o.number, "What it computes with; int8 takes the bytes of images")->check(CLI::IsMember({"float", "int8"}));
  app.add_option("--name", o.name, "Of its namespace");
}

// Refuses options without effect, and networks that are not built. A training that is resumed, or begun with another's
// network, takes its network from there.
void check_together(const CLI::App& app, const mnist::train_options& o) {
  const bool on_cpu = o.model.device == "cpu";
  if (on_cpu && o.model.precision != "float32")
    throw CLI::ValidationError("--precision", "The CPU computes in float32 only; " + o.model.precision +
                                                  " needs --device cuda or --device auto");
  if (o.resume) return;
  if (o.optimizer != "sgd" && app.count("--momentum") > 0)
    throw CLI::ValidationError("--momentum", "Only --optimizer sgd has one");
  if (o.init) return;
  if (const auto reason = on_cpu ? mnist::why_not_built(o.model) : std::nullopt)
    throw CLI::ValidationError("--width, --steps, --readout", *reason);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Trains a deep spiking residual network on MNIST, or on any data set in its format.", "spikenet-mnist"};
  app.require_subcommand(0, 1);  // one, but an unknown word is to be named first
  app.option_defaults()->always_capture_default();

  mnist::train_options train_options;
  CLI::App& train = *app.add_subcommand("train", "Trains, validates after each epoch, tests the best epoch's network");
  add_train_options(train, train_options);

  mnist::sweep_options sweep_options;
  CLI::App& sweep = *app.add_subcommand("sweep", "Trains briefly with each of several thresholds and surrogates");
  add_sweep_options(sweep, sweep_options);

  mnist::test_options test_options;
  CLI::App& test = *app.add_subcommand("test", "Tests a network that train has saved");
  test.option_defaults()->group("Program");
  add_checkpoint_option(test, test_options.checkpoint);
  add_data_option(test, test_options.data);
  test.add_option("--test_batch_size", test_options.test_batch_size, "Images in a batch")->check(count);
  test.add_option("--report", test_options.report,
                  "Directory for the confusion matrix, a picture of the worst images, and a table of all")
      ->check(directory);

  mnist::import_options import_options;
  CLI::App& import_command = *app.add_subcommand("import", "Makes a network of another library's weights");
  add_import_options(import_command, import_options);

  mnist::firing_rates_options rates_options;
  CLI::App& rates = *app.add_subcommand("firing-rates", "Shows how often the neurons of each layer fire, as a chart");
  add_firing_rates_options(rates, rates_options);

  mnist::profile_options profile_options;
  CLI::App& profile = *app.add_subcommand("profile", "Shows how long each layer takes, in training and in evaluation");
  add_profile_options(profile, profile_options);

  mnist::infer_options infer_options;
  CLI::App& infer = *app.add_subcommand("infer", "Runs a network that train has saved as it is deployed: speed, memory");
  add_infer_options(infer, infer_options);

  mnist::export_options export_options;
  CLI::App& exported = *app.add_subcommand("export", "Writes a network that train has saved as C++, for small devices");
  add_export_options(exported, export_options);

  bool no_cuda = false;
  for (const auto& [command, threads] : {std::pair{&train, &train_options.threads},
                                         {&sweep, &sweep_options.train.threads},
                                         {&test, &test_options.threads},
                                         {&rates, &rates_options.threads},
                                         {&profile, &profile_options.threads},
                                         {&infer, &infer_options.threads}}) {
    command->add_option("--threads", *threads, "To compute with; 0: one for each core")->check(whole_number(0, 1024));
    command->add_flag("--no_cuda", no_cuda, "Compute on the CPU, as is done anyhow but where --device says otherwise");
  }

  try {
    app.parse(argc, argv);
    if (app.get_subcommands().empty())
      throw CLI::RequiredError(
          "A command, train or test or sweep or import or firing-rates or profile or infer or export,");
    for (const CLI::Option* option : train.get_options())
      if (option->count() > 0) train_options.given.insert(option->get_single_name());
    if (no_cuda) train_options.model.device = "cpu";
    if (train.parsed()) check_together(train, train_options);
    if (sweep.parsed()) check_together(sweep, sweep_options.train);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    std::fprintf(stderr, "spikenet-mnist: %s (--help lists what there is)\n", error.what());
    return 2;
  }

  try {
    if (train.parsed()) return mnist::train(train_options);
    if (sweep.parsed()) return mnist::sweep(sweep_options);
    if (test.parsed()) mnist::test(test_options);
    if (import_command.parsed()) mnist::import_weights(import_options);
    if (rates.parsed()) mnist::firing_rates(rates_options);
    if (profile.parsed()) mnist::profile(profile_options);
    if (infer.parsed()) mnist::infer(infer_options);
    if (exported.parsed()) mnist::export_network(export_options);
    return 0;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "spikenet-mnist: There is not enough memory; smaller batches need less.\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "spikenet-mnist: %s\n", error.what());
  }
  return 1;
}
