// A program that is built without some commands says how to get them.
#define SPIKENET_MNIST_WITHOUT_TEST
#define SPIKENET_MNIST_WITHOUT_FIRING_RATES
#include "left_out.cpp"

#include "catch.hpp"

TEST_CASE("a command that is left out says what adds it", "[example]") {
  CHECK_THROWS_MATCHES(mnist::test({}), spikenet::argument_error, says("without the command test."));
  CHECK_THROWS_MATCHES(mnist::firing_rates({}), spikenet::argument_error,
                       says("run examples/mnist/run.sh firing-rates, or put it on cmake's list"));
}
