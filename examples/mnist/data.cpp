#include "data.hpp"

#include <spikenet/core/error.hpp>
#include <spikenet/data/idx.hpp>
#include <spikenet/network/network.hpp>

#include "interruption.hpp"

namespace mnist {

spikenet::image_dataset read_images(const std::filesystem::path& directory, const std::string& prefix) {
  spikenet::image_dataset images = spikenet::read_idx_dataset(directory, prefix, classes);
  if (images.shape() != spikenet::image_shape{1, image_height, image_width})
    throw spikenet::file_error((directory / (prefix + "-images-idx3-ubyte")).string() + ": The images are " +
                               std::to_string(images.height) + "x" + std::to_string(images.width) +
                               ", but this program's networks take images of " + std::to_string(image_height) + "x" +
                               std::to_string(image_width) + ".");
  return images;
}

void recalibrate(model& net, const spikenet::batch_loader<float>& loader) {
  std::size_t n = 0;
  for (const auto& batch : loader.epoch(0)) net.recalibrate(batch.images, ++n);
}

progress::summary evaluate(model& net, const spikenet::batch_loader<float>& loader, const std::string& title) {
  progress live{title, loader.size(), 0};
  for (const auto& batch : loader.epoch(0)) {
    const spikenet::step_result result = net.test_step(batch.images, batch.labels);
    live.update(batch.size(), result.loss, result.correct);
    stop_if_asked();
  }
  return live.finish();
}

}  // namespace mnist
