// Everything for the CPU but the opt-in headers: data/idx.hpp (needs zlib) and io/ (needs nlohmann-json, and
// io/checkpoint.hpp OpenSSL).
#pragma once

#include "spikenet/backend/cpu/cpu.hpp"
#include "spikenet/networks.hpp"
