// Directories for tests that write files.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace test {

// An empty directory of that name. Another process that runs tests has another one: ctest runs each test case as a
// program of its own, several at a time. Removed when the program ends.
inline std::filesystem::path scratch(const std::string& name) {
  struct directory_of_process {
    std::filesystem::path path = std::filesystem::path{SPIKENET_TEST_TMP} / ("unit_" + std::to_string(::getpid()));
    ~directory_of_process() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  };
  static const directory_of_process all;
  const std::filesystem::path directory = all.path / name;
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  return directory;
}

}  // namespace test
