#include <algorithm>
#include <cmath>
#include <cstdio>
#include <spikenet/cpu_threads.hpp>
#include <string>
#include <vector>

#include "chart.hpp"
#include "checkpoint.hpp"
#include "checksum.hpp"
#include "commands.hpp"
#include "data.hpp"
#include "deployed.hpp"
#include "text.hpp"
#include "trained.hpp"

namespace mnist {

namespace {

std::size_t class_of(std::span<const double> logits) {
  return static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// By how much the largest of all logits exceeds the second.
double lead_of(std::span<const double> logits) {
  std::vector<double> sorted(logits.begin(), logits.end());
  std::partial_sort(sorted.begin(), sorted.begin() + 2, sorted.end(), std::greater<>());
  return sorted[0] - sorted[1];
}

std::vector<std::size_t> classes_of(std::span<const double> logits) {
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < logits.size(); i += classes) result.push_back(class_of(logits.subspan(i, classes)));
  return result;
}

std::vector<double> evaluated(model& net, const spikenet::batch_loader<float>& loader) {
  std::vector<double> logits;
  for (const auto& batch : loader.epoch(0)) {
    const auto of_batch = net.evaluate(batch.images);
    logits.insert(logits.end(), of_batch.begin(), of_batch.end());
  }
  return logits;
}

double share(std::size_t part, std::size_t whole) { return static_cast<double>(part) / static_cast<double>(whole); }

double accuracy(std::span<const std::size_t> predicted, std::span<const std::int32_t> labels) {
  std::size_t correct = 0;
  for (std::size_t i = 0; i < predicted.size(); ++i)
    correct += predicted[i] == static_cast<std::size_t>(labels[i]) ? 1 : 0;
  return share(correct, predicted.size());
}

// What it comes to where each image stops as soon as its answer leads by a margin.
struct stopped {
  double accuracy, timesteps;
};

// logits: [N, timesteps, classes]
stopped stop_at(double margin, std::span<const double> logits, std::size_t timesteps,
                std::span<const std::int32_t> labels) {
  std::size_t correct = 0, steps = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    std::size_t t = 0;
    const auto after = [&] { return logits.subspan((i * timesteps + t) * classes, classes); };
    while (t + 1 < timesteps && lead_of(after()) < margin) ++t;
    correct += class_of(after()) == static_cast<std::size_t>(labels[i]) ? 1 : 0;
    steps += t + 1;
  }
  return {share(correct, labels.size()), share(steps, labels.size())};
}

// Margins, from the least: which part of the images has a smaller lead after the first timestep. Most of what there is
// to win lies in the first few hundredths.
std::vector<double> margins_of(std::span<const double> logits, std::size_t timesteps) {
  std::vector<double> leads;
  for (std::size_t i = 0; i < logits.size(); i += timesteps * classes)
    leads.push_back(lead_of(logits.subspan(i, classes)));
  std::sort(leads.begin(), leads.end());
  std::vector<double> margins{0};
  for (const std::size_t hundredths : {1, 2, 3, 4, 6, 8, 10, 20, 30, 40, 50, 60, 70, 80, 90})
    margins.push_back(leads[hundredths * leads.size() / 100]);
  margins.push_back(leads.back() * 2 + 1);
  return margins;
}

// Leaves out the labels of points that lie close to one that has a label; the last keeps its own.
void thin_out_labels(std::vector<line_chart::point>& points) {
  const auto [left, right] =
      std::minmax_element(points.begin(), points.end(), [](auto& a, auto& b) { return a.x < b.x; });
  const auto [low, high] =
      std::minmax_element(points.begin(), points.end(), [](auto& a, auto& b) { return a.y < b.y; });
  const double width = right->x - left->x, height = high->y - low->y;
  const auto crowds = [&](const line_chart::point& a, const line_chart::point& b) {
    return std::abs(a.x - b.x) < 0.08 * width && std::abs(a.y - b.y) < 0.06 * height;
  };
  const line_chart::point* labelled = nullptr;
  for (line_chart::point& p : points) {
    if (&p != &points.back() && ((labelled && crowds(p, *labelled)) || crowds(p, points.back())))
      p.label.clear();
    else
      labelled = &p;
  }
}

}  // namespace

