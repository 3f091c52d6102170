// options: -std=gnu++20
// expect-success
// The macros of the system's headers, of which <complex.h> has an I, leave the library's headers alone.
#include "../rules/system_headers.h"
#undef _res  // <resolv.h> has it, and Eigen 3.4 has parameters of that name

#include <spikenet/data/loader.hpp>
#include <spikenet/dsrn.hpp>
#include <spikenet/export/header.hpp>
#include <spikenet/inference/fold.hpp>
#include <spikenet/inference/parallel.hpp>
#include <spikenet/inference/quantise.hpp>
#include <spikenet/nir/export.hpp>
#include <spikenet/nir/to_cpp.hpp>
#include <spikenet/spikenet.hpp>
#if __has_include(<zlib.h>)
#include <spikenet/data/idx.hpp>
#endif
#if __has_include(<nlohmann/json.hpp>)
#include <spikenet/io/import.hpp>
#if __has_include(<openssl/evp.h>)
#include <spikenet/io/checkpoint.hpp>
#endif
#endif
#if __has_include(<png.h>)
#include <spikenet/io/event_file.hpp>
#endif
#if __has_include(<hdf5.h>)
#include <spikenet/nir/file.hpp>
#endif

int main() {}
