// Builds a cuDNN plan for every convolution of the residual network on cards that need not be there, with the functions
// that the CUDA backend makes its plans with.
//
//   cuda_plans check WIDTH...     one line for each card and width; status 1 where something is not as it should be
//   cuda_plans table WIDTH...     docs/cuda-plans.md, on standard output
#include <cudnn.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <spikenet/backend/cuda/cudnn/plan.hpp>
#include <spikenet/dsrn.hpp>
#include <string>
#include <vector>

#include "../cards.hpp"
#include "../network_layers.hpp"

namespace {

namespace cudnn = spikenet::detail::cudnn;
namespace fe = cudnn_frontend;
using cudnn::convolution_problem;
using cudnn::number;
using cudnn::operation;
using spikenet_tests::card;

constexpr number all_numbers[] = {number::float32, number::tf32, number::float16, number::bfloat16};
constexpr std::int64_t batch = 64;

std::shared_ptr<const fe::DeviceProperties> device_of(const card& c) {
  const std::string json = spikenet_tests::cudnn_json(c, static_cast<int>(cudnnGetVersion()));
  std::vector<std::uint8_t> bytes(json.begin(), json.end());
  bytes.push_back(0);
  auto device = std::make_shared<fe::DeviceProperties>();
  cudnn::check(device->deserialize(bytes), std::string("the description of the ") + c.short_name);
  return device;
}

// The convolutions of a network of this width, each shape and pass once.
template <std::size_t Width>
std::vector<convolution_problem> problems_of_width() {
  std::vector<convolution_problem> problems;
  const auto n = [](std::size_t value) { return static_cast<std::int64_t>(value); };
  for (const auto& layer :
       spikenet_tests::layers_of<spikenet::dsrn<spikenet::cpu<float>, Width, 2>>()) {
    if (layer.kind != spikenet_tests::layer_kind::convolution) continue;
    for (const operation what : {operation::forward, operation::backward_input, operation::backward_weight}) {
      if (what == operation::backward_input && !layer.needs_input_gradient) continue;
      const convolution_problem problem{what, number::float32, layer.has_bias && what == operation::forward,
                                        batch * n(layer.steps), n(layer.in_channels), n(layer.in_height),
                                        n(layer.in_width), n(layer.out_channels), n(layer.out_height),
                                        n(layer.out_width), n(layer.kernel), n(layer.stride), n(layer.padding),
                                        n(layer.dilation), n(layer.groups)};
      if (std::find(problems.begin(), problems.end(), problem) != problems.end()) continue;
      problems.push_back(problem);
      if (what != operation::backward_input) continue;
      problems.push_back(problem);
      problems.back().add = true;
    }
  }
  return problems;
}

std::vector<convolution_problem> problems_of(std::size_t width) {
  switch (width) {
    case 16: return problems_of_width<16>();
    case 64: return problems_of_width<64>();
    case 128: return problems_of_width<128>();
    default: throw spikenet::argument_error("cuda_plans knows the widths 16, 64 and 128");
  }
}

struct outcome {
  enum { built, refused, unknown } what = refused;
  cudnn::plan plan;
  std::string reason;
};

// cuDNN's reasons for which a real card might decide otherwise: it wanted a driver or a run-time compiler.
bool is_missing_here(const std::string& reason) {
  for (const char* word : {"RUNTIME_PREREQUISITE_MISSING", "NVRTC", "nvrtc", "libcuda", "DRIVER"}) {
    if (reason.find(word) != std::string::npos) return true;
  }
  return false;
}

outcome try_plan(const convolution_problem& problem, const std::shared_ptr<const fe::DeviceProperties>& device) {
  try {
    return {outcome::built, cudnn::first_plan(problem, device), {}};
  } catch (const spikenet::error& e) {
    return {is_missing_here(e.what()) ? outcome::unknown : outcome::refused, {}, e.what()};
  }
}

// Does the engine that was taken have this property? The candidates once more, in the same order, and all that do not
// have it excluded.
bool has_note(const convolution_problem& problem, const std::shared_ptr<const fe::DeviceProperties>& device,
              const cudnn::plan& taken, fe::NumericalNote_t note) {
  if (taken.adding) return cudnn::has_note(*taken.adding, note);
  auto graph = cudnn::graph_of(problem, device);
  const std::string what = cudnn::description_of(problem);
  cudnn::check(graph->validate(), what);
  cudnn::check(graph->build_operation_graph(), what);
  cudnn::check(graph->create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK}), what);
  graph->select_numeric_notes({note});
  return graph->build_plan_at_index(taken.candidate).is_good();
}

