#include <spikenet/data/idx.hpp>
#include <spikenet/data/transform.hpp>
#include <spikenet/spikenet.hpp>

#include "cases.hpp"

gpu_tests::batch gpu_tests::mnist_images(const std::string& files, std::size_t count) {
  const spikenet::image_dataset all = spikenet::read_idx_dataset(SPIKENET_MNIST_DIR, files, classes);
  const spikenet::normalise number{.mean = {0.1307}, .stddev = {0.3081}};
  batch made;
  made.labels.assign(all.labels.begin(), all.labels.begin() + static_cast<std::ptrdiff_t>(count));
  for (std::size_t n = 0; n < count; ++n)
    for (const std::uint8_t pixel : all.image(n)) made.images.push_back(static_cast<float>(number(pixel, 0)));
  return made;
}

gpu_tests::training_record gpu_tests::train_on_cpu(const batch& data, const batch& unseen, std::size_t epochs,
                                                   std::size_t batch_size) {
  return train<mnist_network<spikenet::cpu<float>>>(data, unseen, epochs, batch_size);
}
