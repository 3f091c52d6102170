// The program's commands and their options. The defaults are the recipe that the README's command trains with;
// docs/recipe.md shows how they were chosen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model.hpp"

namespace mnist {

struct train_options {
  model_options model;

  // Data
  std::filesystem::path data = SPIKENET_MNIST_DIR;  // directory with the four IDX files
  std::optional<std::size_t> limit;                 // use that many images of the training files; all by default
  std::optional<std::size_t> validation;            // how many of them validate; a tenth by default
  std::size_t crop_padding = 2;                     // pixels; random shifts of the training images; 0: none
  double flip = 0;                                  // probability of mirroring a training image
  std::optional<double> pixel_mean, pixel_stddev;   // to normalise with; those of the training images by default

  // Training
  std::size_t epochs = 8;
  std::size_t train_batch_size = 64, val_batch_size = 200, test_batch_size = 200;
  std::string optimizer = "adam";  // or "sgd"
  double lr = 0.002;
  double momentum = 0.9;  // of sgd
  double weight_decay = 0;
  double clip_norm = 0;                // the largest global norm of the gradients; 0: any
  std::string schedule = "one_cycle";  // or "step", "cosine", "constant"
  std::size_t patience = 0;            // epochs of a worse validation loss than the best before training stops; 0: any
  std::size_t recalibrate = 2000;      // training images to take running statistics from before a validation; 0: none
  std::uint64_t seed = 1;

  // The program
  std::size_t threads = 0;        // 0: all cores
  bool tensorboard = true;        // write event files: see training_log.hpp
  std::size_t log_interval = 10;  // steps between scalars in these, and batches between lines where there is no
                                  // terminal; 0: neither
  // The model.safetensors of a network to begin with, in place of random weights: `model`, but for a, and the
  // normalisation are taken from it.
  std::optional<std::filesystem::path> init;
  // Where the run goes, by at most one of the three: runs/mnist-<date>-<time> by default.
  std::optional<std::filesystem::path> out;     // this directory
  std::optional<std::string> run_name;          // runs/<name>
  std::optional<std::filesystem::path> resume;  // that of a run to go on with: all of the above is taken from it
  std::set<std::string> given;                  // the options that the command line has, which must not contradict it
};

// Trains and tests the network that is the best on the validation images. After each epoch the run's directory has
//
//   model.safetensors  the best network so far
//   last/              the checkpoint that the training can be resumed from: see spikenet/io/checkpoint.hpp
//   events.out....     what TensorBoard shows of it, one file for each time that it was begun or resumed
//
// SIGINT and SIGTERM stop it after a step, with a checkpoint. Returns the program's exit status: 0, or the signal's.
// Throws spikenet::error.
int train(const train_options& options);

struct sweep_options {
  sweep_options() {
    train.limit = 6000;
    train.epochs = 2;
  }

  train_options train;  // of each training, but for the three values of its neurons; `resume` is not used
  std::vector<double> v_th = {0.2, 0.4, 0.6, 0.8, 1}, a = {0.25, 0.5, 1}, tau = {0.25};
};

// Trains a network for each triple of the values, one after the other, and validates it. The directory, by default
// runs/sweep-<date>-<time>, gets
//
//   sweep.csv          a row for each training, when it ends
//   accuracy.svg .png  the validation accuracy over v_th and a; one for each tau, if there are several
//   v_th-<value>_.../  the run: see train
//
// Trainings that have their row already are not done again, and one that was stopped goes on. SIGINT and SIGTERM stop
// the sweep as they stop train; status and errors, too, are as there.
int sweep(const sweep_options& options);

struct test_options {
  std::filesystem::path checkpoint;
  std::optional<std::filesystem::path> data;  // directory with the four IDX files; that of the training by default
  std::size_t test_batch_size = 200;
  std::optional<std::filesystem::path> report;  // directory for what report.hpp says of every image
  std::size_t threads = 0;
};

// Tests a network that `train` has saved: its accuracy, and with a report what it gets wrong. Throws spikenet::error.
void test(const test_options& options);

struct import_options {
  std::filesystem::path file, out;
  std::filesystem::path data = SPIKENET_MNIST_DIR;  // of the images that the network is for
  std::string from;         // "spikingjelly", "stbp-simple", or empty: as the names in the file tell
  model_options model;      // v_th and tau in the sense of that library
  bool decay_input = true;  // of SpikingJelly's neurons
  double pixel_mean = 0.1307, pixel_stddev = 0.3081;  // that its images were normalised with
};

// Writes another library's weights as the model.safetensors of a run. Throws spikenet::error.
void import_weights(const import_options& options);

struct firing_rates_options {
  std::filesystem::path checkpoint;
  std::optional<std::filesystem::path> data;  // as of test
  std::optional<std::size_t> sample;         // the number of one test image, from 0; all of them by default
  std::optional<std::filesystem::path> out;  // directory for the chart; the checkpoint's by default
  bool csv = false;                          // and a table of all numbers
  std::size_t threads = 0;
};

// Shows how often the neurons of each layer fire: a table, and a chart, firing-rates.svg and .png. Throws
// spikenet::error.
void firing_rates(const firing_rates_options& options);

struct profile_options {
  std::optional<std::filesystem::path> checkpoint;  // an untrained network by default,
  model_options model;                              // which is this one
  std::optional<std::filesystem::path> data;        // as of test; the bundled images for an untrained network
  std::size_t batch_size = 64;
  std::size_t steps = 20;   // that are timed
  std::size_t warm_up = 3;  // that are not, before them
  std::size_t threads = 0;
};

// Prints how long each layer takes in a training step and in an evaluation, on training images. Throws spikenet::error.
void profile(const profile_options& options);

struct infer_options {
  std::filesystem::path checkpoint;
  std::optional<std::filesystem::path> data;   // as of test
  std::string number = "int8";                 // or "float", "double"
  std::optional<std::size_t> images;           // so many of the test images; all by default
  std::size_t batch = 200;                     // images that are computed together
  std::size_t repeat = 3;                      // passes over them, of which the fastest counts
  std::optional<double> early_exit;            // stop an image as soon as its largest logit leads by that much
  std::optional<std::filesystem::path> chart;  // file for a picture of accuracy over timesteps, as that margin varies
  std::size_t threads = 0;
};

// Runs the inference of a network that `train` has saved, without what training needs: its accuracy beside that of the
// network, its speed, its memory, and what stopping early costs. Throws spikenet::error.
void infer(const infer_options& options);

struct export_options {
  std::filesystem::path checkpoint;
  std::filesystem::path header;
  std::string number = "float";
  std::string name = "model";  // of the header's namespace
};

// Writes a network as C++, a header with its folded weights: spikenet/export/header.hpp. Throws spikenet::error.
void export_network(const export_options& options);

}  // namespace mnist