int failures = 0;
void expect(bool holds, const std::string& what) {
  if (holds) return;
  ++failures;
  std::cout << "FAILED: " << what << "\n";
}

// What must hold of every plan of a card, whichever engines cuDNN prefers.
void check_card(const card& c, std::size_t width) {
  const auto device = device_of(c);
  std::size_t built = 0, refused = 0, unknown = 0, most_workspace = 0;
  for (convolution_problem problem : problems_of(width)) {
    for (const number type : all_numbers) {
      problem.type = type;
      const outcome result = try_plan(problem, device);
      const std::string what = std::string(c.short_name) + ": " + cudnn::description_of(problem);
      (result.what == outcome::built ? built : result.what == outcome::refused ? refused : unknown) += 1;
      if (type == number::bfloat16 && !c.has_bfloat16) {
        expect(result.what == outcome::refused, what + ": this card has no bfloat16, but there is a plan");
        expect(result.reason.find("ARCH_MISMATCH") != std::string::npos, what + ": refused for another reason: " + result.reason);
        continue;
      }
      expect(result.what == outcome::built, what + ": " + result.reason);
      if (result.what != outcome::built) continue;
      most_workspace = std::max(most_workspace, result.plan.workspace);

      const auto has = [&](fe::NumericalNote_t note) { return has_note(problem, device, result.plan, note); };
      expect(!has(fe::NumericalNote_t::NONDETERMINISTIC), what + ": an engine whose results change from run to run");
      expect(!has(fe::NumericalNote_t::REDUCED_PRECISION_REDUCTION), what + ": an engine that sums in less than float");
      if (type == number::float32) {
        expect(!has(fe::NumericalNote_t::TENSOR_CORE) && !has(fe::NumericalNote_t::DOWN_CONVERT_INPUTS),
               what + ": an engine that rounds floats");
      }
      // All others are meant for tensor cores. The first layer, whose input has one channel, may do without, and so may
      // windows of one pixel: there is so little to compute that memory decides.
      const bool on_tensor_cores = type != number::float32 && !(type == number::tf32 && !c.has_bfloat16);
      if (on_tensor_cores && problem.in_channels > 1 && problem.kernel > 1) {
        expect(has(fe::NumericalNote_t::TENSOR_CORE), what + ": an engine without tensor cores: " + result.plan.engine);
      }
    }
  }
  std::cout << c.short_name << ", width " << width << ": " << built << " plans built, " << refused
            << " refused by the card, " << unknown << " not to be told without a driver; the largest workspace has "
            << (most_workspace >> 20) << " MiB\n";
}

// "eng34, 0.1 MB": cuDNN's number of an engine, without its settings.
std::string cell(const outcome& result) {
  if (result.what == outcome::refused) return "refused";
  if (result.what == outcome::unknown) return "unknown";
  const std::string engine = result.plan.engine.substr(0, result.plan.engine.find('_'));
  char text[64];
  std::snprintf(text, sizeof text, "%s, %.1f MB", engine.c_str(), static_cast<double>(result.plan.workspace) / 1e6);
  return text;
}

void print_table(const card& c, std::size_t width) {
  const auto device = device_of(c);
  std::cout << "\n## " << c.short_name << ", width " << width << "\n\n| convolution | pass |";
  for (const number type : all_numbers) std::cout << " " << cudnn::name_of(type) << " |";
  std::cout << "\n|---|---|---|---|---|---|\n";
  for (convolution_problem problem : problems_of(width)) {
    if (problem.add) continue;  // the same engines; see print_fusions
    std::cout << "| " << cudnn::shape_of(problem) << " | " << cudnn::name_of(problem.what) << " |";
    for (const number type : all_numbers) {
      problem.type = type;
      std::cout << " " << cell(try_plan(problem, device)) << " |";
    }
    std::cout << "\n";
  }
}

