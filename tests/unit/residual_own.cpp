// Residual blocks put together by hand: fused stages against the same layers one by one, what is computed once against
// the same image given at every timestep, the sum itself, and names.
#include <cstddef>
#include <string>
#include <vector>

#include "catch.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/same_training.hpp"
#include "unit/support.hpp"

using namespace spikenet;
using test::check_direct_encoding;
using test::check_fused;

namespace {

// Constant in both branches; a shortcut of several layers; an inner block; a norm in the branch that no neurons follow.
template <class Backend, template <std::size_t, std::size_t, std::size_t> class Input = image>
using own_blocks = network<
    Backend, timesteps<2>, Input<2, 5, 6>,
    residual<sequence<conv2d<3, 3>, named<"bn", tdbn<2>>>, sequence<conv2d<3, 1>, named<"bn", tdbn<2>>>>,
    residual<sequence<conv2d<3, 3>, named<"bn", tdbn<2>>, lif<>, conv2d<3, 1, with_bias>>>,
    residual<sequence<residual<sequence<conv2d<3, 3>, named<"bn", tdbn<>>>>, conv2d<3, 1>, named<"bn", tdbn<2>>>,
             identity, lif<detached_reset>>,
    global_avg_pool, linear<3>>;

template <class Backend>
using own_blocks_on_an_image = own_blocks<Backend>;

}  // namespace

TEST_CASE("fused and plain: residual blocks of one's own", "[residual][fused]") {
  check_fused<own_blocks_on_an_image>();
  check_direct_encoding<own_blocks>();
}

TEST_CASE("a residual block adds its shortcut before the neurons", "[residual]") {
  // A main branch of weight 0: what remains is the shortcut, x itself, and neurons that see it.
  network<cpu<double>, timesteps<1>, image<2, 1, 1>, residual<sequence<conv2d<2, 1>>>, global_avg_pool,
          linear<2, without_bias>>
      net{seed{}, {.threshold = 0.5}};
  for (double& weight : test::tensor_of(net, "0.0.weight")) weight = 0;
  const auto weight = test::tensor_of(net, "2.weight");
  const std::vector<double> expected{weight[1], weight[3], weight[0], weight[2], 0, 0};
  CHECK(test::error(net.evaluate(std::vector<double>{0.4, 0.6, 0.6, 0.4, 0.5, -1}), expected) == 0);
}

TEST_CASE("the parts of a residual block without names are its layers' indices, \"shortcut\" and \"join\"",
          "[residual]") {
  const auto check = []<class Backend>(Backend, std::vector<std::string> expected_outputs) {
    using net_t = network<Backend, timesteps<2>, frames<2, 2, 2>,
                          residual<sequence<conv2d<3, 3>, tdbn<2>>, conv2d<3, 1>>, global_avg_pool, linear<2>>;
    net_t net;
    std::vector<std::string> names, outputs;
    for (const auto& tensor : test::tensors(net)) names.push_back(tensor.name);
    net.evaluate(std::vector<double>(2 * 8), [&](const std::string& name, const auto&) { outputs.push_back(name); });
    CHECK(names == std::vector<std::string>{"0.0.weight", "0.1.weight", "0.1.bias", "0.1.running_mean",
                                            "0.1.running_var", "0.shortcut.weight", "2.weight", "2.bias"});
    CHECK(outputs == expected_outputs);
  };
  check(cpu<double>{}, {"0.0", "0.shortcut", "0.join", "1", "2"});
  check(cpu<double, one_by_one>{}, {"0.0", "0.1", "0.shortcut", "0.join", "1", "2"});
}
