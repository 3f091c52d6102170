// cuDNN execution plans of the convolutions: from the numbers of a convolution to an engine that computes it.
//
// Nothing here needs a device: a plan is built for that of a cuDNN handle, or for the description of one that need not be
// there (tests/cuda/plans builds every convolution of a network that way, with these very functions).
#pragma once

// Without its JSON library, which stores plans and takes as long to compile as all the rest.
#ifndef CUDNN_FRONTEND_SKIP_JSON_LIB
#define CUDNN_FRONTEND_SKIP_JSON_LIB
#endif
#include <cudnn_frontend.h>

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "spikenet/core/error.hpp"

namespace spikenet::detail::cudnn {

namespace fe = cudnn_frontend;

enum class operation { forward, backward_input, backward_weight };

// The types that numbers are stored in. Sums are always taken in float.
enum class number { float32, tf32, float16, bfloat16 };  // tf32: float in memory, rounded to 10 bits of mantissa to multiply

// A convolution, and all that a plan for it depends on. Activations are channels last, and so is the weight, [Cout, K, K,
// Cin / groups]: see cudnn/filter_layout.hpp.
struct convolution_problem {
  operation what;
  number type;
  bool bias;  // forward only: y = conv(x, weight) + bias
  std::int64_t items;
  std::int64_t in_channels, in_height, in_width;
  std::int64_t out_channels, out_height, out_width;
  std::int64_t kernel, stride, padding, dilation, groups;
  bool add = false;  // backward_input only: to what is there

  friend auto operator<=>(const convolution_problem&, const convolution_problem&) = default;
};

// G: a conv2d_geometry (core/geometry.hpp).
template <class G>
convolution_problem problem_of(operation what, number type, std::size_t items, bool bias = false, bool add = false) {
  const auto n = [](std::size_t value) { return static_cast<std::int64_t>(value); };
  return {what,
          type,
          bias,
          n(items),
          n(G::in_channels),
          n(G::in_height),
          n(G::in_width),
          n(G::out_channels),
          n(G::out_height),
          n(G::out_width),
          n(G::kernel),
          n(G::stride),
          n(G::padding),
          n(G::dilation),
          n(G::groups),
          add};
}

inline const char* name_of(operation what) {
  switch (what) {
    case operation::forward: return "forward";
    case operation::backward_input: return "gradient by the input";
    default: return "gradient by the weight";
  }
}

inline const char* name_of(number type) {
  switch (type) {
    case number::float32: return "float";
    case number::tf32: return "TF32";
    case number::float16: return "half";
    default: return "bfloat16";
  }
}

// "128x28x28 -> 256x14x14, kernel 3, stride 2", and what else is not as usual.
inline std::string shape_of(const convolution_problem& p) {
  const auto text = [](std::int64_t value) { return std::to_string(value); };
  std::string shape = text(p.in_channels) + "x" + text(p.in_height) + "x" + text(p.in_width) + " -> " +
                      text(p.out_channels) + "x" + text(p.out_height) + "x" + text(p.out_width) + ", kernel " +
                      text(p.kernel) + ", stride " + text(p.stride);
  if (p.dilation != 1) shape += ", dilation " + text(p.dilation);
  if (p.groups != 1) shape += ", groups " + text(p.groups);
  return shape;
}

inline std::string description_of(const convolution_problem& p) {
  return std::string("convolution ") + shape_of(p) + " of " + std::to_string(p.items) + " items in " + name_of(p.type) +
         ", " + name_of(p.what) + (p.add ? ", added to what is there" : "");
}

// The tensors of a plan, by which pointers are given to it.
enum tensor_id : std::int64_t { activation_id = 1, weight_id = 2, result_id = 3, bias_id = 4 };

inline fe::DataType_t data_type(number type) {
  switch (type) {
    case number::float16: return fe::DataType_t::HALF;
    case number::bfloat16: return fe::DataType_t::BFLOAT16;
    default: return fe::DataType_t::FLOAT;
  }
}

// cuDNN says why each engine in turn cannot be taken, over many lines; the first ones are told.
inline void check(fe::error_t status, const std::string& what) {
  if (!status.is_bad()) return;
  std::string message = status.get_message();
  constexpr std::size_t most = 600;
  if (message.size() > most) message = message.substr(0, message.rfind('\n', most)) + "\n...";
  throw device_error("cuDNN: " + what + ": " + message);
}

inline std::vector<std::int64_t> channels_last(std::int64_t channels, std::int64_t height, std::int64_t width) {
  return {channels * height * width, 1, width * channels, channels};
}

// The graph of the operations of a convolution. device: the description of a device that need not be there; none where the
// candidates are then asked for with a handle.
inline std::shared_ptr<fe::graph::Graph> graph_of(const convolution_problem& p,
                                                  std::shared_ptr<const fe::DeviceProperties> device = nullptr) {
  auto graph = std::make_shared<fe::graph::Graph>();
  if (device) graph->set_device_properties(std::move(device));
  graph->set_io_data_type(data_type(p.type))
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);

