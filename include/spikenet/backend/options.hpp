// Options that several backends take.
#pragma once

#include "spikenet/core/compiler.hpp"

namespace spikenet {

// Run every layer by itself, fuse nothing. Slower; what fused stages are tested against.
struct one_by_one;

}  // namespace spikenet
