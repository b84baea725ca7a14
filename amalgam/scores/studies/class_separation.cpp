#include "amalgam/scores/studies/class_separation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/fold.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/data/shuffle.hpp"

namespace amalgam::scores {
namespace {

// Draws pairs of different classes, all with the same probability.
class PairDraws {
 public:
  explicit PairDraws(std::span<const std::uint32_t> classes) : by_class_(classes.size()) {
    std::iota(by_class_.begin(), by_class_.end(), std::size_t{0});
    std::ranges::stable_sort(by_class_, {}, [&](std::size_t i) { return classes[i]; });
    for (std::size_t i = 0; i < by_class_.size(); ++i) {
      if (i == 0 || classes[by_class_[i]] != classes[by_class_[i - 1]]) begins_.push_back(i);
    }
    begins_.push_back(by_class_.size());
    for (std::size_t k = 0; k + 1 < begins_.size(); ++k) {
      const std::uint64_t size = begins_[k + 1] - begins_[k];
      ordered_pairs_ += size * (by_class_.size() - size);
      up_to_.push_back(ordered_pairs_);
    }
  }

  double pairs() const { return static_cast<double>(ordered_pairs_) / 2; }

  std::pair<std::size_t, std::size_t> draw(RandomStream& random) const {
    const std::uint64_t which = random.below(ordered_pairs_);
    const auto k =
        static_cast<std::size_t>(std::ranges::upper_bound(up_to_, which) - up_to_.begin());
    const std::size_t size = begins_[k + 1] - begins_[k];
    const std::size_t first = begins_[k] + random.below(size);
    std::size_t second = random.below(by_class_.size() - size);
    if (second >= begins_[k]) second += size;
    return std::minmax(by_class_[first], by_class_[second]);
  }

 private:
  std::vector<std::size_t> by_class_;  // points, class by class
  std::vector<std::size_t> begins_;
  std::vector<std::uint64_t> up_to_;
  std::uint64_t ordered_pairs_ = 0;
};

// The nearest pair, and the smallest squared distances.
struct TailState {
  std::size_t kept = 0;  // how many of them
  ClosestPair closest;
  std::vector<double> squares;

