#pragma once

#include <cstddef>
#include <vector>

#include "amalgam/core/string_pool.hpp"
#include "amalgam/scores/rank_aggregator.hpp"
#include "amalgam/scores/strength/contests.hpp"

namespace amalgam::scores::aggregators {

/// Who took part in a contest, for methods that give a rating to everyone at the start.
class MetSystems {
 public:
  explicit MetSystems(std::size_t systems) : met_(systems) {}

  void note(const Contest& contest) {
    met_[contest.first] = 1;
    met_[contest.second] = 1;
  }

  /// Takes the scores of all others away, with a warning. InputError if nobody took part.
  void leave_out_others(const StringPool& names, Ranking& ranking) const;

 private:
  std::vector<char> met_;
};

}  // namespace amalgam::scores::aggregators