  const std::int64_t group_in = p.in_channels / p.groups;
  const auto tensor = [](const char* name, tensor_id id, std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) {
    return fe::graph::Tensor_attributes().set_name(name).set_uid(id).set_dim({n, c, h, w}).set_stride(
        channels_last(c, h, w));
  };
  const auto x = tensor("x", activation_id, p.items, p.in_channels, p.in_height, p.in_width);
  const auto y = tensor("y", activation_id, p.items, p.out_channels, p.out_height, p.out_width);
  const auto weight = tensor("weight", weight_id, p.out_channels, group_in, p.kernel, p.kernel);
  const auto with_window = [&p](auto attributes) {
    attributes.set_padding({p.padding, p.padding})
        .set_stride({p.stride, p.stride})
        .set_dilation({p.dilation, p.dilation});
    return attributes;
  };

  std::shared_ptr<fe::graph::Tensor_attributes> result;
  switch (p.what) {
    case operation::forward:
      result = graph->conv_fprop(graph->tensor(x), graph->tensor(weight),
                                 with_window(fe::graph::Conv_fprop_attributes()));
      if (p.bias) {
        const auto bias = graph->tensor(tensor("bias", bias_id, 1, p.out_channels, 1, 1));
        result = graph->pointwise(
            result, bias,
            fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::ADD).set_compute_data_type(
                fe::DataType_t::FLOAT));
      }
      result->set_dim(y.get_dim()).set_stride(y.get_stride());
      break;
    case operation::backward_input:
      result = graph->conv_dgrad(graph->tensor(y), graph->tensor(weight),
                                 with_window(fe::graph::Conv_dgrad_attributes()));
      result->set_dim(x.get_dim()).set_stride(x.get_stride());
      break;
    case operation::backward_weight: {
      auto gy = y;
      gy.set_uid(weight_id);  // the second operand, where the others have the weight
      result = graph->conv_wgrad(graph->tensor(gy), graph->tensor(x),
                                 with_window(fe::graph::Conv_wgrad_attributes()));
      result->set_dim(weight.get_dim()).set_stride(weight.get_stride());
      break;
    }
  }
  result->set_output(true).set_uid(result_id).set_data_type(data_type(p.type));
  return graph;
}

// What an engine must not do. Nothing may depend on which thread came first (a training must be reproducible), nor be
// summed in less than float; and where floats are asked for, none may be rounded to TF32 or half before it is
// multiplied, which engines on tensor cores do.
inline std::vector<fe::NumericalNote_t> unwanted(number type) {
  std::vector<fe::NumericalNote_t> notes{fe::NumericalNote_t::NONDETERMINISTIC,
                                         fe::NumericalNote_t::REDUCED_PRECISION_REDUCTION};
  if (type == number::float32) {
    notes.push_back(fe::NumericalNote_t::TENSOR_CORE);
    notes.push_back(fe::NumericalNote_t::DOWN_CONVERT_INPUTS);
  }
  return notes;
}

