// What a network answers to each test image: which classes it confuses, and which images it does worst on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <spikenet/data/dataset.hpp>
#include <string>
#include <vector>

#include "model.hpp"

namespace mnist {

// One image. The probabilities are the softmax of the logits.
struct outcome {
  std::int32_t label = 0, answer = 0;  // the class that it is, and the one with the largest logit
  double label_probability = 0, answer_probability = 0;
  double loss = 0;  // cross-entropy: -log(label_probability)

  bool correct() const { return label == answer; }
};

// logits: [N, classes]; labels: [N], each below classes.
std::vector<outcome> outcomes_of(std::span<const float> logits, std::span<const std::int32_t> labels);

// Images counted by label and answer.
class confusion_matrix {
 public:
  explicit confusion_matrix(std::span<const outcome> outcomes);

  std::size_t count(std::size_t label, std::size_t answer) const { return counts_[label][answer]; }
  std::size_t of_label(std::size_t label) const;
  std::size_t of_answer(std::size_t answer) const;
  // The share of the class's images that are recognised, and of the answers with the class that are right. NaN where
  // there are none.
  double recall(std::size_t c) const;
  double precision(std::size_t c) const;

 private:
  std::array<std::array<std::size_t, classes>, classes> counts_{};
};

// A line for each class: recall, precision, and what its images are mistaken for most often.
void print_classes(const confusion_matrix& confusion);

// Writes into the directory, which is created where it is missing:
//
//   confusion.svg .png .csv  the confusion matrix; the table has a row for each label, a column for each answer
//   worst.svg .png           the 36 images with the largest loss (all where there are fewer), the largest first
//   images.csv               a row for each image, in the order of the files
//
// outcomes: one for each image. subtitle: what the pictures say of the network. Throws spikenet::file_error naming the
// file that cannot be written.
void write_report(const spikenet::image_dataset& images, std::span<const outcome> outcomes, const std::string& subtitle,
                  const std::filesystem::path& directory);

}  // namespace mnist
