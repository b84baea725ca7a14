#pragma once

#include <cstddef>
#include <cstdint>
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
  double alone = 0;       ///< the member's own score
  double before = 0;      ///< of the soup as it was; of the first member: its own
  double score = 0;       ///< of the soup with it; where soups are pruned: without it
  bool accepted = false;  ///< whether it was added; where soups are pruned: dropped
};

struct GreedySoup {
  std::vector<std::size_t> ingredients;  ///< in the order they were accepted
  double score = 0;                      ///< of their average
  double start = 0;                      ///< of the first member; where soups are pruned: of all
  std::vector<SoupTrial> trials;         ///< in the order they were made
};

/// The score (higher is better) of the plain average of some members, by their numbers.
using SoupScore = std::function<double(std::span<const std::size_t> members)>;

struct GreedySoupOptions {
  /// In which order members are tried.
  enum class Order {
    score,  ///< of their own scores, equal ones as given
    random  ///< by `seed`; the soup may then end below the best single member
  };
  bool strict = false;  ///< a member must make the soup better, not only no worse
  Order order = Order::score;
  /// How often what is not in the soup (where soups are pruned: what is) is tried; it ends earlier
  /// with a pass that changes nothing.
  std::uint64_t passes = 1;
  /// Begins with the average of all, and drops members, the worst first (or in random order), as
  /// long as the average of the others is better.
  bool pruned = false;
  std::uint64_t seed = 0;  ///< of the random order
};

/// Greedy soup (Wortsman et al. 2022, recipe 1): members in descending order of their own score,
/// each kept if the average with it scores no less than without. A score of NaN is a rejection.
/// Never below the best single member (in the order of scores), and never below the average of all
/// where it is pruned. InputError if no member has a score.
GreedySoup greedy_soup(std::size_t members, const SoupScore& score,
                       const GreedySoupOptions& options = {});

/// The recipe of the plain average of `members` (rule `linear`, equal weights).
Recipe uniform_soup(const std::vector<std::string>& members);

/// The plain average of checkpoints by the rule `linear`, in memory. InputError as plan_merge.
std::unique_ptr<MemorySource> average_in_memory(
    const std::vector<std::shared_ptr<const TensorSource>>& sources, const EngineOptions& options);

}  // namespace amalgam::learned