struct plan {
  std::shared_ptr<fe::graph::Graph> graph;
  std::shared_ptr<fe::ExecutionPlan> adding;  // instead, where the result is added to what is there
  std::int64_t candidate = -1;                // of those that the heuristics name, best first
  std::string engine;                         // cuDNN's name of it and of its settings
  std::size_t workspace = 0;                  // bytes
};

// The candidates for a graph, those that must not be taken excluded; none of them is built yet. For the device of the handle,
// or, without one, for that of the graph's description. Throws where cuDNN has none, with its reason.
inline void find_candidates(fe::graph::Graph& graph, number type, const std::string& what, cudnnHandle_t handle) {
  check(graph.validate(), what);
  check(graph.build_operation_graph(handle), what);
  // A ranks by a model of the device; FALLBACK lists what ought to work everywhere.
  check(graph.create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK}), what);
  graph.deselect_numeric_notes(unwanted(type));
}

// The first candidate that can be built. Throws where there is none, with cuDNN's reason for the last one.
inline plan first_plan(std::shared_ptr<fe::graph::Graph> graph, number type, const std::string& what,
                       cudnnHandle_t handle = nullptr) {
  find_candidates(*graph, type, what, handle);
  fe::error_t last{fe::error_code_t::GRAPH_NOT_SUPPORTED, "there is no engine"};
  const std::int64_t count = graph->get_execution_plan_count();
  for (std::int64_t i = 0; i < count; ++i) {
    const fe::error_t status = graph->build_plan_at_index(i);
    if (status.is_bad()) {
      last = status;
      continue;
    }
    plan found{std::move(graph), nullptr, i, {}, 0};
    std::int64_t workspace = 0;
    check(found.graph->get_plan_name_at_index(i, found.engine), what);
    check(found.graph->get_workspace_size_plan_at_index(i, workspace), what);
    found.workspace = static_cast<std::size_t>(workspace);
    return found;
  }
  check(last, what + ": none of " + std::to_string(count) + " candidates can be built");
  return {};
}

