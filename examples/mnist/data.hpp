// The images of the four files, and passes over them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <spikenet/data/dataset.hpp>
#include <spikenet/data/loader.hpp>
#include <string>

#include "model.hpp"
#include "progress.hpp"

namespace mnist {

// The training ("train") or test ("t10k") images in a directory. Throws spikenet::file_error as the library's reader
// does, and where images are not of the size that the networks take.
spikenet::image_dataset read_images(const std::filesystem::path& directory, const std::string& prefix);

// Takes the network's running statistics anew from all images of the loader.
void recalibrate(model& net, const spikenet::batch_loader<float>& loader);

// Loss and accuracy over all images of the loader, in evaluation mode. `title` stands before the progress.
// Throws an interruption where a signal has asked for it.
progress::summary evaluate(model& net, const spikenet::batch_loader<float>& loader, const std::string& title);

}  // namespace mnist
