// Where the time of a step goes: seconds in each layer, forward and backward.
//
//     spikenet::profile times;
//     net.profile_into(&times);
//     net.train_step(images, labels, optimizer);
//     for (const auto& layer : times.layers()) ...
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "spikenet/layer/layer.hpp"

namespace spikenet {

namespace detail {
class profile_scope;
}

class profile {
 public:
  // A layer, or adjacent ones that the backend runs in one pass ("bn1 + spike1"). Times are those of all calls.
  struct layer_times {
    std::string name;           // "layer1.0.conv1"
    double forward = 0;         // seconds
    double backward = 0;        // seconds
    std::size_t forwards = 0;   // calls
    std::size_t backwards = 0;  // calls
  };

  // In the order in which they first ran. What a network does outside its layers is "input", "loss", "update".
  const std::vector<layer_times>& layers() const noexcept { return layers_; }
  // Seconds of all layers.
  double total() const noexcept {
    double sum = 0;
    for (const layer_times& layer : layers_) sum += layer.forward + layer.backward;
    return sum;
  }
  void clear() { *this = profile{}; }

 private:
  friend class detail::profile_scope;

  using clock = std::chrono::steady_clock;
  struct running {
    std::size_t prefix;  // length of the path to it
    clock::time_point begin;
    bool has_parts;
  };

  [[gnu::noinline]] void enter(const std::string& name) {
    if (!stack_.empty()) stack_.back().has_parts = true;
    stack_.push_back({path_.size(), clock::now(), false});
    if (!path_.empty()) path_ += '.';
    path_ += name;
  }
  // Only what is not made of parts counts.
  [[gnu::noinline]] void leave(bool forward) {
    const running ended = stack_.back();
    stack_.pop_back();
    if (!ended.has_parts) add(forward, std::chrono::duration<double>(clock::now() - ended.begin).count());
    path_.resize(ended.prefix);
  }
  void add(bool forward, double seconds) {
    auto layer = std::find_if(layers_.begin(), layers_.end(), [&](const layer_times& l) { return l.name == path_; });
    if (layer == layers_.end()) {
      layers_.push_back({path_});
      layer = layers_.end() - 1;
    }
    (forward ? layer->forward : layer->backward) += seconds;
    ++(forward ? layer->forwards : layer->backwards);
  }

  std::vector<layer_times> layers_;
  std::vector<running> stack_;
  std::string path_;
};

namespace detail {

enum class pass { forward, backward };

// Times its own life as a pass of the layer of that name, unless times is null.
class profile_scope {
 public:
  profile_scope(profile* times, pass which, std::string (*name)()) : times_{times}, forward_{which == pass::forward} {
    if (times_) enter(name);
  }
  profile_scope(profile* times, pass which, const char* name) : times_{times}, forward_{which == pass::forward} {
    if (times_) enter(name);
  }
  ~profile_scope() {
    if (times_) times_->leave(forward_);
  }
  profile_scope(const profile_scope&) = delete;
  profile_scope& operator=(const profile_scope&) = delete;

 private:
  [[gnu::noinline]] void enter(std::string (*name)()) { times_->enter(name()); }
  [[gnu::noinline]] void enter(const char* name) { times_->enter(name); }

  profile* const times_;
  const bool forward_;
};

}  // namespace detail
}  // namespace spikenet