// The gradient by the input, added to what is there: cuDNN's operation has a factor for that (beta), which a graph of
// cudnn-frontend does not let one set. So this one is put together of the descriptors that such a graph consists of.
inline fe::Operation adding_operation(const convolution_problem& p) {
  const auto tensor = [&p](tensor_id id, std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) {
    const std::array<std::int64_t, 4> extents{n, c, h, w};
    constexpr std::int64_t alignment = 16;
    return fe::TensorBuilder()
        .setDim(4, extents.data())
        .setStride(4, channels_last(c, h, w).data())
        .setId(id)
        .setAlignment(alignment)
        .setDataType(data_type(p.type))
        .build();
  };
  const std::array<std::int64_t, 2> padding{p.padding, p.padding}, stride{p.stride, p.stride},
      dilation{p.dilation, p.dilation};
  const auto windows = fe::ConvDescBuilder()
                           .setComputeType(fe::DataType_t::FLOAT)
                           .setMathMode(fe::ConvolutionMode_t::CROSS_CORRELATION)
                           .setSpatialDimCount(2)
                           .setPrePadding(2, padding.data())
                           .setPostPadding(2, padding.data())
                           .setSpatialStride(2, stride.data())
                           .setDilation(2, dilation.data())
                           .build();
  return fe::OperationBuilder(fe::DescriptorType_t::OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
      .setdyDesc(tensor(activation_id, p.items, p.out_channels, p.out_height, p.out_width))
      .setwDesc(tensor(weight_id, p.out_channels, p.in_channels / p.groups, p.kernel, p.kernel))
      .setdxDesc(tensor(result_id, p.items, p.in_channels, p.in_height, p.in_width))
      .setcDesc(windows)
      .setAlpha(1.0f)
      .setBeta(1.0f)
      .build();
}

inline bool has_note(const fe::ExecutionPlan& plan, fe::NumericalNote_t note) {
  const auto& notes = plan.getAllNumericNotes();
  cudnnBackendNumericalNote_t in_backend{};
  fe::detail::convert_to_cudnn_type(note, in_backend);
  return std::find(notes.begin(), notes.end(), in_backend) != notes.end();
}

// What cuDNN has said last.
inline std::string why_no_candidate() {
  std::array<char, 512> text{};
  cudnnGetLastErrorString(text.data(), text.size());
  return text[0] ? std::string(": ") + text.data() : std::string();
}

inline plan first_adding_plan(const convolution_problem& p, std::shared_ptr<const fe::DeviceProperties> device,
                              cudnnHandle_t handle) {
  std::string reason = "there is no engine";
  try {
    const fe::Operation operation = adding_operation(p);
    std::array<const fe::Operation*, 1> operations{&operation};
    auto graph = fe::OperationGraphBuilder().setHandle(handle).setOperationGraph(1, operations.data()).build();
    fe::EngineConfigList candidates;
    const std::vector<fe::HeurMode_t> modes{fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK};
    constexpr bool all_modes = true;
    constexpr std::int32_t all_multiprocessors = -1;
    fe::get_heuristics_list(modes, graph, fe::AllowAll, candidates, all_modes, all_multiprocessors, device);
    if (candidates.empty()) reason += why_no_candidate();
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      try {
        fe::ExecutionPlanBuilder builder;
        device ? builder.setDeviceProperties(device) : builder.setHandle(handle);
        const auto built = std::make_shared<fe::ExecutionPlan>(builder.setEngineConfig(candidates[i], graph.getTag()).build());
        const auto notes = unwanted(p.type);
        const auto has = [&](fe::NumericalNote_t note) { return has_note(*built, note); };
        if (std::any_of(notes.begin(), notes.end(), has)) continue;
        plan found{nullptr, built, static_cast<std::int64_t>(i), built->getTag(), 0};
        found.engine.erase(0, std::min(found.engine.size(), found.engine.find("eng")));  // the operation's name comes first
        found.workspace = static_cast<std::size_t>(built->getWorkspaceSize());
        return found;
      } catch (const fe::cudnnException& e) {
        reason = e.what();
      }
    }
  } catch (const fe::cudnnException& e) {
    reason = e.what();
  }
  throw device_error("cuDNN: " + description_of(p) + ": " + reason);
}

// Pointers: by tensor_id, to memory of the device. On the stream of the handle.
inline void execute(const plan& plan, cudnnHandle_t handle, std::unordered_map<std::int64_t, void*>& pointers,
                    void* workspace, const std::string& what) {
  if (plan.graph) {
    check(plan.graph->execute(handle, pointers, workspace), what);
    return;
  }
  std::array<std::int64_t, 3> ids{activation_id, weight_id, result_id};
  std::array<void*, 3> values{pointers.at(activation_id), pointers.at(weight_id), pointers.at(result_id)};
  cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
  try {
    const auto pack = fe::VariantPackBuilder()
                          .setDataPointers(3, values.data())
                          .setUids(3, ids.data())
                          .setWorkspacePointer(workspace)
                          .build();
    status = cudnnBackendExecute(handle, plan.adding->get_raw_desc(), pack.get_raw_desc());
  } catch (const fe::cudnnException& e) {
    throw device_error("cuDNN: " + what + ": " + e.what());
  }
  if (status != CUDNN_STATUS_SUCCESS) throw device_error("cuDNN: " + what + ": " + cudnnGetErrorString(status));
}

// For a device that need not be there, and for that of a handle.
inline plan first_plan(const convolution_problem& p, std::shared_ptr<const fe::DeviceProperties> device) {
  if (p.add) return first_adding_plan(p, std::move(device), nullptr);
  return first_plan(graph_of(p, std::move(device)), p.type, description_of(p));
}
inline plan first_plan(const convolution_problem& p, cudnnHandle_t handle) {
  if (p.add) return first_adding_plan(p, nullptr, handle);
  return first_plan(graph_of(p), p.type, description_of(p), handle);
}

}  // namespace spikenet::detail::cudnn
