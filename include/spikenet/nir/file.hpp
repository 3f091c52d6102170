// Reader and writer of .nir files: a graph of the Neuromorphic Intermediate Representation in HDF5, as the Python
// package `nir` reads and writes it.
//
//     /version                           a string
//     /node/type                         "NIRGraph"
//     /node/nodes/<name>/type            "LIF", ...
//     /node/nodes/<name>/<field>         see nir/graph.hpp
//     /node/edges                        strings [edges, 2]: from, to
//
// Opt-in: needs the HDF5 C library, 1.10 or later (CMake target spikenet::nir). One thread at a time is in HDF5 through
// these functions, and nothing of it is kept but a filter: HDF5 has none for LZF, which the package `nir` can write.
#pragma once

#include <hdf5.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "spikenet/core/error.hpp"
#include "spikenet/io/atomic_file.hpp"
#include "spikenet/nir/graph.hpp"
#include "spikenet/nir/lzf.hpp"

namespace spikenet::nir {

// What a file may ask for, at most.
struct read_limits {
  std::size_t values = std::size_t{1} << 27;  // in all arrays together; eight bytes each
  std::size_t nodes = 1 << 16, edges = 1 << 18;
};

namespace detail {

// An identifier of HDF5's, and the function that gives it back.
class hdf5_object {
 public:
  hdf5_object(hid_t id, herr_t (*close)(hid_t)) noexcept : id_{id}, close_{close} {}
  hdf5_object(hdf5_object&& other) noexcept : id_{std::exchange(other.id_, -1)}, close_{other.close_} {}
  hdf5_object& operator=(hdf5_object&&) = delete;
  ~hdf5_object() {
    if (id_ >= 0) close_(id_);
  }
  explicit operator bool() const noexcept { return id_ >= 0; }
  hid_t id() const noexcept { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

// HDF5 prints its errors unless it is told not to, and a build of it without thread safety must be entered by one
// thread.
class in_hdf5 {
 public:
  in_hdf5() : lock_{mutex()} {
    H5open();
    H5Eget_auto2(H5E_DEFAULT, &print_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  in_hdf5(const in_hdf5&) = delete;
  in_hdf5& operator=(const in_hdf5&) = delete;
  ~in_hdf5() { H5Eset_auto2(H5E_DEFAULT, print_, data_); }

 private:
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }
  std::lock_guard<std::mutex> lock_;
  H5E_auto2_t print_ = nullptr;
  void* data_ = nullptr;
};

// Returns why the last call of HDF5 failed, fit for a message: `; HDF5 says "required filter 'x' is not registered"`.
// Its deepest error is the cause, unless it is about a plugin that was not found: then that comes second.
inline std::string hdf5_reason() {
  struct reasons {
    std::string cause, plugin;
  } found;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned, const H5E_error2_t* error, void* to) -> herr_t {
        auto& [cause, plugin] = *static_cast<reasons*>(to);
        std::string& reason = error->maj_num == H5E_PLUGIN ? plugin : cause;
        if (cause.empty() && reason.empty() && error->desc) reason = error->desc;
        return 0;
      },
      &found);
  if (found.cause.empty()) return {};
  return "; HDF5 says " + in_quotes(found.cause) + (found.plugin.empty() ? "" : " and " + in_quotes(found.plugin));
}

// Decompresses a chunk of a data set; the signature is HDF5's.
inline std::size_t lzf_filter(unsigned flags, std::size_t, const unsigned*, std::size_t bytes, std::size_t* buffer_size,
                              void** buffer) noexcept {
  if (!(flags & H5Z_FLAG_REVERSE)) return 0;
  const std::span from{static_cast<const std::uint8_t*>(*buffer), bytes};
  const std::size_t size = decompress_lzf(from);
  void* const to = size > 0 ? H5allocate_memory(size, false) : nullptr;
  if (!to) return 0;
  decompress_lzf(from, static_cast<std::uint8_t*>(to));
  H5free_memory(*buffer);
  *buffer = to;
  return *buffer_size = size;
}

// Registers the filter under the number that the HDF Group has given to LZF, unless the program has one.
inline void register_lzf() {
  constexpr H5Z_filter_t number = 32000;
  constexpr H5Z_class2_t filter{H5Z_CLASS_T_VERS, number, 0, 1, "lzf", nullptr, nullptr, lzf_filter};
  if (H5Zfilter_avail(number) <= 0) H5Zregister(&filter);
}

class nir_reader {
 public:
  nir_reader(const std::string& name, const read_limits& limits) : name_{name}, limits_{limits} {}

