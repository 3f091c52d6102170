// A trained network as C++: a header with the type of its inference and with the parameters as a constant, for a program
// that reads no files.
//
//     // digits.hpp, as write_header writes it
//     #include "spikenet/inference/inference.hpp"
//     namespace digits {
//     using architecture = spikenet::architecture<spikenet::timesteps<2>, spikenet::image<1, 28, 28>, ...>;
//     using model = spikenet::inference<architecture, float>;
//     inline constexpr model::parameters parameters{...};
//     constexpr model::value value_of(unsigned char byte);    // of an image's bytes, where header_options says what they are
//     }
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "spikenet/core/error.hpp"
#include "spikenet/core/identifier.hpp"
#include "spikenet/inference/inference.hpp"
#include "spikenet/io/atomic_file.hpp"

namespace spikenet {

struct header_options {
  std::string name = "model";  // of the namespace of all that the header declares
  std::string comment = {};    // what the network is, in a line or several
  // What the network takes for each byte of an image, [256]: its normalisation. Empty: it takes the bytes, or the header
  // does not know.
  std::vector<double> values_of_bytes = {};
};

namespace detail {

// How C++ spells a type of the library: its layers, their options, what an architecture begins with, and numbers.
struct speller {
  template <class T>
  static std::string of() {
    return of(tag<T>{});
  }

  template <class Timesteps, class Input, class... Layers>
  static std::string of(tag<architecture<Timesteps, Input, Layers...>>) {
    std::string text = "spikenet::architecture<" + of<Timesteps>() + ", " + of<Input>();
    ((text += ",\n    " + of<Layers>()), ...);
    return text + ">";
  }

 private:
  static std::string argument(std::size_t n) { return std::to_string(n); }
  template <class T>
  static std::string argument(tag<T> t) {
    return of(t);
  }
  // Of a name in a source file; text is any.
  static std::string argument(std::string_view text) {
    std::string quoted = "\"";
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        quoted += {'\\', c};
      } else if (std::isprint(byte)) {
        quoted += c;
      } else {  // three octal digits: no digit after them can belong to it
        quoted += {'\\', static_cast<char>('0' + byte / 64), static_cast<char>('0' + byte / 8 % 8),
                   static_cast<char>('0' + byte % 8)};
      }
    }
    return quoted + "\"";
  }
  template <class... Arguments>
  static std::string list(std::string_view name, const Arguments&... arguments) {
    std::string text = "spikenet::" + std::string(name) + "<";
    bool first = true;
    ((text += (first ? "" : ", ") + argument(arguments), first = false), ...);
    return text + ">";
  }

  template <std::size_t T>
  static std::string of(tag<timesteps<T>>) {
    return list("timesteps", T);
  }
  template <std::size_t C, std::size_t H, std::size_t W>
  static std::string of(tag<image<C, H, W>>) {
    return list("image", C, H, W);
  }
  template <std::size_t C, std::size_t H, std::size_t W>
  static std::string of(tag<frames<C, H, W>>) {
    return list("frames", C, H, W);
  }

  template <fixed_string Name, class Layer>
  static std::string of(tag<named<Name, Layer>>) {
    return list("named", Name.view(), tag<Layer>{});
  }
  template <class... Layers>
  static std::string of(tag<sequence<Layers...>>) {
    return list("sequence", tag<Layers>{}...);
  }
  template <class Main, class Shortcut, class Join>
  static std::string of(tag<residual<Main, Shortcut, Join>>) {
    return list("residual", tag<Main>{}, tag<Shortcut>{}, tag<Join>{});
  }
  template <std::size_t C, class... Options>
  static std::string of(tag<basic_block<C, Options...>>) {
    return list("basic_block", C, tag<Options>{}...);
  }
  template <std::size_t C, std::size_t K, class... Options>
  static std::string of(tag<conv2d<C, K, Options...>>) {
    return list("conv2d", C, K, tag<Options>{}...);
  }
  template <std::size_t F, class... Options>
  static std::string of(tag<linear<F, Options...>>) {
    return list("linear", F, tag<Options>{}...);
  }
  template <std::size_t Branches>
  static std::string of(tag<tdbn<Branches>>) {
    return list("tdbn", Branches);
  }
  template <class... Options>
  static std::string of(tag<lif<Options...>>) {
    return list("lif", tag<Options>{}...);
  }
  template <std::size_t K, class... Options>
  static std::string of(tag<avg_pool2d<K, Options...>>) {
    return list("avg_pool2d", K, tag<Options>{}...);
  }
  static std::string of(tag<global_avg_pool>) { return "spikenet::global_avg_pool"; }
  static std::string of(tag<flatten>) { return "spikenet::flatten"; }
  static std::string of(tag<identity>) { return "spikenet::identity"; }

  template <std::size_t N>
  static std::string of(tag<stride<N>>) {
    return list("stride", N);
  }
  template <std::size_t N>
  static std::string of(tag<padding<N>>) {
    return list("padding", N);
  }
  template <std::size_t N>
  static std::string of(tag<dilation<N>>) {
    return list("dilation", N);
  }
  template <std::size_t N>
  static std::string of(tag<groups<N>>) {
    return list("groups", N);
  }
  template <std::size_t N>
  static std::string of(tag<in_channels<N>>) {
    return list("in_channels", N);
  }
  static std::string of(tag<with_bias>) { return "spikenet::with_bias"; }
  static std::string of(tag<without_bias>) { return "spikenet::without_bias"; }
  static std::string of(tag<raw_shortcut>) { return "spikenet::raw_shortcut"; }
  static std::string of(tag<normalised_shortcut>) { return "spikenet::normalised_shortcut"; }
  static std::string of(tag<hard_reset>) { return "spikenet::hard_reset"; }
  static std::string of(tag<soft_reset>) { return "spikenet::soft_reset"; }
  static std::string of(tag<through_reset>) { return "spikenet::through_reset"; }
  static std::string of(tag<detached_reset>) { return "spikenet::detached_reset"; }
  static std::string of(tag<heaviside>) { return "spikenet::heaviside"; }

