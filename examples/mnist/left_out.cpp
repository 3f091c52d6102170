// The commands that this build leaves out: CMakeLists.txt defines SPIKENET_MNIST_WITHOUT_... for each of them.
#include <spikenet/core/error.hpp>
#include <string>

#include "commands.hpp"

namespace mnist {

namespace {

// Throws spikenet::argument_error, which says how to get the command.
[[noreturn, maybe_unused]] void refuse(const std::string& command) {
  throw spikenet::argument_error("This program was built without the command " + command +
                                 ". To add it, run examples/mnist/run.sh " + command +
                                 ", or put it on cmake's list SPIKENET_MNIST_COMMANDS and build again.");
}

}  // namespace

#if defined(SPIKENET_MNIST_WITHOUT_TRAIN)
int train(const train_options&) { refuse("train"); }
#endif
#if defined(SPIKENET_MNIST_WITHOUT_SWEEP)
int sweep(const sweep_options&) { refuse("sweep"); }
#endif
#if defined(SPIKENET_MNIST_WITHOUT_TEST)
void test(const test_options&) { refuse("test"); }
#endif
#if defined(SPIKENET_MNIST_WITHOUT_IMPORT)
void import_weights(const import_options&) { refuse("import"); }
#endif
#if defined(SPIKENET_MNIST_WITHOUT_FIRING_RATES)
void firing_rates(const firing_rates_options&) { refuse("firing-rates"); }
#endif
#if defined(SPIKENET_MNIST_WITHOUT_PROFILE)
void profile(const profile_options&) { refuse("profile"); }
#endif
#if defined(SPIKENET_MNIST_WITHOUT_INFER)
void infer(const infer_options&) { refuse("infer"); }
#endif
#if defined(SPIKENET_MNIST_WITHOUT_EXPORT)
void export_network(const export_options&) { refuse("export"); }
#endif

}  // namespace mnist