  void trim() {
    const std::size_t count = std::min(squares.size(), kept);
    std::ranges::partial_sort(squares, squares.begin() + static_cast<std::ptrdiff_t>(count));
    squares.resize(count);
  }
  void combine(TailState&& other) {
    closest.combine(std::move(other.closest));
    squares.insert(squares.end(), other.squares.begin(), other.squares.end());
    trim();
  }
};

[[noreturn]] void refuse_same_point(const ClosestPair& pair) {
  throw InputError(
      "class separation: rows {} and {} (from 0) have the same features and different labels;"
      " expected classes that can be told apart",
      pair.first, pair.second);
}

void check_found(const ClosestPair& pair, double at_least) {
  if (!std::isfinite(pair.distance)) {
    throw InputError("class separation: no two points of different classes are {} or more apart",
                     at_least);
  }
  if (pair.distance == 0) refuse_same_point(pair);
}

Separation closest(const PointRows& points, std::span<const std::uint32_t> classes,
                   const SeparationOptions& options, const Parallel& parallel,
                   const OnQueries& done) {
  const bool all = options.sample == 0 || options.sample >= points.count();
  Separation found{.looked_at = all ? points.count() : options.sample, .all_pairs = all};
  if (all) {
    found.observed =
        closest_of_different_classes(points, classes, options.at_least, parallel, done);
  } else {
    std::vector<std::size_t> chosen =
        shuffled_indices(points.count(), options.seed, "sample for class separation");
    chosen.resize(options.sample);
    std::ranges::sort(chosen);
    std::vector<double> rows;
    std::vector<std::uint32_t> labels;
    rows.reserve(chosen.size() * points.width);
    for (const std::size_t i : chosen) {
      rows.insert(rows.end(), points.row(i), points.row(i) + points.width);
      labels.push_back(classes[i]);
    }
    found.observed = closest_of_different_classes({rows, points.width}, labels, options.at_least,
                                                  parallel, done);
    found.observed.first = chosen[found.observed.first];
    found.observed.second = chosen[found.observed.second];
  }
  check_found(found.observed, options.at_least);
  found.distance = found.observed.distance;
  return found;
}

Separation extrapolated(const PointRows& points, std::span<const std::uint32_t> classes,
                        const SeparationOptions& options, const Parallel& parallel) {
  constexpr std::size_t kChunk = 8192;
  if (options.tail < 2 || options.tail >= options.pairs) {
    throw InputError(
        "class separation: a tail of {} of {} pairs; expected 2 or more, and fewer"
        " than the pairs",
        options.tail, options.pairs);
  }
  const PairDraws draws(classes);
  const std::size_t chunks = (options.pairs + kChunk - 1) / kChunk;
  auto state = fold(parallel, chunks, [&](std::size_t chunk, std::size_t) {
    check_interrupt();
    RandomStream random(options.seed, fmt::format("pairs of different classes {}", chunk));
    TailState leaf{.kept = options.tail + 1, .closest = {}, .squares = {}};
    const std::size_t count = std::min(kChunk, options.pairs - chunk * kChunk);
    for (std::size_t i = 0; i < count; ++i) {
      const auto [a, b] = draws.draw(random);
      const double squared = squared_distance(points.row(a), points.row(b), points.width);
      if (std::sqrt(squared) < options.at_least) continue;
      leaf.squares.push_back(squared);
      leaf.closest.combine({squared, a, b});
    }
    leaf.trim();
    return leaf;
  });
  for (double& value : state->squares) value = std::sqrt(value);
  Separation found{.observed = state->closest, .looked_at = options.pairs};
  found.observed.distance = std::sqrt(found.observed.distance);
  check_found(found.observed, options.at_least);
  if (state->squares.size() <= options.tail) {
    throw InputError(
        "class separation: only {} of the random pairs are {} or more apart; expected"
        " more than the tail of {}",
        state->squares.size(), options.at_least, options.tail);
  }
  found.distance =
      extreme_value_distance(state->squares, static_cast<double>(options.pairs), draws.pairs());
  return found;
}

}  // namespace

double extreme_value_distance(std::span<const double> distances, double sampled, double all) {
  if (distances.size() < 3 || !(distances.front() > 0) || !std::ranges::is_sorted(distances)) {
    throw Error("extreme value distance: expected three or more increasing distances above 0");
  }
  const std::size_t tail = distances.size() - 1;
  const double last = distances.back();
  double first_moment = 0;
  double second_moment = 0;
  for (const double distance : distances.first(tail)) {
    const double excess = portable_log(last / distance);
    first_moment += excess;
    second_moment += excess * excess;
  }
  const auto count = static_cast<double>(tail);
  first_moment /= count;
  second_moment /= count;
  // Equal excesses (all 0, or all the same) have no tail to be extrapolated.
  const double spread = 1 - first_moment * first_moment / second_moment;
  if (!(spread > 1e-12)) return distances.front();
  const double index = first_moment + 1 - 0.5 / spread;
  const double log_reach = portable_log(count * all / sampled);
  const double growth = std::abs(index * log_reach) < 1e-8
                            ? log_reach
                            : (portable_exp(index * log_reach) - 1) / index;
  const double inverse = (1 + first_moment * growth) / last;
  return inverse > 0 ? std::min(1 / inverse, distances.front()) : distances.front();
}

Separation class_separation(const PointRows& points, std::span<const std::uint32_t> classes,
                            const SeparationOptions& options, const Parallel& parallel,
                            const OnQueries& done) {
  if (classes.size() != points.count()) {
    throw Error("class separation: {} classes of {} points", classes.size(), points.count());
  }
  if (classes.empty() ||
      std::ranges::all_of(classes, [&](std::uint32_t k) { return k == classes.front(); })) {
    throw InputError("class separation: all points are of one class; expected two or more");
  }
  return options.way == SeparationOptions::Way::closest
             ? closest(points, classes, options, parallel, done)
             : extrapolated(points, classes, options, parallel);
}

}  // namespace amalgam::scores