  static std::string of(tag<float>) { return "float"; }
  static std::string of(tag<double>) { return "double"; }
  static std::string of(tag<std::uint8_t>) { return "std::uint8_t"; }
  template <class Input>
  static std::string of(tag<quantised<Input>>) {
    return list("quantised", tag<Input>{});
  }
};

// Text that grows by values, in lines of at most so many characters.
class constant_writer {
 public:
  std::string text;

  template <std::floating_point S>
  void add(S value) {
    if (!std::isfinite(value)) throw numeric_error("write_header: a parameter is not finite, which no constant can be");
    // Hexadecimal: exact in any precision.
    char digits[64];
    char* const end = std::to_chars(digits, digits + sizeof digits, std::abs(value), std::chars_format::hex).ptr;
    add_word((std::signbit(value) ? "-0x" : "0x") + std::string(&digits[0], end) + (std::same_as<S, float> ? "f" : ""));
  }
  template <std::integral S>
  void add(S value) {
    add_word(std::to_string(value));
  }
  // Zeros at the end are what a constant has anyhow.
  template <class T, std::size_t N>
  void add(const std::array<T, N>& values) {
    std::size_t count = N;
    while (count > 0 && values[count - 1] == T{}) --count;
    text += "{{";
    line_ = text.size();
    for (std::size_t i = 0; i < count; ++i) {
      if (i > 0) text += ',';
      add(values[i]);
    }
    text += "}}";
  }
  // What lists its members itself.
  template <class T>
  requires std::is_class_v<T>
  void add(const T& value) {
    text += '{';
    bool first = true;
    value.for_each([&](std::string_view name, const auto& member) {
      text += (first ? "\n." : ",\n.") + std::string(name) + " = ";
      line_ = text.size();
      add(member);
      first = false;
    });
    text += '}';
  }

 private:
  void add_word(const std::string& word) {
    constexpr std::size_t longest = 118;
    if (text.size() + word.size() - line_ > longest) {
      text += '\n';
      line_ = text.size();
    }
    text += word;
  }
  std::size_t line_ = 0;  // where it begins
};

}  // namespace detail

// Writes the parameters of Model, an inference<...>, as a header at `path`, all at once: see io/atomic_file.hpp. The
// header needs inference/inference.hpp, and nothing else; the constant is the same, bit for bit.
//
// Throws file_error where the file cannot be written, argument_error where an option is not what it should be,
// numeric_error where a parameter is not finite.
template <class Model>
void write_header(const typename Model::parameters& parameters, const std::filesystem::path& path,
                  const header_options& options = {}) {
  if (!detail::is_namespace_name(options.name))
    throw argument_error("write_header: \"" + options.name + "\" is no name for a namespace: " +
                         detail::namespace_name_rule);

  const std::vector<double>& bytes = options.values_of_bytes;
  if (!bytes.empty() && bytes.size() != 256)
    throw argument_error("write_header: a byte has 256 values, not " + std::to_string(bytes.size()));

  detail::constant_writer out;
  if (!options.comment.empty()) {
    const auto end_line = [&] {
      if (out.text.ends_with('\\')) out.text += '.';  // else the next line would be a part of the comment
      out.text += '\n';
    };
    out.text += "// ";
    for (const char c : options.comment) {
      if (c == '\n') end_line();
      out.text += c == '\n' ? "// " : std::string(1, c == '\r' ? ' ' : c);
    }
    end_line();
  }
  out.text += "#pragma once\n\n#include \"spikenet/inference/inference.hpp\"\n\nnamespace " + options.name +
              " {\n\nusing architecture = " + detail::speller::of<typename Model::architecture>() +
              ";\nusing model = spikenet::inference<architecture, " +
              detail::speller::of<typename Model::number_type>() + ">;\n\n" +
              "inline constexpr model::parameters parameters{\n.weights = ";
  out.add(parameters.weights);
  out.text += ",\n.units = ";
  out.add(parameters.units);
  out.text += ",\n.biases = ";
  out.add(parameters.biases);
  out.text += ",\n.constants = ";
  out.add(parameters.constants);
  out.text += "};\n\n";
  if (!bytes.empty()) {
    std::array<typename Model::value, 256> values;
    std::transform(bytes.begin(), bytes.end(), values.begin(),
                   [](double v) { return static_cast<typename Model::value>(v); });
    out.text += "// What the network takes for a byte of an image.\n"
                "inline constexpr std::array<model::value, 256> values_of_bytes";
    out.add(values);
    out.text += ";\nconstexpr model::value value_of(unsigned char byte) { return values_of_bytes[byte]; }\n\n";
  }
  out.text += "}  // namespace " + options.name + "\n";
  write_file_atomically(path, std::as_bytes(std::span(out.text)));
}

}  // namespace spikenet
