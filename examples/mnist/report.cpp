#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <sstream>

#include "chart.hpp"
#include "text.hpp"

namespace mnist {

namespace {

double share(std::size_t part, std::size_t whole) {
  return whole == 0 ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(part) / static_cast<double>(whole);
}

// "9 (28x), 3 (3x), 1 (1x)": the three most frequent wrong answers to a label.
std::string frequent_mistakes(const confusion_matrix& confusion, std::size_t label) {
  std::vector<std::size_t> answers;
  for (std::size_t answer = 0; answer < classes; ++answer)
    if (answer != label && confusion.count(label, answer) > 0) answers.push_back(answer);
  std::stable_sort(answers.begin(), answers.end(),
                   [&](auto a, auto b) { return confusion.count(label, a) > confusion.count(label, b); });
  std::string text;
  for (const std::size_t answer : std::span{answers}.first(std::min<std::size_t>(answers.size(), 3)))
    text += (text.empty() ? "" : ", ") + std::to_string(answer) + " (" +
            std::to_string(confusion.count(label, answer)) + "x)";
  return text;
}

std::string csv_of(const confusion_matrix& confusion) {
  std::ostringstream file;
  file << "label";
  for (std::size_t answer = 0; answer < classes; ++answer) file << ",answer_" << answer;
  for (std::size_t label = 0; label < classes; ++label) {
    file << '\n' << label;
    for (std::size_t answer = 0; answer < classes; ++answer) file << ',' << confusion.count(label, answer);
  }
  file << '\n';
  return file.str();
}

std::string csv_of(std::span<const outcome> outcomes) {
  std::ostringstream file;
  file.precision(9);
  file << "image,label,answer,label_probability,answer_probability,loss\n";
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const outcome& o = outcomes[i];
    file << i << ',' << o.label << ',' << o.answer << ',' << o.label_probability << ',' << o.answer_probability << ','
         << o.loss << '\n';
  }
  return file.str();
}

// By colour the mistakes alone: beside the right answers they would all look like none.
heat_map chart_of(const confusion_matrix& confusion, const std::string& subtitle) {
  heat_map chart;
  chart.title = "Confusion of the test images";
  chart.subtitle = subtitle;
  chart.column_name = "the network's answer";
  chart.row_name = "label";
  chart.value_name = "images mistaken";
  for (std::size_t label = 0; label < classes; ++label) {
    chart.columns.push_back(std::to_string(label));
    chart.rows.push_back(std::to_string(label));
    for (std::size_t answer = 0; answer < classes; ++answer) {
      const std::size_t count = confusion.count(label, answer);
      chart.values.push_back(label == answer ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(count));
      chart.texts.push_back(std::to_string(count));
    }
  }
  return chart;
}

// Numbers of the images with the largest loss, the largest first.
std::vector<std::size_t> worst_of(std::span<const outcome> outcomes, std::size_t at_most) {
  std::vector<std::size_t> numbers(outcomes.size());
  std::iota(numbers.begin(), numbers.end(), std::size_t{0});
  std::stable_sort(numbers.begin(), numbers.end(),
                   [&](std::size_t a, std::size_t b) { return outcomes[a].loss > outcomes[b].loss; });
  numbers.resize(std::min(numbers.size(), at_most));
  return numbers;
}

image_grid grid_of(const spikenet::image_dataset& images, std::span<const outcome> outcomes,
                   const std::string& subtitle) {
  image_grid grid;
  grid.title = "The test images with the largest loss";
  grid.subtitle = subtitle + ". In grey: the answer's probability and the image's number";
  grid.height = images.height;
  grid.width = images.width;
  for (const std::size_t i : worst_of(outcomes, 36)) {
    const outcome& o = outcomes[i];
    grid.items.push_back(
        {images.image(i),
         std::to_string(o.label) + (o.correct() ? ", recognised" : " taken for " + std::to_string(o.answer)),
         number("%.1f %%", 100 * o.answer_probability) + ", image " + std::to_string(i)});
  }
  return grid;
}

}  // namespace

std::vector<outcome> outcomes_of(std::span<const float> logits, std::span<const std::int32_t> labels) {
  std::vector<outcome> outcomes;
  outcomes.reserve(labels.size());
  for (std::size_t n = 0; n < labels.size(); ++n) {
    const auto row = logits.subspan(n * classes, classes);
    const auto largest = std::max_element(row.begin(), row.end());
    const auto above_largest = [&](float logit) { return static_cast<double>(logit) - static_cast<double>(*largest); };
    double sum = 0;
    for (const float logit : row) sum += std::exp(above_largest(logit));
    const double loss = std::log(sum) - above_largest(row[static_cast<std::size_t>(labels[n])]);
    outcomes.push_back({labels[n], static_cast<std::int32_t>(largest - row.begin()), std::exp(-loss), 1 / sum, loss});
  }
  return outcomes;
}

confusion_matrix::confusion_matrix(std::span<const outcome> outcomes) {
  for (const outcome& o : outcomes) ++counts_[static_cast<std::size_t>(o.label)][static_cast<std::size_t>(o.answer)];
}

std::size_t confusion_matrix::of_label(std::size_t label) const {
  return std::accumulate(counts_[label].begin(), counts_[label].end(), std::size_t{0});
}

std::size_t confusion_matrix::of_answer(std::size_t answer) const {
  return std::accumulate(counts_.begin(), counts_.end(), std::size_t{0},
                         [answer](std::size_t sum, const auto& row) { return sum + row[answer]; });
}

double confusion_matrix::recall(std::size_t c) const { return share(count(c, c), of_label(c)); }

double confusion_matrix::precision(std::size_t c) const { return share(count(c, c), of_answer(c)); }

void print_classes(const confusion_matrix& confusion) {
  text_table table{{"class", "images", "recall", "precision", "taken for"}};
  for (std::size_t c = 0; c < classes; ++c)
    table.push_back({std::to_string(c), std::to_string(confusion.of_label(c)), accuracy_text(confusion.recall(c)),
                     accuracy_text(confusion.precision(c)), frequent_mistakes(confusion, c)});
  print_table(table, "lrrrl");
}

void write_report(const spikenet::image_dataset& images, std::span<const outcome> outcomes, const std::string& subtitle,
                  const std::filesystem::path& directory) {
  make_directory(directory);
  const confusion_matrix confusion{outcomes};
  save_chart(chart_of(confusion, subtitle), directory / "confusion");
  save_text(csv_of(confusion), directory / "confusion.csv");
  save_chart(grid_of(images, outcomes, subtitle), directory / "worst");
  save_text(csv_of(outcomes), directory / "images.csv");
}

}  // namespace mnist