// Convolutions with more in the same kernel, to choose from; 128 channels of 28 x 28 pixels, 3 x 3 windows.
struct fusion {
  const char* name;
  bool affine_input, bias, statistics, pytorch_weight;
  operation what;
};
constexpr fusion fusions[] = {
    {"conv", false, false, false, false, operation::forward},
    {"conv + bias", false, true, false, false, operation::forward},
    {"conv + sums of y and y² per channel", false, false, true, false, operation::forward},
    {"conv + bias + sums of y and y² per channel", false, true, true, false, operation::forward},
    {"conv of scale x + shift", true, false, false, false, operation::forward},
    {"gradient by the weight, from scale x + shift", true, false, false, false, operation::backward_weight},
    {"conv, weight in PyTorch's layout", false, false, false, true, operation::forward},
    {"gradient by the input, weight in PyTorch's layout", false, false, false, true, operation::backward_input},
};

outcome try_fusion(const fusion& f, number type, const std::shared_ptr<const fe::DeviceProperties>& device) {
  namespace graph = fe::graph;
  auto g = std::make_shared<graph::Graph>();
  g->set_device_properties(device)
      .set_io_data_type(cudnn::data_type(type))
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  constexpr std::int64_t items = 2 * batch, channels = 128, size = 28;
  const std::vector<std::int64_t> dims{items, channels, size, size};
  const auto strides = cudnn::channels_last(channels, size, size);
  const auto map = [&] { return g->tensor(graph::Tensor_attributes().set_dim(dims).set_stride(strides)); };
  const auto per_channel = [&] {
    return g->tensor(graph::Tensor_attributes().set_dim({1, channels, 1, 1}).set_stride({channels, 1, channels, channels}));
  };
  const auto weight = graph::Tensor_attributes()
                          .set_dim({channels, channels, 3, 3})
                          .set_stride(f.pytorch_weight ? std::vector<std::int64_t>{channels * 9, 9, 3, 1}
                                                       : cudnn::channels_last(channels, 3, 3));
  const auto combine = [&](auto a, auto b, fe::PointwiseMode_t mode) {
    return g->pointwise(a, b, graph::Pointwise_attributes().set_mode(mode));
  };
  const auto windows = [](auto attributes) {
    return attributes.set_padding({1, 1}).set_stride({1, 1}).set_dilation({1, 1});
  };

  auto x = map();
  if (f.affine_input) {
    x = combine(combine(x, per_channel(), fe::PointwiseMode_t::MUL), per_channel(), fe::PointwiseMode_t::ADD);
    x->set_data_type(cudnn::data_type(type));
  }
  std::shared_ptr<graph::Tensor_attributes> y;
  if (f.what == operation::backward_weight) {
    y = g->conv_wgrad(map(), x, windows(graph::Conv_wgrad_attributes()));
    y->set_dim(weight.get_dim()).set_stride(weight.get_stride());
  } else {
    y = f.what == operation::forward ? g->conv_fprop(x, g->tensor(weight), windows(graph::Conv_fprop_attributes()))
                                     : g->conv_dgrad(x, g->tensor(weight), windows(graph::Conv_dgrad_attributes()));
    y->set_dim(dims).set_stride(strides);
    if (f.bias) {
      y = combine(y, per_channel(), fe::PointwiseMode_t::ADD);
      y->set_dim(dims).set_stride(strides);
    }
  }
  y->set_output(true).set_data_type(cudnn::data_type(type));
  if (f.statistics) {
    for (const auto& sums : g->genstats(y, graph::Genstats_attributes())) {
      sums->set_output(true).set_data_type(fe::DataType_t::FLOAT);
    }
  }
  try {
    return {outcome::built, cudnn::first_plan(g, type, f.name), {}};
  } catch (const spikenet::error& e) {
    return {is_missing_here(e.what()) ? outcome::unknown : outcome::refused, {}, e.what()};
  }
}

