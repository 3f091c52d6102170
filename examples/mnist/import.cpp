#include <cstdio>
#include <spikenet/core/error.hpp>
#include <spikenet/io/import.hpp>
#include <string>

#include "checkpoint.hpp"
#include "commands.hpp"
#include "run_directory.hpp"

namespace mnist {

namespace {

spikenet::library library_of(const import_options& options, const spikenet::safetensors_file& file) {
  if (options.from == "spikingjelly") return spikenet::library::spikingjelly;
  if (options.from == "stbp-simple") return spikenet::library::stbp_simple;
  if (const auto recognised = spikenet::recognise_library(file)) return *recognised;
  throw spikenet::argument_error(file.name() + ": Its names do not tell whose it is; say --from spikingjelly.");
}

}  // namespace

void import_weights(const import_options& options) {
  const std::filesystem::path model = best_of(options.out);
  require_untaken(options.out);
  const auto file = spikenet::safetensors_file::read(options.file);
  const spikenet::library from = library_of(options, file);

  checkpoint_info info{options.model, {.mean = {options.pixel_mean}, .stddev = {options.pixel_stddev}}, options.data};
  if (from == spikenet::library::spikingjelly) {
    const spikenet::neuron same =
        spikenet::lif_node{
            .tau = options.model.tau, .threshold = options.model.v_th, .decay_input = options.decay_input}
            .neurons<float>();
    info.model.v_th = same.threshold;
    info.model.tau = same.decay;
  }
  const auto net = make_model(info.model, spikenet::seed{});
  spikenet::import_state_dict(*net, file, from);
  make_writable_directory(options.out);
  save_model(*net, info, model);

  std::printf("network     width %zu, %zu timesteps, readout %s, %zu parameters\n", info.model.width, info.model.steps,
              info.model.readout.c_str(), net->parameter_count());
  std::printf("neurons     threshold (v_th) %g, decay (tau) %g\n", info.model.v_th, info.model.tau);
  std::printf("to test it: spikenet-mnist test --checkpoint %s\n", model.c_str());
  std::printf("to train it further: spikenet-mnist train --init %s\n", model.c_str());
}

}  // namespace mnist
