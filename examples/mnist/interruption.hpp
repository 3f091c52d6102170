// SIGINT (Ctrl-C) and SIGTERM as a request to stop where nothing is lost.
#pragma once

#include <signal.h>

#include <csignal>

namespace mnist {

// Thrown by stop_if_asked.
struct interruption {
  int signal = 0;
  // What shells report of a program that the signal has killed.
  int exit_status() const { return 128 + signal; }
  const char* name() const { return signal == SIGINT ? "SIGINT" : "SIGTERM"; }
};

namespace detail {

inline volatile std::sig_atomic_t signal_received = 0;

inline void set_signal_action(int signal, void (*handler)(int)) {
  struct sigaction action {};
  sigemptyset(&action.sa_mask);
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;  // reading and writing files goes on
  sigaction(signal, &action, nullptr);
}

inline void note_signal(int signal) {
  signal_received = signal;
  for (const int each : {SIGINT, SIGTERM}) set_signal_action(each, SIG_DFL);
}

}  // namespace detail

// From now on the first of the two signals is only noted, and the next one kills the program at once. A signal that the
// program was started to ignore, as by nohup, stays ignored.
inline void note_signals() {
  for (const int each : {SIGINT, SIGTERM}) {
    struct sigaction before {};
    sigaction(each, nullptr, &before);
    if (before.sa_handler != SIG_IGN) detail::set_signal_action(each, detail::note_signal);
  }
}

// Whether a signal has been noted; and, where one has, throws an interruption.
inline bool asked_to_stop() { return detail::signal_received != 0; }
inline void stop_if_asked() {
  if (asked_to_stop()) throw interruption{static_cast<int>(detail::signal_received)};
}

}  // namespace mnist
