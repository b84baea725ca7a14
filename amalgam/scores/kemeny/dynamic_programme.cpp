#include "amalgam/scores/kemeny/dynamic_programme.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"

namespace amalgam::scores::kemeny {
namespace {

constexpr std::int64_t kUnknown = std::numeric_limits<std::int64_t>::max();

// Follows the least costs of what is left from the whole to nothing. At each place the candidate
// with the least number is taken that an order of least cost (within the tolerance) may have there;
// if another one may stand there too, the order is not the only one.
// `candidates(visit)` calls visit(system, cost of placing it now and the others behind it).
template <class Candidates, class Take>
Optimum follow(std::size_t systems, std::int64_t least, std::int64_t tolerance,
               Candidates candidates, Take take) {
  Optimum optimum{.unique = true};
  std::int64_t spent = 0;
  for (std::size_t place = 0; place < systems; ++place) {
    std::int64_t chosen_step = 0;
    std::size_t chosen = systems;
    candidates([&](std::size_t system, std::int64_t step, std::int64_t rest) {
      if (spent + step + rest > least + tolerance) return;
      if (chosen < systems) optimum.unique = false;
      if (system < chosen) {
        chosen = system;
        chosen_step = step;
      }
    });
    if (chosen == systems) throw Error("the dynamic programme of an order has lost its way");
    spent += chosen_step;
    optimum.order.push_back(static_cast<System>(chosen));
    take(chosen);
  }
  optimum.cost = spent;
  return optimum;
}

// The cost of placing a system before all of a subset, from two tables by halves of the systems.
class StepCosts {
 public:
  explicit StepCosts(const Leads& leads)
      : low_bits_(leads.systems / 2),
        low_size_(std::size_t{1} << low_bits_),
        high_size_(std::size_t{1} << (leads.systems - low_bits_)),
        sums_(leads.systems * (low_size_ + high_size_)) {
    for (std::size_t i = 0; i < leads.systems; ++i) {
      std::int64_t* const low = sums_.data() + i * (low_size_ + high_size_);
      for (std::size_t subset = 1; subset < low_size_; ++subset) {
        const auto j = static_cast<std::size_t>(std::countr_zero(subset));
        low[subset] = low[subset & (subset - 1)] + leads.cost(i, j);
      }
      std::int64_t* const high = low + low_size_;
      for (std::size_t subset = 1; subset < high_size_; ++subset) {
        const auto j = static_cast<std::size_t>(std::countr_zero(subset)) + low_bits_;
        high[subset] = high[subset & (subset - 1)] + leads.cost(i, j);
      }
    }
  }

  std::int64_t operator()(std::size_t i, std::size_t subset) const {
    const std::int64_t* const low = sums_.data() + i * (low_size_ + high_size_);
    return low[subset & (low_size_ - 1)] + low[low_size_ + (subset >> low_bits_)];
  }

 private:
  std::size_t low_bits_;
  std::size_t low_size_;
  std::size_t high_size_;
  std::vector<std::int64_t> sums_;
};

using Subset = std::array<std::uint64_t, kMostOrdered / 64>;

bool has(const Subset& subset, std::size_t i) { return (subset[i / 64] >> (i % 64) & 1) != 0; }
Subset with(Subset subset, std::size_t i) {
  subset[i / 64] |= std::uint64_t{1} << (i % 64);
  return subset;
}

struct SubsetHash {
  std::size_t operator()(const Subset& subset) const {
    std::uint64_t hash = 0;
    for (const std::uint64_t word : subset) {
      hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
      hash ^= hash >> 29U;
    }
    return hash;
  }
};

// Least costs of ordering what is behind a front, found when they are asked for and kept.
class Fronts {
 public:
  Fronts(const Leads& leads, const Precedence& known, std::size_t most)
      : systems_(leads.systems), most_(most), steps_(leads.systems) {
    for (std::size_t i = 0; i < systems_; ++i) {
      for (std::size_t j = 0; j < systems_; ++j) {
        if (i == j) continue;
        const std::int64_t cost = leads.cost(i, j);
        if (known.before(j, i)) {
          steps_[i].earlier = with(steps_[i].earlier, j);
        } else if (known.before(i, j)) {
          steps_[i].cost += cost;
        } else if (cost > 0) {
          steps_[i].open.push_back({j, cost});
        }
      }
    }
  }

