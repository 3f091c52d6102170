#include <cstdio>
#include <spikenet/spikenet.hpp>

#include "checkpoint.hpp"
#include "checksum.hpp"
#include "commands.hpp"
#include "data.hpp"

namespace mnist {

void test(const test_options& options) {
  spikenet::set_cpu_threads(options.threads);
  const auto [info, net] = load_model(options.checkpoint);

  check_sums(options.data);
  const spikenet::image_dataset images = read_images(options.data, "t10k");
  const spikenet::batch_loader<float> loader{
      images, {.batch_size = options.test_batch_size, .normalisation = info.normalisation}};
  std::printf("data        %s: %zu images to test\n", options.data.c_str(), images.size());
  std::printf("network     %s: width %zu, %zu timesteps, %s, %zu parameters\n", options.checkpoint.c_str(),
              info.model.width, info.model.steps, info.model.readout.c_str(), net->parameter_count());
  std::printf("neurons     threshold (v_th) %g, decay (tau) %g\n\n", info.model.v_th, info.model.tau);
  std::fflush(stdout);

  const progress::summary tested = evaluate(*net, loader, "test");
  std::printf("test accuracy %.2f %%, test loss %.4f, %.0f images/s\n", 100 * tested.accuracy, tested.loss,
              tested.images_per_second);
}

}  // namespace mnist
