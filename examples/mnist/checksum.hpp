// Compares data files with their known MD5 sums. MD5 finds damage, not malice, and it is what the data's mirrors
// publish.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cctype>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <memory>
#include <spikenet/core/error.hpp>
#include <string>

namespace mnist {

// A file's MD5 as 32 lower-case hexadecimal digits. Throws spikenet::file_error where the file cannot be read.
inline std::string md5_of_file(const std::filesystem::path& path) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
  const auto fail = [&](const char* what) { throw spikenet::file_error(path.string() + ": " + what + "."); };
  if (!context || EVP_DigestInit_ex(context.get(), EVP_md5(), nullptr) != 1)
    fail("cannot be checked: OpenSSL offers no MD5 on this machine");

  std::ifstream stream{path, std::ios::binary};
  if (!stream) fail("cannot be opened");
  std::array<char, 65536> block;
  do {
    stream.read(block.data(), block.size());
    if (EVP_DigestUpdate(context.get(), block.data(), static_cast<std::size_t>(stream.gcount())) != 1)
      fail("cannot be checked");
  } while (stream);
  if (!stream.eof()) fail("cannot be read to its end");

  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  if (EVP_DigestFinal_ex(context.get(), digest.data(), &size) != 1) fail("cannot be checked");
  std::string text;
  for (unsigned int i = 0; i < size; ++i) {
    text += "0123456789abcdef"[digest[i] / 16];
    text += "0123456789abcdef"[digest[i] % 16];
  }
  return text;
}

// Checks the files that `directory`/MD5SUMS lists, in md5sum's format: 32 digits, a space, a space or '*', a name. A
// directory without MD5SUMS passes, and so does a listed file that is not there: reading the data says what is missing,
// and it may be there under another name, unpacked. Throws spikenet::file_error naming the file that differs.
inline void check_sums(const std::filesystem::path& directory) {
  const std::filesystem::path list = directory / "MD5SUMS";
  if (!std::filesystem::exists(list)) return;
  std::ifstream stream{list};
  if (!stream) throw spikenet::file_error(list.string() + ": cannot be opened.");

  std::string line;
  for (std::size_t number = 1; std::getline(stream, line); ++number) {
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) continue;
    std::string expected = line.substr(0, 32);
    bool well_formed = line.size() > 34 && line[32] == ' ' && (line[33] == ' ' || line[33] == '*');
    for (char& digit : expected) {
      well_formed = well_formed && std::isxdigit(static_cast<unsigned char>(digit));
      digit = static_cast<char>(std::tolower(static_cast<unsigned char>(digit)));
    }
    if (!well_formed)
      throw spikenet::file_error(list.string() + ": line " + std::to_string(number) + " is not a sum and a file name.");

    const std::filesystem::path file = directory / line.substr(34);
    if (!std::filesystem::exists(file)) continue;
    if (const std::string found = md5_of_file(file); found != expected)
      throw spikenet::file_error(file.string() + ": is damaged: its MD5 sum is " + found + ", and " + list.string() +
                                 " has " + expected + ".");
  }
  if (stream.bad()) throw spikenet::file_error(list.string() + ": cannot be read to its end.");
}

}  // namespace mnist
