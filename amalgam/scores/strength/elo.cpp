#include "amalgam/scores/strength/elo.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam::scores {

std::vector<Contest> contests_of(const ScoreTable& table, const Reweighting& factors) {
  constexpr std::size_t kMost = std::size_t{1} << 28U;
  std::vector<Contest> contests;
  for_contests(table, factors, [&](const Contest& contest) {
    if (contests.size() == kMost) {
      throw InputError(
          "more than {} pairs of systems were compared, too many to be put into other orders; use "
          "shuffles = 0, or bradley-terry, which does not depend on the order",
          kMost);
    }
    contests.push_back(contest);
  });
  return contests;
}

double EloRatings::expected(System first, System second) const {
  constexpr double kLog10 = 2.30258509299404568402;
  return portable_logistic((ratings_[first] - ratings_[second]) * (kLog10 / options_.scale));
}

void EloRatings::absorb(const Contest& contest) {
  const double score = 0.5 * (1 + contest.outcome);
  const double change = options_.k * static_cast<double>(contest.weight) *
                        (score - expected(contest.first, contest.second));
  ratings_[contest.first] += change;
  ratings_[contest.second] -= change;
}

MeanRatings elo_over_orders(std::vector<Contest> contests, std::size_t systems,
                            const EloOptions& options, std::size_t orders, std::uint64_t seed,
                            const Parallel& parallel) {
  // One list per worker, put back into the first order before each shuffle.
  std::vector<std::vector<Contest>> lists(parallel.workers());
  std::vector<std::vector<double>> ratings(orders);
  parallel_for(parallel, orders, [&](std::size_t order, std::size_t worker) {
    check_interrupt();
    std::vector<Contest>& list = lists[worker];
    list = contests;
    RandomStream random(seed, "elo order " + std::to_string(order));
    for (std::size_t last = list.size(); last > 1; --last) {
      std::swap(list[last - 1], list[random.below(last)]);
    }
    EloRatings elo(systems, options);
    for (const Contest& contest : list) elo.absorb(contest);
    ratings[order] = elo.ratings();
  });

  MeanRatings mean{std::vector<double>(systems), std::vector<double>(systems)};
  const auto count = static_cast<double>(orders);
  for (std::size_t system = 0; system < systems; ++system) {
    for (const std::vector<double>& of_order : ratings) mean.ratings[system] += of_order[system];
    mean.ratings[system] /= count;
    double squares = 0;
    for (const std::vector<double>& of_order : ratings) {
      const double difference = of_order[system] - mean.ratings[system];
      squares += difference * difference;
    }
    mean.deviations[system] = orders > 1 ? std::sqrt(squares / (count - 1)) : 0;
  }
  return mean;
}

}  // namespace amalgam::scores
