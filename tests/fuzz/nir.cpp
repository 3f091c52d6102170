// Fuzz target: .nir files. Not their bytes, which are HDF5's to read, but what is in them: an input is a text that
// nir/hdf5_builder.hpp makes HDF5 content of, well-formed and maybe cut short, whatever objects it has.
#include "spikenet/nir/file.hpp"

#include <cstring>

#include "fuzz/fuzz.hpp"
#include "nir/hdf5_builder.hpp"

namespace {

fuzz::bytes script(const std::string& text) { return {text.begin(), text.end()}; }

const std::string head = "s version 1\ng node\ns node/type NIRGraph\ng node/nodes\n";

std::string node(const std::string& name, const std::string& type) {
  return "g node/nodes/" + name + "\ns node/nodes/" + name + "/type " + type + "\n";
}
std::string field(const std::string& kind, const std::string& path, const std::string& rest) {
  return kind + " node/nodes/" + path + " " + rest + "\n";
}

bool same_shape(const spikenet::nir::graph& a, const spikenet::nir::graph& b) {
  return a.edges == b.edges && std::ranges::equal(a.nodes, b.nodes, [](const auto& x, const auto& y) {
           return x.first == y.first && x.second.index() == y.second.index();
         });
}

}  // namespace

std::vector<fuzz::bytes> fuzz::seeds() {
  const std::string in = node("i", "Input") + field("i", "i/shape", "3 = 1 4 4"),
                    vector = node("i", "Input") + field("i", "i/shape", "1 = 3");
  const auto out = [](const std::string& shape) { return node("o", "Output") + field("i", "o/shape", shape); };
  const std::string conv = node("c", "Conv2d") + field("z", "c/weight", "2,1,3,3 = 0.5 1") +
                           field("i", "c/stride", "= 1") + field("i", "c/padding", "2 = 1 1") +
                           field("i", "c/dilation", "2 = 1 1") + field("i", "c/groups", "= 1") +
                           field("f", "c/bias", "2 = 0") + field("i", "c/input_shape", "2 = 4 4");
  const std::string lif = node("l", "LIF") + field("d", "l/tau", "2,4,4 = 0.5") + field("f", "l/r", "1 = 1") +
                          field("f", "l/v_leak", "= 0") + field("f", "l/v_threshold", "2,4,4 = 1 2");
  const std::string linear =
      node("w", "Affine") + field("f", "w/weight", "2,3 = 1 2 3") + field("f", "w/bias", "2 = 1");
  return {script(head + vector + linear + out("1 = 2") + "e node/edges i w w o\n"),
          script(head + in + conv + lif + node("p", "AvgPool2d") + field("i", "p/kernel_size", "2 = 4 4") +
                 field("i", "p/stride", "2 = 4 4") + field("i", "p/padding", "2 = 0 0") + node("f", "Flatten") +
                 field("i", "f/start_dim", "= -3") + field("i", "f/end_dim", "= -1") + out("1 = 2") +
                 "E node/edges i c c l l p p f f o\n"),
          script(head + vector + node("s", "Scale") + field("f", "s/scale", "3 = 2") + node("j", "IF") +
                 field("f", "j/r", "3 = 1") + field("f", "j/v_threshold", "3 = 1") + out("1 = 3") +
                 "e node/edges i s s j i j j o\n"),
          script(head + vector + linear + out("1 = 2") + "e node/edges i w w o w w\n"),
          script(head + vector + node("w", "Linear") + field("h", "w/weight", "4294967296,4294967296") + out("1 = 2") +
                 "e node/edges i w w o\n"),
          script(head + vector + node("w", "Linear") + field("h", "w/weight", "2,3") + out("1 = 2") +
                 "e node/edges i w w o\n"),
          script(head + "l node/nodes/i /node\nx node/nodes/j other\nH node/nodes/k node\n" + out("1 = 2") +
                 "e node/edges k o\n"),
          script("t 1000\n" + head + vector + out("1 = 3") + "e node/edges i o\n")};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ++fuzz::count.inputs;
  std::string text(reinterpret_cast<const char*>(data), size);
  std::replace(text.begin(), text.end(), '\0', ' ');
  std::vector<std::byte> content = test::hdf5_builder::build(text);
  // "t 1000": of the content only so many bytes.
  std::size_t kept = content.size();
  if (text.starts_with("t ")) kept = std::min<std::size_t>(kept, std::strtoul(text.c_str() + 2, nullptr, 10));
  content.resize(kept);

  const spikenet::nir::read_limits limits{.values = 1 << 13, .nodes = 64, .edges = 256};
  const std::string name{fuzz::input_name};
  // Values are held in eight bytes each, beside them names; shapes and places in maps for each node.
  const auto graph = fuzz::attempt(4 * content.size() + 16 * limits.values + (1 << 16),
                                   [&] { return spikenet::nir::parse(content, name, limits); });
  if (!graph) return 0;
  ++fuzz::count.accepted;

  const auto analysis = spikenet::nir::analyse(*graph);
  fuzz::require(analysis.order.size() == graph->nodes.size(), "each node has its place in the order");
  for (const auto& [from, to] : graph->edges) {
    const auto place = [&](const std::string& node) { return std::ranges::find(analysis.order, node); };
    fuzz::require(place(from) < place(to), "an edge leads from a node to a later one");
  }
  const auto written = spikenet::nir::bytes(*graph);
  fuzz::require(same_shape(spikenet::nir::parse(written, name), *graph), "what is written is read as it was");
  fuzz::require(spikenet::nir::bytes(spikenet::nir::parse(written, name)) == written,
                "the same graph makes the same file");
  return 0;
}

// A line left out, repeated or moved, a number made another one; or any bytes.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned int seed) {
  spikenet::random_stream random{spikenet::seed{seed}};
  const auto below = [&](std::size_t bound) { return random.below(static_cast<std::uint32_t>(bound)); };
  if (size == 0 || below(4) == 0) return LLVMFuzzerMutate(data, size, max_size);
  std::string text(reinterpret_cast<const char*>(data), size);
  if (below(2) == 0) {
    const std::size_t at = text.find_first_of("0123456789", below(size));
    if (at == std::string::npos) return LLVMFuzzerMutate(data, size, max_size);
    text[at] = static_cast<char>('0' + below(10));
    if (below(4) == 0) text.insert(at, std::string(1 + below(10), text[at]));
  } else {
    const std::size_t first = text.rfind('\n', below(size)) + 1, end = std::min(text.find('\n', first), size - 1) + 1;
    const std::string line = text.substr(std::min(first, size), end - std::min(first, end));
    const std::uint32_t what = below(3);
    if (what < 2) text.erase(std::min(first, size), line.size());
    if (what > 0) text.insert(text.rfind('\n', below(text.size() + 1)) + 1, line);
  }
  text.resize(std::min(text.size(), max_size));
  std::copy(text.begin(), text.end(), data);
  return text.size();
}
