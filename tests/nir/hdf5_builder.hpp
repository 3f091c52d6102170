// Makes HDF5 content that the writer of .nir files would not: out of a text, a line for each object, so that tests can
// say what is wrong and fuzzers can change it.
//
//     g PATH                    a group
//     s PATH TEXT               a string (S: of fixed length)
//     e PATH A B A B ...        strings [n, 2] (E: of fixed length)
//     f PATH DIMS = VALUES      float (d: double, i: int64, b: int8), DIMS such as 2,3 or nothing; the values are
//                               repeated
//     z PATH DIMS = VALUES      float, compressed (u: by a filter that the reader does not have)
//     h PATH DIMS               float of that shape, chunked, with nothing stored
//     l PATH TARGET             a soft link (x: to the root of the file TARGET; H: a second name)
//     r PATH                    removes it
#pragma once

#include <hdf5.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "spikenet/nir/file.hpp"

namespace test {

class hdf5_builder {
 public:
  // In a new file, or in a copy of `base`. A line that HDF5 refuses is left out.
  static std::vector<std::byte> build(const std::string& script, std::span<const std::byte> base = {}) {
    const spikenet::nir::detail::in_hdf5 entered;
    const object access{H5Pcreate(H5P_FILE_ACCESS), H5Pclose};
    H5Pset_fapl_core(access.id(), 1 << 16, false);
    if (!base.empty()) H5Pset_file_image(access.id(), const_cast<std::byte*>(base.data()), base.size());
    const object file{base.empty() ? H5Fcreate("/dev/null/image", H5F_ACC_TRUNC, H5P_DEFAULT, access.id())
                                   : H5Fopen("/dev/null/image", H5F_ACC_RDWR, access.id()),
                      H5Fclose};
    if (!file) throw std::logic_error("HDF5 makes no file in memory");
    std::istringstream lines(script);
    for (std::string line; std::getline(lines, line);) add(file.id(), line);
    H5Fflush(file.id(), H5F_SCOPE_GLOBAL);
    std::vector<std::byte> content(static_cast<std::size_t>(H5Fget_file_image(file.id(), nullptr, 0)));
    H5Fget_file_image(file.id(), content.data(), content.size());
    return content;
  }

 private:
  using object = spikenet::nir::detail::hdf5_object;
  static constexpr int no_filter = -1, unknown_filter = -2;  // else deflate's level
  static constexpr H5Z_filter_t unknown_number = 511;        // of those that are for tests

  static void write(hid_t file, const std::string& path, hid_t type, hid_t memory, const std::vector<hsize_t>& dims,
                    const void* values, int filter = no_filter) {
    const object space{
        dims.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr),
        H5Sclose};
    const object options{H5Pcreate(H5P_DATASET_CREATE), H5Pclose};
    if (filter != no_filter && !dims.empty()) {
      std::vector<hsize_t> chunk = dims;
      for (hsize_t& extent : chunk) extent = std::clamp<hsize_t>(extent, 1, 16);
      H5Pset_chunk(options.id(), static_cast<int>(chunk.size()), chunk.data());
      if (filter == unknown_filter)
        H5Pset_filter(options.id(), unknown_number, H5Z_FLAG_MANDATORY, 0, nullptr);
      else
        H5Pset_deflate(options.id(), static_cast<unsigned>(filter));
    }
    const object data{H5Dcreate2(file, path.c_str(), type, space.id(), H5P_DEFAULT, options.id(), H5P_DEFAULT),
                      H5Dclose};
    if (data && values) H5Dwrite(data.id(), memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  }

  static void write_strings(hid_t file, const std::string& path, const std::vector<std::string>& texts,
                            const std::vector<hsize_t>& dims, bool fixed) {
    const object type{H5Tcopy(H5T_C_S1), H5Tclose};
    if (fixed) {
      std::size_t size = 1;
      for (const std::string& text : texts) size = std::max(size, text.size());
      H5Tset_size(type.id(), size);
      std::string all;
      for (const std::string& text : texts) all += text + std::string(size - text.size(), '\0');
      write(file, path, type.id(), type.id(), dims, all.data());
    } else {
      H5Tset_size(type.id(), H5T_VARIABLE);
      std::vector<const char*> pointers;
      for (const std::string& text : texts) pointers.push_back(text.c_str());
      write(file, path, type.id(), type.id(), dims, pointers.data());
    }
  }

  static void add(hid_t file, const std::string& line) {
    std::istringstream words(line);
    std::string kind, path, dims_text, word;
    words >> kind >> path;
    if (kind.size() != 1 || path.empty()) return;
    const char k = kind[0];
    if (k == 'g') {
      const object made{H5Gcreate2(file, path.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose};
    } else if (k == 'r') {
      H5Ldelete(file, path.c_str(), H5P_DEFAULT);
    } else if (k == 'l' || k == 'x' || k == 'H') {
      words >> word;
      if (k == 'l') H5Lcreate_soft(word.c_str(), file, path.c_str(), H5P_DEFAULT, H5P_DEFAULT);
      if (k == 'x') H5Lcreate_external(word.c_str(), "/", file, path.c_str(), H5P_DEFAULT, H5P_DEFAULT);
      if (k == 'H') H5Lcreate_hard(file, word.c_str(), file, path.c_str(), H5P_DEFAULT, H5P_DEFAULT);
    } else if (k == 's' || k == 'S') {
      words >> word;
      write_strings(file, path, {word}, {}, k == 'S');
    } else if (k == 'e' || k == 'E') {
      std::vector<std::string> texts;
      while (words >> word) texts.push_back(word);
      if (texts.size() % 2 != 0) texts.pop_back();
      write_strings(file, path, texts, {texts.size() / 2, 2}, k == 'E');
    } else if (std::string("fdibzuh").find(k) != std::string::npos) {
      std::vector<hsize_t> dims;
      words >> dims_text;
      if (dims_text != "=") {
        std::istringstream extents(dims_text);
        for (std::string extent; std::getline(extents, extent, ',');) {
          std::istringstream one(extent);
          unsigned long long value = 0;
          if (dims.size() < 8 && one >> value) dims.push_back(value);
        }
        words >> word;
      }
      std::vector<double> given, values;
      for (double value = 0; given.size() < 4096 && words >> value;) given.push_back(value);
      if (given.empty()) given.push_back(0);
      hsize_t size = 1;
      for (const hsize_t extent : dims) size = extent == 0 || size > (1u << 20) / extent ? 0 : size * extent;
      if (size > 4096 && k != 'z') size = 0;
      for (hsize_t i = 0; i < size; ++i) values.push_back(given[i % given.size()]);
      const void* const data = size > 0 && k != 'h' ? values.data() : nullptr;
      if (!data && k != 'h') return;
      const hid_t type = k == 'd'   ? H5T_IEEE_F64LE
                         : k == 'i' ? H5T_STD_I64LE
                         : k == 'b' ? H5T_STD_I8LE
                                    : H5T_IEEE_F32LE;
      constexpr H5Z_class2_t unknown{
          H5Z_CLASS_T_VERS,
          unknown_number,
          1,
          1,
          "unknown",
          nullptr,
          nullptr,
          [](unsigned, std::size_t, const unsigned*, std::size_t bytes, std::size_t*, void**) { return bytes; }};
      if (k == 'u') H5Zregister(&unknown);
      write(file, path, type, H5T_NATIVE_DOUBLE, dims, data,
            k == 'h'   ? 0
            : k == 'z' ? 9
            : k == 'u' ? unknown_filter
                       : no_filter);
      if (k == 'u') H5Zunregister(unknown_number);
    }
  }
};

}  // namespace test
