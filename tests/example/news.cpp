#include "news.hpp"

#include <string>
#include <vector>

#include "catch.hpp"

namespace {

using texts = std::vector<std::string>;
const std::string silent = "conv1 is nearly silent: its neurons fire at 0.1 %", still = "conv1 is nearly silent: 0.2 %",
                  saturated = "conv1 is saturated: 95 %", other = "conv2 is nearly silent: 0.1 %";

}  // namespace

TEST_CASE("a warning is news once, whatever its numbers", "[news]") {
  mnist::news news;
  CHECK(news.of({silent}) == texts{silent});
  CHECK(news.of({still}).empty());
  CHECK(news.of({still, other}) == texts{other});
  CHECK(news.of({other}).empty());
}

TEST_CASE("a warning is news again when the layer's state has changed", "[news]") {
  mnist::news news;
  CHECK(news.of({silent}) == texts{silent});
  CHECK(news.of({saturated}) == texts{saturated});
  CHECK(news.of({silent}) == texts{silent});
  CHECK(news.of({}).empty());
  CHECK(news.of({silent}) == texts{silent});
}
