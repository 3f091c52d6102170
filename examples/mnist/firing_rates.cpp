#include <algorithm>
#include <cmath>
#include <cstdio>
#include <spikenet/cpu_threads.hpp>
#include <spikenet/training/loss.hpp>
#include <spikenet/training/monitor.hpp>
#include <sstream>

#include "chart.hpp"
#include "checkpoint.hpp"
#include "checksum.hpp"
#include "commands.hpp"
#include "data.hpp"
#include "firing_rate_chart.hpp"
#include "text.hpp"

namespace mnist {

namespace {

// A layer of neurons with the layers that feed it, or the last layers with weights, which no neurons follow.
struct row {
  const spikenet::neuron_statistics* neurons = nullptr;
  std::vector<std::string> follows;
  spikenet::synaptic_operations operations;
};

std::vector<row> rows_of(const spikenet::monitor& monitor) {
  std::vector<row> rows;
  std::vector<std::string> followed;
  const auto add_operations = [&](row& r) {
    for (const spikenet::synapse_statistics& layer : monitor.synapses())
      if (std::find(r.follows.begin(), r.follows.end(), layer.name) != r.follows.end())
        r.operations += layer.operations;
  };
  for (const spikenet::neuron_statistics& layer : monitor.neurons()) {
    rows.push_back({&layer, layer.follows, {}});
    add_operations(rows.back());
    followed.insert(followed.end(), layer.follows.begin(), layer.follows.end());
  }
  for (const spikenet::synapse_statistics& layer : monitor.synapses()) {
    if (std::find(followed.begin(), followed.end(), layer.name) != followed.end()) continue;
    rows.push_back({nullptr, {layer.name}, layer.operations});
  }
  return rows;
}

// "12.3k", "4.56M".
std::string count(double value) {
  const char* const units[]{"", "k", "M", "G", "T"};
  std::size_t unit = 0;
  for (; value >= 999.5 && unit < 4; ++unit) value /= 1000;
  return number(unit == 0 ? "%.0f" : value >= 99.95 ? "%.0f" : value >= 9.995 ? "%.1f" : "%.2f", value) + units[unit];
}
std::string energy(double picojoules) {
  return picojoules < 1e6 ? number("%.3g nJ", picojoules / 1e3) : number("%.3g uJ", picojoules / 1e6);
}

// "-" where the monitor cannot see them.
std::string membrane_text(const spikenet::membrane_statistics& membrane) {
  if (!membrane.known()) return "-";
  return number("%.2f", membrane.mean()) + " +- " + number("%.2f", membrane.stddev());
}

void print_rows(const std::vector<row>& rows, std::size_t timesteps, double images) {
  text_table table{{"neurons", "follow", "number", "rate"}};
  for (std::size_t t = 0; t < timesteps; ++t) table[0].push_back("t=" + std::to_string(t));
  for (const char* name : {"dead", "saturated", "membrane", "operations", "dense", "share"}) table[0].push_back(name);
  for (const row& r : rows) {
    std::vector<std::string> line;
    if (r.neurons) {
      const spikenet::neuron_statistics& layer = *r.neurons;
      line = {layer.name, joined(layer.follows, layer.name), std::to_string(layer.neurons), percent(layer.rate())};
      for (std::size_t t = 0; t < timesteps; ++t) line.push_back(percent(layer.rate(t)));
      line.insert(line.end(), {percent(layer.dead()), percent(layer.saturated()), membrane_text(layer.membrane)});
    } else {
      line = {"-", joined(r.follows, "")};
      line.resize(7 + timesteps, "-");
    }
    const auto& o = r.operations;
    const double done = static_cast<double>(o.additions + o.multiply_adds);
    line.insert(line.end(), {count(done / images) + (o.multiply_adds > 0 ? " x" : "  "),
                             count(static_cast<double>(o.dense) / images),
                             percent(o.dense > 0 ? done / static_cast<double>(o.dense) : 0)});
    table.push_back(std::move(line));
  }

  print_table(table, "llr");
}

void print_totals(const spikenet::synaptic_operations& total, std::size_t timesteps, double images) {
  const spikenet::operation_energy of;
  const std::string steps = std::to_string(timesteps) + (timesteps == 1 ? " timestep" : " timesteps");
  const auto of_image = [images](std::uint64_t operations) { return count(static_cast<double>(operations) / images); };
  std::printf(
      "\nAn image at %s takes %s additions, one for each spike and output it goes into, and %s multiply-adds\n"
      "where the input is not spikes (x). Without regard to spikes it would be %s multiply-adds, or %s in a network\n"
      "without timesteps.\n",
      steps.c_str(), of_image(total.additions).c_str(), of_image(total.multiply_adds).c_str(),
      of_image(total.dense).c_str(), of_image(total.dense_one_timestep).c_str());
  std::printf(
      "Energy of these operations for an image: %s; dense %s, dense without timesteps %s (32-bit floating point in\n"
      "45 nm: addition %.1f pJ, multiplication %.1f pJ; Horowitz, ISSCC 2014; memory not counted).\n",
      energy(total.energy(of) / images).c_str(), energy(total.dense_energy(of) / images).c_str(),
      energy(total.dense_one_timestep_energy(of) / images).c_str(), of.add, of.multiply);
}

void write_csv(const std::vector<row>& rows, std::size_t timesteps, std::uint64_t images,
               const std::filesystem::path& path) {
  std::ostringstream file;
  file.precision(9);
  file << "neurons,follow,count,images,rate";
  for (std::size_t t = 0; t < timesteps; ++t) file << ",rate_t" << t;
  file << ",dead,saturated,membrane_mean,membrane_stddev,membrane_min,membrane_max,in_window,additions,multiply_adds,"
          "dense_multiply_adds\n";
  for (const row& r : rows) {
    if (r.neurons) {
      const spikenet::neuron_statistics& layer = *r.neurons;
      file << layer.name << ',' << joined(layer.follows, "") << ',' << layer.neurons << ',' << images << ','
           << layer.rate();
      for (std::size_t t = 0; t < timesteps; ++t) file << ',' << layer.rate(t);
      file << ',' << layer.dead() << ',' << layer.saturated();
      if (const spikenet::membrane_statistics& u = layer.membrane; u.known())
        file << ',' << u.mean() << ',' << u.stddev() << ',' << u.min() << ',' << u.max() << ',' << u.in_window();
      else
        file << ",,,,,";
    } else {
      file << ',' << joined(r.follows, "") << ",," << images << std::string(8 + timesteps, ',');
    }
    file << ',' << r.operations.additions << ',' << r.operations.multiply_adds << ',' << r.operations.dense << '\n';
  }
  save_text(file.str(), path);
}

}  // namespace

void firing_rates(const firing_rates_options& options) {
  spikenet::set_cpu_threads(options.threads);
  const saved_model saved = load_model(options.checkpoint);
  const model_options& made = saved.info.model;

  const std::filesystem::path data = data_for(options.checkpoint, saved.info, options.data);
  check_sums(data);
  const spikenet::image_dataset dataset = read_images(data, "t10k");
  if (options.sample && *options.sample >= dataset.size())
    throw spikenet::argument_error("--sample " + std::to_string(*options.sample) + ": The test images in " +
                                   data.string() + " are numbered 0 to " + std::to_string(dataset.size() - 1) + ".");
  const spikenet::subset images = options.sample
                                      ? spikenet::subset{dataset, {static_cast<std::uint32_t>(*options.sample)}}
                                      : spikenet::subset{dataset};

  const std::filesystem::path out = options.out.value_or(options.checkpoint.parent_path());
  make_directory(out);

  const spikenet::batch_loader<float> loader{images, {.batch_size = 200, .normalisation = saved.info.normalisation}};
  spikenet::monitor monitor;
  std::vector<float> gradient;
  std::ptrdiff_t answer = 0;
  double accuracy = 0;
  {
    progress live{"firing rates", loader.size(), 0};
    for (const auto& batch : loader.epoch(0)) {
      const std::span<const float> logits = saved.net->evaluate(batch.images, monitor);
      gradient.resize(logits.size());
      const double loss = spikenet::softmax_cross_entropy{}(classes, logits, batch.labels, std::span{gradient});
      std::size_t correct_now = 0;
      for (std::size_t n = 0; n < batch.size(); ++n) {
        const auto first = logits.begin() + static_cast<std::ptrdiff_t>(n * classes);
        answer = std::max_element(first, first + classes) - first;
        correct_now += answer == batch.labels[n] ? 1 : 0;
      }
      live.update(batch.size(), loss, correct_now);
    }
    accuracy = live.finish().accuracy;
  }

  const auto count = static_cast<double>(images.size());
  std::string of_what;
  if (options.sample)
    of_what = "test image " + std::to_string(*options.sample) + ", a " +
              std::to_string(dataset.labels[*options.sample]) + ", taken for a " + std::to_string(answer);
  else
    of_what =
        std::to_string(images.size()) + " test images, " + number("%.2f %%", 100 * accuracy) + " of them recognised";
  const std::string of_network = "width " + std::to_string(made.width) + ", " + std::to_string(made.steps) +
                                 " timesteps, threshold " + number("%g", made.v_th) + ", decay " +
                                 number("%g", made.tau);

  const std::vector<row> rows = rows_of(monitor);
  std::printf("network     %s: %s\n", options.checkpoint.c_str(), of_network.c_str());
  std::printf("data        %s: %s\n\n", data.c_str(), of_what.c_str());
  print_rows(rows, made.steps, count);
  print_totals(monitor.total(), made.steps, count);
  for (const std::string& warning : monitor.warnings()) std::printf("\nwarning: %s\n", warning.c_str());

  const std::filesystem::path path = out / "firing-rates";
  save_chart(firing_rate_chart(monitor, of_what + "; " + of_network), path);
  std::string written = path.string() + ".svg, " + path.string() + ".png";
  if (options.csv) {
    write_csv(rows, made.steps, images.size(), path.string() + ".csv");
    written += ", " + path.string() + ".csv";
  }
  std::printf("\nwritten     %s\n", written.c_str());
}

}  // namespace mnist
