#include "amalgam/labels/models/triplets.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "amalgam/core/averages.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam::labels::models {
namespace {

/// The triplets of one worker after the other, with room for their estimates.
class Triplets {
 public:
  Triplets(const WorkerPairs& moments, const TripletOptions& options)
      : moments_(moments),
        options_(options),
        place_(moments.workers(), 0),
        estimates_(moments.columns) {}

  /// Puts worker `v`'s size by each column into `sizes` [columns].
  void size_of(std::size_t v, double* sizes) {
    first_ = moments_.begins[v];
    last_ = moments_.begins[v + 1];
    for (std::uint64_t i = first_; i < last_; ++i) place_[moments_.others[i]] = i + 1;
    for (std::vector<double>& found : estimates_) found.clear();
    if (are_few()) {
      each_two_pairs([&](std::uint64_t i, std::uint64_t j) {
        add(i, j);
        return true;
      });
    } else {
      draw(v);
    }
    for (std::size_t c = 0; c < estimates_.size(); ++c) {
      std::vector<double>& found = estimates_[c];
      if (!found.empty()) sizes[c] = options_.mean ? mean_of(found) : median_of(found);
    }
    for (std::uint64_t i = first_; i < last_; ++i) place_[moments_.others[i]] = 0;
  }

 private:
  // The triplet with the other workers of pair `i` of this worker and of pair `j` of that other
  // one; false if the three do not all have common tasks.
  bool add(std::uint64_t i, std::uint64_t j) {
    const std::uint64_t place = place_[moments_.others[j]];
    if (place == 0) return false;
    const std::size_t columns = estimates_.size();
    for (std::size_t c = 0; c < columns; ++c) {
      const double below = moments_.values[j * columns + c];
      const double above =
          moments_.values[i * columns + c] * moments_.values[(place - 1) * columns + c];
      if (std::abs(below) < 1e-12 || (options_.skip_negative && above / below < 0)) continue;
      estimates_[c].push_back(std::sqrt(std::abs(above / below)));
    }
    return true;
  }

  // Calls `body(i, j)` for pairs i of this worker and j of the other one with workers after that,
  // until it is false.
  template <class Body>
  void each_two_pairs(const Body& body) const {
    for (std::uint64_t i = first_; i < last_; ++i) {
      const Worker w = moments_.others[i];
      const auto begin = moments_.others.begin();
      const auto end = begin + static_cast<std::ptrdiff_t>(moments_.begins[w + 1]);
      const auto x =
          std::upper_bound(begin + static_cast<std::ptrdiff_t>(moments_.begins[w]), end, w);
      for (auto j = static_cast<std::uint64_t>(x - begin); j < moments_.begins[w + 1]; ++j) {
        if (!body(i, j)) return;
      }
    }
  }

  bool are_few() const {
    std::size_t count = 0;
    each_two_pairs([&](std::uint64_t, std::uint64_t j) {
      count += place_[moments_.others[j]] > 0 ? 1 : 0;
      return count <= options_.most;
    });
    return count <= options_.most;
  }

  void draw(std::size_t v) {
    RandomStream random(options_.seed, fmt::format("triplets of worker {}", v));
    const std::uint64_t partners = last_ - first_;
    std::uint64_t due = random.below(partners);
    for (std::uint64_t i = first_; i < last_; ++i) {
      due += options_.most;
      const std::uint64_t wanted = due / partners;
      due %= partners;
      if (wanted > 0) draw_with(i, wanted, random);
    }
  }

  // Up to `wanted` triplets with the other worker of pair `i`.
  void draw_with(std::uint64_t i, std::uint64_t wanted, RandomStream& random) {
    const Worker w = moments_.others[i];
    const std::uint64_t begin = moments_.begins[w];
    const std::uint64_t count = moments_.begins[w + 1] - begin;
    std::uint64_t next = random.below(count);
    for (std::uint64_t looked = 0; looked < count && wanted > 0; ++looked) {
      if (add(i, begin + next)) --wanted;
      if (++next == count) next = 0;
    }
  }

  const WorkerPairs& moments_;
  const TripletOptions& options_;
  std::vector<std::uint64_t> place_;            // of a worker's pair with this one, from 1; 0: none
  std::vector<std::vector<double>> estimates_;  // [columns]
  std::uint64_t first_ = 0;                     // this worker's pairs
  std::uint64_t last_ = 0;
};

}  // namespace

std::vector<double> triplet_sizes(const WorkerPairs& moments, const TripletOptions& options,
                                  const Parallel& parallel) {
  std::vector<double> sizes(moments.workers() * moments.columns, 0);
  std::vector<Triplets> slots(parallel.workers(), Triplets(moments, options));
  parallel_for(parallel, moments.workers(), [&](std::size_t v, std::size_t slot) {
    slots[slot].size_of(v, sizes.data() + v * moments.columns);
  });
  return sizes;
}

}  // namespace amalgam::labels::models
