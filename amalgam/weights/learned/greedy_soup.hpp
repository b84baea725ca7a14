#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/weights/engine.hpp"
#include "amalgam/weights/recipe.hpp"

namespace amalgam::learned {

/// One question asked of the held-out data.
struct SoupTrial {
  std::size_t member = 0;
  double alone = 0;   ///< the member's own score
  double before = 0;  ///< of the soup without it; of the first member: its own
  double score = 0;   ///< of the soup with it
  bool accepted = false;
};

struct GreedySoup {
  std::vector<std::size_t> ingredients;  ///< in the order they were accepted
  double score = 0;                      ///< of their average
  std::vector<SoupTrial> trials;         ///< in the order of the members' own scores
};

/// The score (higher is better) of the plain average of some members, by their numbers.
using SoupScore = std::function<double(std::span<const std::size_t> members)>;

struct GreedySoupOptions {
  bool strict = false;  ///< a member must make the soup better, not only no worse
};

/// Greedy soup (Wortsman et al. 2022, recipe 1): members in descending order of their own score
/// (equal ones in the order given), each kept if the average with it scores no less than without. A
/// score of NaN is a rejection. Never below the best single member. InputError if no member has a
/// score.
GreedySoup greedy_soup(std::size_t members, const SoupScore& score,
                       const GreedySoupOptions& options = {});

/// The recipe of the plain average of `members` (rule `linear`, equal weights).
Recipe uniform_soup(const std::vector<std::string>& members);

/// The plain average of checkpoints by the rule `linear`, in memory. InputError as plan_merge.
std::unique_ptr<MemorySource> average_in_memory(
    const std::vector<std::shared_ptr<const TensorSource>>& sources, const EngineOptions& options);

}  // namespace amalgam::learned
