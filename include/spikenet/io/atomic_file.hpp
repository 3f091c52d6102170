// Replaces a file in one step: whoever reads the path, at any time and after any crash, finds the old content or the
// new one, whole. The content goes to a temporary file in the same directory, is forced to the disk, and is renamed.
// POSIX only.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <span>
#include <spikenet/core/error.hpp>
#include <string>
#include <system_error>
#include <utility>

namespace spikenet {

namespace detail {

// Owns a file descriptor and, until keep() is called, the temporary file behind it.
class temporary_file {
 public:
  // Creates a new, empty file beside `target`, with the permissions that the process's umask leaves.
  explicit temporary_file(const std::filesystem::path& target) {
    // The process id keeps programs apart; the number keeps apart what an earlier program of that id left behind.
    for (int attempt = 0; attempt < 1000 && descriptor_ < 0; ++attempt) {
      path_ = target;
      path_ += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(attempt);
      descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (descriptor_ < 0 && errno != EEXIST) break;
    }
    if (descriptor_ < 0) throw file_error(target.string() + ": cannot be created: " + std::strerror(errno) + ".");
  }
  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;
  ~temporary_file() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!kept_) ::unlink(path_.c_str());
  }

  const std::filesystem::path& path() const noexcept { return path_; }
  void keep() noexcept { kept_ = true; }

  // The calls below return false and leave the reason in errno.
  bool write(std::span<const std::byte> bytes) noexcept {
    while (!bytes.empty()) {
      const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return false;
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return true;
  }
  bool sync_and_close() noexcept {
    const bool synced = ::fsync(descriptor_) == 0;
    const int reason = errno;
    const bool closed = ::close(std::exchange(descriptor_, -1)) == 0;
    if (!synced) errno = reason;
    return synced && closed;
  }

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  bool kept_ = false;
};

// Forces a rename inside `directory` to the disk. File systems that cannot sync a directory say EINVAL.
inline bool sync_directory(const std::filesystem::path& directory) noexcept {
  const int descriptor = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return errno == EACCES;  // one may write into a directory without being allowed to list it
  const bool synced = ::fsync(descriptor) == 0 || errno == EINVAL;
  const int reason = errno;
  ::close(descriptor);
  errno = reason;
  return synced;
}

}  // namespace detail

// Writes `head` followed by `body` to `path`, creating or replacing the file. A symbolic link at `path` is itself
// replaced. Throws file_error naming `path`; what was there before is then untouched, unless only the last step, the
// directory's own sync, failed: then the new content is in place but may not survive a power cut.
inline void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> head,
                                  std::span<const std::byte> body = {}) {
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
    throw file_error(path.string() + ": exists and is not a regular file, so it is not replaced.");

  const auto fail = [&](const char* what) {
    throw file_error(path.string() + ": " + what + ": " + std::strerror(errno) + ".");
  };
  detail::temporary_file file{path};
  if (!file.write(head) || !file.write(body) || !file.sync_and_close()) fail("cannot be written");
  if (std::rename(file.path().c_str(), path.c_str()) != 0) fail("cannot be replaced");
  file.keep();
  if (!detail::sync_directory(path.parent_path())) fail("is written, but its directory cannot be synchronised");
}

}  // namespace spikenet
