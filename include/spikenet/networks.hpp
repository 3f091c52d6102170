// Layers, networks and training, without a backend to run them on: what spikenet.hpp (the CPU) and cuda.cuh share.
#pragma once

#include "spikenet/layer/conv2d.hpp"
#include "spikenet/layer/lif.hpp"
#include "spikenet/layer/linear.hpp"
#include "spikenet/layer/pooling.hpp"
#include "spikenet/layer/tdbn.hpp"
#include "spikenet/network/network.hpp"
#include "spikenet/network/residual.hpp"
#include "spikenet/network/sequence.hpp"
#include "spikenet/training/clip_gradients.hpp"
#include "spikenet/training/early_stopping.hpp"
#include "spikenet/training/loss.hpp"
#include "spikenet/training/monitor.hpp"
#include "spikenet/training/optimizer.hpp"
#include "spikenet/training/schedule.hpp"
