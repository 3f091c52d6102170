#include <spikenet/nir/export.hpp>
#include <spikenet/nir/file.hpp>
#include <spikenet/nir/to_cpp.hpp>

int main() { return spikenet::nir::bytes({{{"a", spikenet::nir::input{{1}}}, {"b", spikenet::nir::output{{1}}}}, {{"a", "b"}}}).empty(); }
