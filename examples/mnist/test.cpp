#include <cmath>
#include <cstdio>
#include <spikenet/cpu_threads.hpp>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint.hpp"
#include "checksum.hpp"
#include "commands.hpp"
#include "data.hpp"
#include "report.hpp"
#include "text.hpp"

namespace mnist {

namespace {

struct tested {
  progress::summary summary;
  std::vector<outcome> outcomes;  // one for each image, in the loader's order
};

tested classify(model& net, const spikenet::batch_loader<float>& loader) {
  progress live{"test", loader.size(), 0};
  std::vector<outcome> outcomes;
  for (const auto& batch : loader.epoch(0)) {
    double loss = 0;
    std::size_t correct = 0;
    for (const outcome& o : outcomes_of(net.evaluate(batch.images), batch.labels)) {
      if (!std::isfinite(o.loss)) throw spikenet::numeric_error("the loss is not finite");
      outcomes.push_back(o);
      loss += o.loss;
      correct += o.correct() ? 1 : 0;
    }
    live.update(batch.size(), loss / static_cast<double>(batch.size()), correct);
  }
  return {live.finish(), std::move(outcomes)};
}

}  // namespace

void test(const test_options& options) {
  spikenet::set_cpu_threads(options.threads);
  const auto [info, net] = load_model(options.checkpoint);

  const std::filesystem::path data = data_for(options.checkpoint, info, options.data);
  check_sums(data);
  const spikenet::image_dataset images = read_images(data, "t10k");
  const spikenet::batch_loader<float> loader{
      images, {.batch_size = options.test_batch_size, .normalisation = info.normalisation}};
  std::printf("data        %s: %zu images to test\n", data.c_str(), images.size());
  std::printf("network     %s: width %zu, %zu timesteps, %s, %zu parameters\n", options.checkpoint.c_str(),
              info.model.width, info.model.steps, info.model.readout.c_str(), net->parameter_count());
  std::printf("neurons     threshold (v_th) %g, decay (tau) %g\n\n", info.model.v_th, info.model.tau);
  std::fflush(stdout);

  const auto [summary, outcomes] = classify(*net, loader);
  std::printf("test accuracy %s, test loss %.4f, %.0f images/s\n", accuracy_text(summary.accuracy).c_str(),
              summary.loss, summary.images_per_second);
  if (!options.report) return;

  std::printf("\n");
  print_classes(confusion_matrix{outcomes});
  write_report(images, outcomes,
               accuracy_text(summary.accuracy) + " of " + std::to_string(images.size()) + " images recognised; width " +
                   std::to_string(info.model.width) + ", " + std::to_string(info.model.steps) + " timesteps",
               *options.report);
  std::printf("\nwritten     %s: confusion.svg, .png, .csv; worst.svg, .png; images.csv\n", options.report->c_str());
}

}  // namespace mnist