  graph read(std::span<const std::byte> content) {
    register_lzf();
    const hdf5_object access{H5Pcreate(H5P_FILE_ACCESS), H5Pclose};
    // HDF5 copies the content and does not change it.
    void* const image = const_cast<std::byte*>(content.data());
    if (content.empty()) fail("is empty");
    if (H5Pset_fapl_core(access.id(), 1 << 16, false) < 0 || H5Pset_file_image(access.id(), image, content.size()) < 0)
      fail("cannot be read" + hdf5_reason());
    // A name that no file can have: HDF5 takes no image where there is one.
    const hdf5_object file{H5Fopen("/dev/null/image", H5F_ACC_RDONLY, access.id()), H5Fclose};
    if (!file) fail("is not an HDF5 file, or is truncated" + hdf5_reason());
    file_size_ = content.size();

    const hdf5_object root = open(file.id(), "node", H5I_GROUP, "/");
    if (const std::string type = read_text(root.id(), "type", "/node"); type != "NIRGraph")
      fail("/node is of type " + in_quotes(type) + ", not \"NIRGraph\"");
    graph g;
    const hdf5_object nodes = open(root.id(), "nodes", H5I_GROUP, "/node");
    for (const std::string& node_name : members(nodes.id(), limits_.nodes, "/node/nodes"))
      g.nodes.emplace(node_name, read_node(nodes.id(), node_name));
    read_edges(root.id(), g);
    return g;
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const { throw file_error(name_ + ": " + problem + "."); }
  [[noreturn]] void fail(const std::string& where, const std::string& field, const std::string& problem) const {
    fail(where + ": " + in_quotes(field) + " " + problem);
  }
  // Fails because the last call of HDF5 has.
  [[noreturn]] void fail_to_read(const std::string& where) const { fail(where + " cannot be read" + hdf5_reason()); }
  [[noreturn]] void fail_to_read(const std::string& where, const std::string& field) const {
    fail_to_read(where + ": " + in_quotes(field));
  }

  // Only what lies in this file itself: a link may lead to another one.
  hdf5_object open(hid_t group, const std::string& name, H5I_type_t kind, const std::string& where) const {
    H5L_info_t info;
    const htri_t exists = H5Lexists(group, name.c_str(), H5P_DEFAULT);
    if (exists == 0) fail(where + ": there is no " + in_quotes(name));
    if (exists < 0 || H5Lget_info(group, name.c_str(), &info, H5P_DEFAULT) < 0) fail_to_read(where, name);
    if (info.type != H5L_TYPE_HARD) fail(where, name, "is a link to elsewhere");
    hdf5_object object{H5Oopen(group, name.c_str(), H5P_DEFAULT), H5Oclose};
    if (!object) fail_to_read(where, name);
    if (H5Iget_type(object.id()) != kind) fail(where, name, kind == H5I_GROUP ? "is not a group" : "is not a data set");
    return object;
  }

  std::vector<std::string> members(hid_t group, std::size_t limit, const std::string& where) const {
    H5G_info_t info;
    if (H5Gget_info(group, &info) < 0) fail_to_read(where);
    if (info.nlinks > limit)
      fail(where + ": has " + std::to_string(info.nlinks) + " entries, more than " + std::to_string(limit));
    std::vector<std::string> names;
    for (hsize_t i = 0; i < info.nlinks; ++i) {
      const ssize_t size = H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, nullptr, 0, H5P_DEFAULT);
      if (size < 0) fail_to_read(where);
      if (static_cast<std::size_t>(size) > file_size_) fail(where + ": a name is longer than the file");
      std::string name(static_cast<std::size_t>(size), '\0');
      H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name.data(), name.size() + 1, H5P_DEFAULT);
      names.push_back(std::move(name));
    }
    return names;
  }

