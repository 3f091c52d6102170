// Warnings that come again after every epoch, told once.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace mnist {

// Of the warnings of an epoch, those that the epoch before did not have: a layer's again only when its state has
// changed in between. The numbers in them change always, and do not count.
class news {
 public:
  // Of texts "LAYER is STATE: ...", see spikenet::monitor::warnings.
  std::vector<std::string> of(const std::vector<std::string>& warnings) {
    std::set<std::string> current;
    std::vector<std::string> fresh;
    for (const std::string& text : warnings) {
      const std::string state = text.substr(0, text.find(':'));
      if (!known_.contains(state)) fresh.push_back(text);
      current.insert(state);
    }
    known_ = std::move(current);
    return fresh;
  }

 private:
  std::set<std::string> known_;
};

}  // namespace mnist
