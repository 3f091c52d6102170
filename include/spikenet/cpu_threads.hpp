// The number of threads of the CPU backend: set_cpu_threads() and cpu_threads(), without the backend.
#pragma once

#include "spikenet/backend/cpu/thread_pool.hpp"