  // A data set, its type and its shape, of no more than the limits allow.
  struct data_set {
    hdf5_object object, type;
    H5T_class_t kind;
    extents shape;
    std::size_t size;  // values
  };
  data_set open_data(hid_t group, const std::string& field, const std::string& where) {
    hdf5_object object = open(group, field, H5I_DATASET, where);
    hdf5_object type{H5Dget_type(object.id()), H5Tclose};
    if (!type) fail_to_read(where, field);
    const hdf5_object space{H5Dget_space(object.id()), H5Sclose};
    if (!space) fail_to_read(where, field);
    std::array<hsize_t, H5S_MAX_RANK> dims{};  // HDF5 has no more
    const int rank = H5Sget_simple_extent_dims(space.id(), dims.data(), nullptr);
    if (rank < 0) fail_to_read(where, field);
    data_set d{std::move(object),
               std::move(type),
               H5T_NO_CLASS,
               {},
               H5Sget_simple_extent_type(space.id()) == H5S_NULL ? 0u : 1u};
    d.kind = H5Tget_class(d.type.id());
    for (int i = 0; i < rank; ++i) {
      const hsize_t extent = dims[static_cast<std::size_t>(i)];
      d.shape.push_back(static_cast<std::size_t>(extent));
      if (extent == 0) d.size = 0;
      if (d.size > 0 && extent > limits_.values / d.size)
        fail(where, field,
             "has the shape " + text(d.shape) + " and more, beyond the limit of " + std::to_string(limits_.values) +
                 " values in a file");
      d.size *= static_cast<std::size_t>(extent);
    }
    values_ += d.size;
    if (values_ > limits_.values)
      fail(where, field, "takes the file beyond the limit of " + std::to_string(limits_.values) + " values");
    // Deflate makes a thousandth of its input at best, and values are to be in the file.
    constexpr std::size_t most_compressed = 1100;
    const std::size_t bytes = H5Tget_size(d.type.id());
    if (d.size > 0 && bytes > 0 && d.size > most_compressed * file_size_ / bytes)
      fail(where, field, "has " + std::to_string(d.size) + " values, more than the file can hold");
    return d;
  }

  std::vector<std::string> read_strings(const data_set& d, const std::string& field, const std::string& where) const {
    if (d.kind != H5T_STRING) fail(where, field, "is not a string");
    const hdf5_object memory{H5Tcopy(H5T_C_S1), H5Tclose};
    H5Tset_cset(memory.id(), H5Tget_cset(d.type.id()));
    std::vector<std::string> strings;
    if (H5Tis_variable_str(d.type.id()) > 0) {
      H5Tset_size(memory.id(), H5T_VARIABLE);
      std::vector<char*> pointers(d.size, nullptr);
      const bool good = H5Dread(d.object.id(), memory.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()) >= 0;
      const std::string reason = good ? "" : hdf5_reason();  // the next call of HDF5 forgets it
      for (char* p : pointers) {
        strings.emplace_back(p ? p : "");
        if (p) H5free_memory(p);
      }
      if (!good) fail(where, field, "cannot be read" + reason);
    } else {
      const std::size_t size = H5Tget_size(d.type.id());
      H5Tset_size(memory.id(), size + 1);
      if (size == 0 || size > file_size_ || (d.size > 0 && size + 1 > 1100 * file_size_ / d.size))
        fail(where, field,
             "has strings of " + std::to_string(size) + " bytes, " +
                 (size == 0 ? "none" : "more than the file can hold"));
      std::vector<char> characters((size + 1) * d.size, '\0');
      if (H5Dread(d.object.id(), memory.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, characters.data()) < 0)
        fail_to_read(where, field);
      for (std::size_t i = 0; i < d.size; ++i) {
        const char* const first = characters.data() + i * (size + 1);
        strings.emplace_back(first, std::find(first, first + size, '\0'));
      }
    }
    return strings;
  }

  std::string read_text(hid_t group, const std::string& field, const std::string& where) {
    const data_set d = open_data(group, field, where);
    if (d.size != 1) fail(where, field, "is not one string");
    return read_strings(d, field, where)[0];
  }

