// What the blocks of the pages may use without including it.
#pragma once

#include <cstdint>
#include <span>
#include <spikenet/data/loader.hpp>
#include <spikenet/dsrn.hpp>
#include <vector>

using batch = spikenet::batch_loader<float>::batch;