void infer(const infer_options& options) {
  spikenet::set_cpu_threads(options.threads);
  const auto [info, net] = load_model(options.checkpoint);
  const std::size_t timesteps = info.model.steps;

  const std::filesystem::path data = data_for(options.checkpoint, info, options.data);
  check_sums(data);
  const spikenet::image_dataset dataset = read_images(data, "t10k");
  const std::size_t count = std::min(options.images.value_or(dataset.size()), dataset.size());
  const spikenet::subset images = spikenet::subset(dataset).first(count);
  const std::span<const std::int32_t> labels = std::span(dataset.labels).first(count);
  const auto run = load_trained(options.checkpoint).net->deploy(options.number, info.normalisation);
  run->take(std::span(dataset.pixels).first(count * image_height * image_width));
  const deployed::sizes bytes = run->bytes();
  std::printf("data        %s: %zu test images\n", data.c_str(), count);
  std::printf("network     %s: width %zu, %zu timesteps, %s\n", options.checkpoint.c_str(), info.model.width, timesteps,
              info.model.readout.c_str());
  std::printf(
      "inference   %s: %zu bytes of parameters, %zu of state between timesteps, %zu of workspace for one image\n\n",
      options.number.c_str(), bytes.parameters, bytes.state, bytes.workspace);
  std::fflush(stdout);

  const spikenet::batch_loader<float> loader{images,
                                             {.batch_size = options.batch, .normalisation = info.normalisation}};
  const std::vector<std::size_t> expected = classes_of(evaluated(*net, loader));

  std::vector<double> logits(count * classes);
  double seconds = INFINITY;
  for (std::size_t i = 0; i < options.repeat; ++i) {
    const auto start = clock::now();
    for (std::size_t first = 0; first < count; first += options.batch) {
      const std::size_t size = std::min(options.batch, count - first);
      run->logits(first, size, std::span(logits).subspan(first * classes, size * classes));
    }
    seconds = std::min(seconds, seconds_since(start));
  }
  const std::vector<std::size_t> predicted = classes_of(logits);
  std::size_t equal = 0;
  for (std::size_t i = 0; i < count; ++i) equal += predicted[i] == expected[i] ? 1 : 0;
  std::printf("accuracy    %s, of the network %s; %zu of %zu predictions are the network's\n",
              accuracy_text(accuracy(predicted, labels)).c_str(), accuracy_text(accuracy(expected, labels)).c_str(),
              equal, count);

  const auto latency = [&](std::size_t (deployed::*classify)(std::size_t)) {
    std::vector<double> latencies;
    for (std::size_t i = 0; i < count; ++i) {
      const auto start = clock::now();
      ((*run).*classify)(i);
      latencies.push_back(seconds_since(start));
    }
    std::nth_element(latencies.begin(), latencies.begin() + static_cast<std::ptrdiff_t>(count / 2), latencies.end());
    return 1e3 * latencies[count / 2];
  };
  std::printf("speed       %.0f images/s in batches of %zu; one image alone, by one thread, %.3f ms, by all %.3f ms\n",
              static_cast<double>(count) / seconds, options.batch, latency(&deployed::classify),
              latency(&deployed::classify_together));
  std::printf("neurons     fire at %s of the timesteps\n",
              percent(run->firing_rate(0, std::min<std::size_t>(count, 1000))).c_str());
  if (!options.early_exit && !options.chart) return;

  std::vector<double> after(count * timesteps * classes);
  for (std::size_t i = 0; i < count; ++i)
    run->follow(i, std::span(after).subspan(i * timesteps * classes, timesteps * classes));
  if (options.early_exit) {
    const stopped s = stop_at(*options.early_exit, after, timesteps, labels);
    std::printf("early exit  at a margin of %g: accuracy %s after %.3f of %zu timesteps, on average\n",
                *options.early_exit, accuracy_text(s.accuracy).c_str(), s.timesteps, timesteps);
  }
  if (!options.chart) return;

  line_chart chart;
  chart.title = "Stopping as soon as the answer is clear";
  chart.subtitle = std::to_string(count) + " test images; width " + std::to_string(info.model.width) + ", " +
                   std::to_string(timesteps) + " timesteps, " + options.number +
                   "; beside the points the margin between the two largest logits";
  chart.x_name = "timesteps used, mean";
  chart.y_name = "accuracy";
  chart.y_as_percent = true;
  const std::vector<double> margins = margins_of(after, timesteps);
  for (std::size_t i = 0; i < margins.size(); ++i) {
    const stopped s = stop_at(margins[i], after, timesteps, labels);
    chart.points.push_back({s.timesteps, s.accuracy, i + 1 < margins.size() ? number("%.3g", margins[i]) : "never"});
  }
  thin_out_labels(chart.points);
  const std::filesystem::path path = std::filesystem::path{*options.chart}.replace_extension();
  save_chart(chart, path);
  std::printf("written     %s.svg, .png\n", path.c_str());
}

}  // namespace mnist