  // Whole numbers of a data set of at most one dimension.
  std::vector<std::int64_t> read_integers(hid_t group, const std::string& field, const std::string& where) {
    const data_set d = open_data(group, field, where);
    if (d.kind != H5T_INTEGER || d.shape.size() > 1 || d.size > 64) fail(where, field, "is not a few whole numbers");
    std::vector<std::int64_t> values(d.size);
    if (H5Dread(d.object.id(), H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
      fail_to_read(where, field);
    return values;
  }
  std::size_t natural(std::int64_t value, const std::string& field, const std::string& where) const {
    if (value < 0 || static_cast<std::uint64_t>(value) >= largest_extent)
      fail(where, field, "is " + std::to_string(value) + ", which makes no sense");
    return static_cast<std::size_t>(value);
  }

  void read_field(hid_t group, const std::string& field, const std::string& where, extents& to) {
    for (const std::int64_t value : read_integers(group, field, where)) to.push_back(natural(value, field, where));
  }
  void read_field(hid_t group, const std::string& field, const std::string& where, std::int64_t& to) {
    const auto values = read_integers(group, field, where);
    if (values.size() != 1) fail(where, field, "is not one whole number");
    to = values[0];
  }
  void read_field(hid_t group, const std::string& field, const std::string& where, std::size_t& to) {
    std::int64_t value = 0;
    read_field(group, field, where, value);
    to = natural(value, field, where);
  }
  // Two numbers, or one for both.
  void read_field(hid_t group, const std::string& field, const std::string& where, pair& to) {
    const auto values = read_integers(group, field, where);
    if (values.size() != 1 && values.size() != 2) fail(where, field, "is not one or two whole numbers");
    to = {natural(values.front(), field, where), natural(values.back(), field, where)};
  }
  void read_field(hid_t group, const std::string& field, const std::string& where, array& to) {
    const data_set d = open_data(group, field, where);
    if (d.kind != H5T_FLOAT && d.kind != H5T_INTEGER) fail(where, field, "is not numbers");
    if (d.size == 0) fail(where, field, "is empty");
    to.shape = d.shape;
    to.stored = H5Tget_size(d.type.id()) > sizeof(float) ? precision::f64 : precision::f32;
    to.values.resize(d.size);
    if (H5Dread(d.object.id(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, to.values.data()) < 0)
      fail_to_read(where, field);
  }

  // "valid" and "same" stand for numbers.
  bool read_padding_by_name(hid_t group, const std::string& where, conv2d& n) {
    const data_set d = open_data(group, "padding", where);
    if (d.kind != H5T_STRING) return false;
    const auto strings = read_strings(d, "padding", where);
    n.padding = {0, 0};
    if (strings == std::vector<std::string>{"valid"}) return true;
    if (strings != std::vector<std::string>{"same"})
      fail(where, "padding", "is neither numbers nor \"same\" nor \"valid\"");
    for (std::size_t i = 0; i < 2; ++i) {
      const std::size_t total = n.weight.shape.size() == 4 ? n.dilation[i] * (n.weight.shape[2 + i] - 1) : 0;
      if (n.stride[i] != 1 || total % 2 != 0) fail(where, "padding", "is \"same\", but cannot be so on both sides");
      n.padding[i] = total / 2;
    }
    return true;
  }

  node read_node(hid_t nodes, const std::string& name) {
    const std::string where = "node " + in_quotes(name);
    const hdf5_object group = open(nodes, name, H5I_GROUP, "/node/nodes");
    const std::string type = read_text(group.id(), "type", where);
    if (type == "NIRGraph") fail(where + " is a graph of its own; graphs in graphs are not supported");
    const std::vector<std::string> present = members(group.id(), 64, where);
    return read_node_of<0>(group.id(), where, type, present);
  }

  template <std::size_t Index>
  node read_node_of(hid_t group, const std::string& where, const std::string& type,
                    const std::vector<std::string>& present) {
    if constexpr (Index == std::variant_size_v<node>) {
      if (std::find(std::begin(other_types), std::end(other_types), type) != std::end(other_types))
        fail(where + " is of type " + in_quotes(type) + ", which NIR has, but this library does not support");
      fail(where + " is of the unknown type " + in_quotes(type));
    } else {
      using node_type = std::variant_alternative_t<Index, node>;
      if (node_type::type != type) return read_node_of<Index + 1>(group, where, type, present);
      node_type n;
      std::vector<std::string> known{"type", "metadata"};
      const auto has = [&](const std::string& field) {
        return std::find(present.begin(), present.end(), field) != present.end();
      };
      node_type::fields(n, [&](const std::string& field, auto& value, bool optional) {
        known.push_back(field);
        if (optional && !has(field)) return;
        if constexpr (std::is_same_v<node_type, conv2d>) {
          if (field == "padding" && has(field)) return;  // it may depend on the rest
        }
        read_field(group, field, where, value);
      });
      if constexpr (std::is_same_v<node_type, conv2d>) {
        if (!read_padding_by_name(group, where, n)) read_field(group, "padding", where, n.padding);
      }
      if constexpr (requires { n.shape; }) {
        // Some write the batch of the sample that they have traced their network with.
        if ((n.shape.size() == 2 || n.shape.size() == 4) && n.shape[0] == 1) n.shape.erase(n.shape.begin());
      }
      if constexpr (requires { n.v_reset; }) {
        if (!has("v_reset")) n.v_reset = array::filled(n.v_threshold.shape, 0, n.v_threshold.stored);
      }
      if constexpr (requires { n.w_in; }) {
        if (!has("w_in")) n.w_in = array::filled(n.v_leak.shape, 1, n.v_leak.stored);
      }
      for (const std::string& field : present)
        if (std::find(known.begin(), known.end(), field) == known.end())
          fail(where + ": nodes of type " + in_quotes(type) + " have no " + in_quotes(field));
      return n;
    }
  }

  void read_edges(hid_t root, graph& g) {
    const data_set d = open_data(root, "edges", "/node");
    if (d.size > 2 * limits_.edges)
      fail("/node", "edges",
           "has the shape " + text(d.shape) + ", more than " + std::to_string(limits_.edges) + " edges");
    if (d.size == 0) return;
    if (d.shape.size() != 2 || d.shape[1] != 2)
      fail("/node", "edges", "has the shape " + text(d.shape) + ", not [edges, 2]");
    std::vector<std::string> ends = read_strings(d, "edges", "/node");
    for (std::size_t i = 0; i < ends.size(); i += 2) g.edges.emplace_back(std::move(ends[i]), std::move(ends[i + 1]));
  }

  const std::string& name_;
  const read_limits& limits_;
  std::size_t file_size_ = 0, values_ = 0;
};

class nir_writer {
 public:
  std::vector<std::byte> write(const graph& g) {
    for (const auto& [name, n] : g.nodes) {
      if (name.empty() || name == "." || name.find('/') != std::string::npos)
        throw argument_error("node " + in_quotes(name) + " has a name that HDF5 does not allow");
    }
    const hdf5_object access{H5Pcreate(H5P_FILE_ACCESS), H5Pclose};
    check(H5Pset_fapl_core(access.id(), 1 << 16, false));
    const hdf5_object file{check(H5Fcreate("/dev/null/image", H5F_ACC_TRUNC, H5P_DEFAULT, access.id())), H5Fclose};
    write_field(file.id(), "version", std::string("1.0.8"));  // of the specification that this follows
    const hdf5_object root = group(file.id(), "node");
    write_field(root.id(), "type", std::string("NIRGraph"));
    {
      const hdf5_object nodes = group(root.id(), "nodes");
      for (const auto& [name, n] : g.nodes) {
        const hdf5_object to = group(nodes.id(), name);
        std::visit(
            [&]<class Node>(const Node& v) {
              write_field(to.id(), "type", std::string(Node::type));
              Node::fields(v, [&](const char* field, const auto& value, bool) { write_field(to.id(), field, value); });
            },
            n);
      }
    }
    std::vector<const char*> ends;
    for (const auto& [from, to] : g.edges) ends.insert(ends.end(), {from.c_str(), to.c_str()});
    write_data(root.id(), "edges", {g.edges.size(), 2}, string_type().id(), string_type().id(), ends.data());

    check(H5Fflush(file.id(), H5F_SCOPE_GLOBAL));
    std::vector<std::byte> content(static_cast<std::size_t>(check(H5Fget_file_image(file.id(), nullptr, 0))));
    check(H5Fget_file_image(file.id(), content.data(), content.size()));
    return content;
  }

 private:
  template <class Result>
  static Result check(Result result) {
    if (result < 0) throw error("HDF5 cannot make a .nir file; is there enough memory?");
    return result;
  }
  static hdf5_object string_type() {
    hdf5_object type{check(H5Tcopy(H5T_C_S1)), H5Tclose};
    check(H5Tset_size(type.id(), H5T_VARIABLE));
    check(H5Tset_cset(type.id(), H5T_CSET_UTF8));
    return type;
  }
  static hdf5_object group(hid_t in, const std::string& name) {
    return {check(H5Gcreate2(in, name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)), H5Gclose};
  }

  static void write_data(hid_t in, const std::string& field, const extents& shape, hid_t stored, hid_t held,
                         const void* values) {
    const std::vector<hsize_t> dims(shape.begin(), shape.end());
    const hdf5_object space{check(dims.empty() ? H5Screate(H5S_SCALAR)
                                               : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr)),
                            H5Sclose};
    const hdf5_object options{check(H5Pcreate(H5P_DATASET_CREATE)), H5Pclose};
    check(H5Pset_obj_track_times(options.id(), false));  // the same graph makes the same file
    std::size_t size = 1;
    for (const std::size_t extent : shape) size *= extent;
    if (H5Tget_class(stored) == H5T_FLOAT && size >= 64 && H5Zfilter_avail(H5Z_FILTER_DEFLATE) > 0) {
      check(H5Pset_chunk(options.id(), static_cast<int>(dims.size()), dims.data()));
      check(H5Pset_deflate(options.id(), 4));
    }
    const hdf5_object data{
        check(H5Dcreate2(in, field.c_str(), stored, space.id(), H5P_DEFAULT, options.id(), H5P_DEFAULT)), H5Dclose};
    if (size > 0) check(H5Dwrite(data.id(), held, H5S_ALL, H5S_ALL, H5P_DEFAULT, values));
  }

  static void write_field(hid_t in, const std::string& field, const std::string& value) {
    const char* const pointer = value.c_str();
    write_data(in, field, {}, string_type().id(), string_type().id(), &pointer);
  }
  static void write_integers(hid_t in, const std::string& field, const extents& shape, const std::int64_t* values) {
    write_data(in, field, shape, H5T_STD_I64LE, H5T_NATIVE_INT64, values);
  }
  static void write_field(hid_t in, const std::string& field, const extents& value) {
    if (value.empty()) return;  // not known
    const std::vector<std::int64_t> values(value.begin(), value.end());
    write_integers(in, field, {values.size()}, values.data());
  }
  static void write_field(hid_t in, const std::string& field, const pair& value) {
    write_field(in, field, extents(value.begin(), value.end()));
  }
  static void write_field(hid_t in, const std::string& field, std::int64_t value) {
    write_integers(in, field, {}, &value);
  }
  static void write_field(hid_t in, const std::string& field, std::size_t value) {
    write_field(in, field, static_cast<std::int64_t>(value));
  }
  static void write_field(hid_t in, const std::string& field, const array& value) {
    write_data(in, field, value.shape, value.stored == precision::f32 ? H5T_IEEE_F32LE : H5T_IEEE_F64LE,
               H5T_NATIVE_DOUBLE, value.values.data());
  }
};

}  // namespace detail

// A graph out of a file's content; `name` is what errors call it. Throws file_error naming it and the node or field
// where the content is not HDF5, not a graph that nir/graph.hpp knows, beyond the limits, or makes no sense (see
// analyse). Memory is bounded by the limits and by a multiple of the content, whatever it promises. HDF5 itself has had
// faults in reading files made to harm it, so a file from a stranger wants a process of its own.
inline graph parse(std::span<const std::byte> content, const std::string& name, const read_limits& limits = {}) {
  graph g = [&] {
    const detail::in_hdf5 entered;
    return detail::nir_reader(name, limits).read(content);
  }();
  try {
    analyse(g);
  } catch (const argument_error& problem) {
    throw file_error(name + ": " + problem.what() + ".");
  }
  return g;
}

// As above, from a file. Throws file_error also where it cannot be read.
inline graph read(const std::filesystem::path& path, const read_limits& limits = {}) {
  const auto fail = [&](const std::string& problem) { throw file_error(path.string() + ": " + problem + "."); };
  std::error_code failure;
  const auto status = std::filesystem::status(path, failure);
  if (!std::filesystem::exists(status)) fail("cannot be opened: " + failure.message());
  if (!std::filesystem::is_regular_file(status)) fail("is not a regular file");
  std::ifstream stream(path, std::ios::binary | std::ios::ate);
  if (!stream) fail(std::string("cannot be opened: ") + std::strerror(errno));
  std::vector<std::byte> content(static_cast<std::size_t>(stream.tellg()));
  stream.seekg(0);
  if (!stream.read(reinterpret_cast<char*>(content.data()), static_cast<std::streamsize>(content.size())))
    fail("cannot be read to its end");
  return parse(content, path.string(), limits);
}

// The content of a .nir file. Throws argument_error where the graph makes no sense (see analyse) or a name has a slash.
// The same graph makes the same bytes, with the same version of HDF5.
inline std::vector<std::byte> bytes(const graph& g) {
  analyse(g);
  const detail::in_hdf5 entered;
  return detail::nir_writer().write(g);
}

// Writes a .nir file, replacing what is there in one step. Throws argument_error as bytes(), and file_error naming the
// path where it cannot be written; what was there is then untouched.
inline void write(const std::filesystem::path& path, const graph& g) { write_file_atomically(path, bytes(g)); }

}  // namespace spikenet::nir
