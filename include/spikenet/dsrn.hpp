// The deep spiking residual network, spikenet::dsrn (network/dsrn.hpp), and all that is needed to train it on the CPU.
#pragma once

#include "spikenet/network/dsrn.hpp"
#include "spikenet/spikenet.hpp"