void print_fusions() {
  std::cout << "\n## More in the same kernel\n\n128 channels of 28 x 28 pixels, windows of 3 x 3.\n\n| | card |";
  for (const number type : all_numbers) std::cout << " " << cudnn::name_of(type) << " |";
  std::cout << "\n|---|---|---|---|---|---|\n";
  for (const fusion& f : fusions) {
    for (const card& c : spikenet_tests::cards) {
      std::cout << "| " << f.name << " | " << c.short_name << " |";
      for (const number type : all_numbers) {
        std::cout << " " << cell(try_fusion(f, type, device_of(c))) << " |";
      }
      std::cout << "\n";
    }
  }
  for (const card& c : spikenet_tests::cards) {
    std::cout << "| gradient by the input, added to what is there | " << c.short_name << " |";
    for (const number type : all_numbers) {
      const convolution_problem problem{
          operation::backward_input, type, false, 2 * batch, 128, 28, 28, 128, 28, 28, 3, 1, 1, 1, 1, true};
      std::cout << " " << cell(try_plan(problem, device_of(c))) << " |";
    }
    std::cout << "\n";
  }
}

void print_introduction() {
  std::cout << R"(# cuDNN's plans for the residual network

Made by `cuda_plans table 128` (tests/cuda/plans), with no GPU: cuDNN builds a plan for the description of a card, and the three
descriptions were written from published figures (tests/cuda/cards.hpp). **Nothing here was run or timed**, and a real card may rank
engines otherwise. (An H100 that was there did not: in half it took these very engines, for all 23 convolutions.) It says that there is an engine, which one cuDNN's heuristics put first of those that the backend accepts, and how
much workspace it takes. *refused*: cuDNN has no engine for this on the card. *unknown*: it wanted a driver or a compiler at run time.

)" << "cuDNN " << cudnnGetVersion() << ", cudnn-frontend " << CUDNN_FRONTEND_VERSION << "; batch " << batch
            << R"(, 2 timesteps. `ctest -L plans` builds all of these for the widths 16, 64 and 128 and checks that every
one is there but bfloat16 on the T4, which does not know it; that no engine is taken whose results change from run to run or that sums in
less than float; that none on tensor cores is taken for float; and that for all other types the 3 x 3 convolutions are on tensor cores.

What was chosen:

* **Activations channels last, weights copied to channels last.** cuDNN takes a weight in PyTorch's layout too, and transposes it in the
  workspace at each call: the 0.3 MB more are the weight. Mostly the same engine comes first; on the A100 in TF32 another one does, with
  twice the workspace. The backend's own copy (cudnn/filter_layout.hpp) leaves all engines to choose from.
* **The bias is added by the convolution**: there is an engine for that everywhere.
* **The two branches of a residual block meet in a convolution**: its gradient by the input is added to the shortcut's, by the same
  engine that would write it.
* **tdBN's statistics are a kernel of their own.** A convolution that sums y and y² has an engine in half on the A100 and H100, but none on
  the T4, in float or in bfloat16. On an H100 it was run: 54 us, where the same convolution without sums takes 53 and the statistics by
  themselves 11 more; but its sums were other ones at each call, though the engine does not have cuDNN's note for that, and a training
  must be reproducible.
* **Scale and shift are not folded into the next convolution's input**: only the A100 has an engine, in half. Neurons lie between anyhow.
)";
}

int run(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  std::vector<std::size_t> widths;
  for (int i = 2; i < argc; ++i) widths.push_back(std::strtoul(argv[i], nullptr, 10));
  if ((command != "check" && command != "table") || widths.empty()) {
    std::cerr << "usage: cuda_plans check|table WIDTH...\n";
    return 2;
  }
  if (command == "table") print_introduction();
  for (const std::size_t width : widths) {
    for (const card& c : spikenet_tests::cards) command == "check" ? check_card(c, width) : print_table(c, width);
  }
  if (command == "table") print_fusions();
  return failures ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    std::cerr << "cuda_plans: " << e.what() << "\n";
    return 1;
  }
}