  // kUnknown once there are too many fronts.
  std::int64_t least_behind(const Subset& front, std::size_t placed) {
    if (placed == systems_) return 0;
    if (const auto found = costs_.find(front); found != costs_.end()) return found->second;
    if (costs_.size() >= most_) return kUnknown;
    if (costs_.size() % 4096 == 0) check_interrupt();
    std::int64_t least = kUnknown;
    for (std::size_t i = 0; i < systems_; ++i) {
      if (!may_follow(front, i)) continue;
      const std::int64_t rest = least_behind(with(front, i), placed + 1);
      if (rest == kUnknown) return kUnknown;
      least = std::min(least, step(front, i) + rest);
    }
    costs_.emplace(front, least);
    return least;
  }

  bool may_follow(const Subset& front, std::size_t i) const {
    if (has(front, i)) return false;
    for (std::size_t word = 0; word < front.size(); ++word) {
      if ((steps_[i].earlier[word] & ~front[word]) != 0) return false;
    }
    return true;
  }

  // The cost of placing a system that may follow, before all others that are not in front.
  std::int64_t step(const Subset& front, std::size_t i) const {
    std::int64_t sum = steps_[i].cost;
    for (const auto& [j, cost] : steps_[i].open) sum += has(front, j) ? 0 : cost;
    return sum;
  }

 private:
  struct Step {
    Subset earlier{};       // who is known to be before
    std::int64_t cost = 0;  // of those that are known to be behind
    std::vector<std::pair<std::size_t, std::int64_t>> open;
  };

  std::size_t systems_;
  std::size_t most_;
  std::vector<Step> steps_;
  std::unordered_map<Subset, std::int64_t, SubsetHash> costs_;
};

}  // namespace

Optimum subset_optimum(const Leads& leads) {
  const std::size_t n = leads.systems;
  if (n > kMostDense) throw Error("{} systems are too many for a table of subsets", n);
  const StepCosts step(leads);
  // least[subset]: of ordering the subset.
  std::vector<std::int64_t> least(std::size_t{1} << n, kUnknown);
  least[0] = 0;
  for (std::size_t subset = 1; subset < least.size(); ++subset) {
    std::int64_t best = kUnknown;
    for (std::size_t left = subset; left != 0; left &= left - 1) {
      const auto i = static_cast<std::size_t>(std::countr_zero(left));
      const std::size_t rest = subset & ~(std::size_t{1} << i);
      best = std::min(best, step(i, rest) + least[rest]);
    }
    least[subset] = best;
  }
  std::size_t left = least.size() - 1;
  return follow(
      n, least.back(), leads.tolerance,
      [&](auto visit) {
        for (std::size_t i = 0; i < n; ++i) {
          const std::size_t bit = std::size_t{1} << i;
          if ((left & bit) != 0) visit(i, step(i, left & ~bit), least[left & ~bit]);
        }
      },
      [&](std::size_t i) { left &= ~(std::size_t{1} << i); });
}

std::optional<Optimum> precedence_optimum(const Leads& leads, const Precedence& known,
                                          std::size_t most_states) {
  if (leads.systems > kMostOrdered) return std::nullopt;
  Fronts fronts(leads, known, most_states);
  Subset front{};
  std::size_t placed = 0;
  const std::int64_t least = fronts.least_behind(front, 0);
  if (least == kUnknown) return std::nullopt;
  return follow(
      leads.systems, least, leads.tolerance,
      [&](auto visit) {
        for (std::size_t i = 0; i < leads.systems; ++i) {
          if (!fronts.may_follow(front, i)) continue;
          visit(i, fronts.step(front, i), fronts.least_behind(with(front, i), placed + 1));
        }
      },
      [&](std::size_t i) {
        front = with(front, i);
        ++placed;
      });
}

}  // namespace amalgam::scores::kemeny
