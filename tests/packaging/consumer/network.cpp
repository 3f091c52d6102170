#include "consumer.hpp"

template struct spikenet::network_code<net_t>;
