// measure_command MAX_MB COMMAND ARGUMENT...
// Runs the command, prints how long it took and the most memory that one of its processes held, and fails if the
// command fails or holds more than MAX_MB (10^6 bytes each). For compilers: g++ is a driver, its child holds the
// memory.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  const double max_mb = argc > 1 ? std::strtod(argv[1], nullptr) : 0.0;
  if (argc < 3 || !(max_mb > 0.0)) {
    std::fprintf(stderr, "usage: measure_command MAX_MB COMMAND ARGUMENT...\n");
    return 2;
  }

  const auto start = std::chrono::steady_clock::now();
  const pid_t child = fork();
  if (child < 0) {
    std::perror("measure_command: fork");
    return 2;
  }
  if (child == 0) {
    execvp(argv[2], argv + 2);
    std::perror(argv[2]);
    _exit(127);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) {
    std::perror("measure_command: waitpid");
    return 2;
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;

  // The largest process among the child and the descendants that were waited for.
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
#ifdef __APPLE__
  const double bytes = static_cast<double>(usage.ru_maxrss);
#else
  const double bytes = static_cast<double>(usage.ru_maxrss) * 1024.0;
#endif
  const double mb = bytes / 1e6;
  std::printf("%.1f s, %.0f MB\n", elapsed.count(), mb);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    std::fprintf(stderr, "measure_command: %s failed\n", argv[2]);
    return 1;
  }
  if (mb > max_mb) {
    std::fprintf(stderr, "measure_command: %s held %.0f MB, more than %.0f MB\n", argv[2], mb, max_mb);
    return 1;
  }
  return 0;
}
