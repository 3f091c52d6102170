// spikenet-nir: looks into networks in the Neuromorphic Intermediate Representation, makes one of a trained network,
// and makes C++ of one.
//
// Exit status: 0; 1 where the command failed; 2 where the command line is wrong; either way there is one message.
#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <new>
#include <span>
#include <spikenet/io/atomic_file.hpp>
#include <spikenet/nir/file.hpp>
#include <spikenet/nir/to_cpp.hpp>
#include <string>
#include <type_traits>
#include <variant>

#include "trained.hpp"

namespace {

namespace nir = spikenet::nir;

// What is worth a line: shapes of what a file gives values for, and values where there is one for all.
std::string describe(const nir::node& n) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  std::visit(
      [&]<class Node>(const Node& v) {
        Node::fields(v, [&]<class Field>(const char* field, const Field& value, bool) {
          const std::string name = std::string(field) + " ";
          if constexpr (std::is_same_v<Field, nir::array>) {
            bool same = true;
            for (const double x : value.values) same = same && x == value.values[0];
            char one[32];
            std::snprintf(one, sizeof one, "%g", value.values[0]);
            add(name + (same ? one : nir::detail::text(value.shape)));
          } else if constexpr (std::is_same_v<Field, nir::extents>) {
            if (!value.empty() && !std::is_same_v<Node, nir::input> && !std::is_same_v<Node, nir::output>)
              add(name + nir::detail::text(value));
          } else if constexpr (std::is_same_v<Field, nir::pair>) {
            add(name + std::to_string(value[0]) + (value[0] == value[1] ? "" : "x" + std::to_string(value[1])));
          } else {
            add(name + std::to_string(value));
          }
        });
      },
      n);
  return text;
}

void info(const std::filesystem::path& path) {
  const nir::graph g = nir::read(path);
  const nir::analysis a = nir::analyse(g);
  std::size_t widest = 4, values = 0;
  for (const auto& [name, n] : g.nodes) {
    widest = std::max(widest, name.size());
    nir::detail::for_each_array(n, [&](const char* field, const nir::array& of) {
      if (field == std::string("weight") || field == std::string("bias")) values += of.values.size();
    });
  }
  const int width = static_cast<int>(std::min<std::size_t>(widest, 40));
  std::printf("%s: %zu nodes, %zu edges, %zu weights and biases\n\n%-*s  %-10s %-16s %s\n", path.c_str(),
              g.nodes.size(), g.edges.size(), values, width, "node", "type", "gives", "parameters");
  for (const std::string& name : a.order) {
    const nir::node& n = g.nodes.at(name);
    std::string sum;
    if (const auto& into = a.into.at(name); into.size() > 1)
      for (const std::string& from : into) sum += (sum.empty() ? "  sum of " : " + ") + from;
    std::printf("%-*s  %-10s %-16s %s%s\n", width, name.c_str(), std::string(nir::type_of(n)).c_str(),
                nir::detail::text(a.shapes.at(name)).c_str(), describe(n).c_str(), sum.c_str());
  }
}

void make_graph(const std::filesystem::path& checkpoint, const std::filesystem::path& path, double dt) {
  const auto [saved, net] = mnist::load_trained(checkpoint);
  nir::write(path, net->nir_graph(dt));
  std::printf("written     %s, for timesteps of %g s\n", path.c_str(), dt);
  std::printf("input       pixels from 0 to 1, less %g, divided by %g; the same image at each of %zu timesteps\n",
              saved.normalisation.mean.at(0), saved.normalisation.stddev.at(0), saved.model.steps);
  std::printf("output      logits: the mean over the timesteps\n");
}

void make_cpp(const std::filesystem::path& from, const std::filesystem::path& to, nir::cpp_options options) {
  options.source = from.filename().string();
  const nir::graph g = nir::read(from);
  std::string text;
  try {
    text = nir::to_cpp(g, options);
  } catch (const spikenet::argument_error& problem) {
    throw spikenet::file_error(from.string() + ": " + problem.what() + ".");
  }
  spikenet::write_file_atomically(to, std::as_bytes(std::span(text)));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Networks in the Neuromorphic Intermediate Representation (.nir files).", "spikenet-nir"};
  app.require_subcommand(0, 1);
  app.option_defaults()->always_capture_default();
  const CLI::Validator time_step{[](const std::string& text) {
                                   char* end = nullptr;
                                   const double value = std::strtod(text.c_str(), &end);
                                   return !text.empty() && *end == '\0' && value > 0 && value < 1e9
                                              ? std::string{}
                                              : "\"" + text + "\" is not a number of seconds above 0";
                                 },
                                 ""};

  std::string from, to, checkpoint;
  double dt = 1e-4;
  CLI::App& info_command =
      *app.add_subcommand("info", "Lists the nodes of a graph, in the order in which they are run");
  info_command.add_option("model.nir", from, "The graph")->required()->check(CLI::ExistingFile);

  CLI::App& export_command =
      *app.add_subcommand("export", "Makes a graph of a network that spikenet-mnist has trained");
  export_command.add_option("--checkpoint", checkpoint, "The model.safetensors of a training")
      ->required()
      ->check(CLI::ExistingFile);
  export_command.add_option("model.nir", to, "Where to write the graph")->required();

  nir::cpp_options options;
  CLI::App& cpp_command = *app.add_subcommand("to-cpp", "Makes a header with the network as a type, and its weights");
  cpp_command.add_option("model.nir", from, "The graph")->required()->check(CLI::ExistingFile);
  cpp_command.add_option("model.hpp", to, "Where to write the header")->required();
  cpp_command.add_option("--timesteps", options.timesteps, "Of the network, unless it is told otherwise")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}));
  cpp_command.add_flag("--same_input", options.same_input,
                       "It is given one image for all timesteps, not a frame for each");
  cpp_command.add_option("--namespace", options.name_space, "Of what the header defines");
  for (CLI::App* command : {&export_command, &cpp_command})
    command->add_option("--dt", dt, "Seconds that a timestep stands for")->check(time_step);

  try {
    app.parse(argc, argv);
    if (app.get_subcommands().empty()) throw CLI::RequiredError("A command, info or export or to-cpp,");
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    std::fprintf(stderr, "spikenet-nir: %s (--help lists what there is)\n", error.what());
    return 2;
  }
  options.dt = dt;
  try {
    if (info_command.parsed()) info(from);
    if (export_command.parsed()) make_graph(checkpoint, to, dt);
    if (cpp_command.parsed()) make_cpp(from, to, options);
    return 0;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "spikenet-nir: There is not enough memory.\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "spikenet-nir: %s\n", error.what());
  }
  return 1;
}
