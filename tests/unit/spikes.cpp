#include "spikenet/core/spikes.hpp"

#include <cstddef>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

// 0 and 1 from a seed.
template <class Scalar>
std::vector<Scalar> spikes(std::size_t count, std::uint64_t s) {
  auto values = test::normal<Scalar>(count, s);
  for (Scalar& value : values) value = value > Scalar{0.5} ? Scalar{1} : Scalar{0};
  return values;
}

// Bits beyond the channels are set beforehand, and every other one too.
template <class Backend, std::size_t Channels>
void check_packing() {
  using scalar = typename Backend::scalar;
  for (const std::size_t rows : {std::size_t{1}, std::size_t{7}, std::size_t{300}}) {
    CAPTURE(Channels, rows);
    const auto values = spikes<scalar>(rows * Channels, rows + Channels);
    std::vector<spike_bits> bits(rows * spike_bytes<Channels>, spike_bits{0xff});
    Backend backend;
    backend.template pack<Channels>(rows, values.data(), bits.data());

    std::size_t wrong = 0;
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t c = 0; c < spike_bytes<Channels> * 8; ++c) {
        const bool expected = c < Channels && values[row * Channels + c] != scalar{0};
        const bool set = (static_cast<unsigned>(bits[row * spike_bytes<Channels> + c / 8]) >> c % 8 & 1) != 0;
        wrong += set != expected ? 1 : 0;
      }
    }
    CHECK(wrong == 0);

    std::vector<scalar> back(values.size(), test::nan<scalar>);
    backend.template unpack<Channels>(rows, bits.data(), back.data());
    CHECK(back == values);
  }
}

template <class Backend, std::size_t... Channels>
void check_channels(std::index_sequence<Channels...>) {
  (check_packing<Backend, Channels + 1>(), ...);
}

}  // namespace

TEST_CASE("spikes are packed and unpacked, whatever the number of channels", "[spikes]") {
  check_channels<cpu<float>>(std::make_index_sequence<20>{});
  check_channels<cpu<double>>(std::make_index_sequence<20>{});
  check_packing<cpu<float>, 61>();
  check_packing<cpu<float>, 128>();
  check_packing<cpu<double>, 77>();
}

TEST_CASE("packed spikes take a bit each, a new byte for every pixel", "[spikes]") {
  using map = signal<shape<16, 28, 28>, 2, content::spikes>;
  STATIC_REQUIRE(item_length<map, spike_bits> == 28 * 28 * 2);
  STATIC_REQUIRE(item_length<map, float> == 28 * 28 * 16);
  STATIC_REQUIRE(item_length<signal<shape<3, 5, 5>, 1, content::spikes>, spike_bits> == 25);
  STATIC_REQUIRE(item_length<signal<shape<10>, 4, content::spikes>, spike_bits> == 2);
}

TEST_CASE("only what holds spikes is held as bits, and only by a backend that packs", "[spikes]") {
  using spiking = signal<shape<4>, 2, content::spikes>;
  using real = signal<shape<4>, 2>;
  STATIC_REQUIRE(std::is_same_v<held<cpu<float>, spiking>, spike_bits>);
  STATIC_REQUIRE(std::is_same_v<held<cpu<float>, real>, float>);
  STATIC_REQUIRE(std::is_same_v<held<cpu<float, real_spikes>, spiking>, float>);
}
