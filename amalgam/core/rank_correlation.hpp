#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace amalgam {

// How alike two orders of the same n items are. Items are given by their scores, one vector for
// each order; equal scores are ties, and only the order of scores matters. All of these raise
// InputError if a score is NaN or the vectors have different lengths; infinities are scores like
// any other. All take O(n log n) time.

/// [n]: 1 for the smallest; tied values share the mean of their places.
std::vector<double> average_ranks(std::span<const double> values);

/// What becomes of the pairs of n < 2^32 items in two orders.
struct KendallCounts {
  std::uint64_t concordant = 0;      ///< in the same order in both
  std::uint64_t discordant = 0;      ///< in opposite orders
  std::uint64_t tied_in_first = 0;   ///< tied in the first only
  std::uint64_t tied_in_second = 0;  ///< tied in the second only
  std::uint64_t tied_in_both = 0;

  std::uint64_t pairs() const {
    return concordant + discordant + tied_in_first + tied_in_second + tied_in_both;
  }
};

/// Counts pairs by a sort and a merge sort (Knight, "A computer method for calculating Kendall's
/// tau with ungrouped data", 1966).
KendallCounts kendall_counts(std::span<const double> x, std::span<const double> y);

/// (concordant - discordant) / pairs, so that ties count as no correlation; NaN for n < 2.
double kendall_tau_a(std::span<const double> x, std::span<const double> y);

/// (concordant - discordant) / sqrt(pairs not tied in x * pairs not tied in y): 1 exactly for equal
/// orders, ties included (Kendall, "The treatment of ties in ranking problems", 1945). NaN where an
/// order is one tie, and for n < 2.
double kendall_tau_b(std::span<const double> x, std::span<const double> y);

/// Discordant pairs, and half of those that are tied in one order only: a metric on orders with
/// ties (Fagin et al., "Comparing and aggregating rankings with ties", 2004, with p = 1/2).
double kendall_distance(std::span<const double> x, std::span<const double> y);

/// Pearson's correlation of the average ranks; NaN where an order is one tie, and for n < 2.
double spearman(std::span<const double> x, std::span<const double> y);

/// How much the best k of both orders have in common, from 0 to 1. The best k are all items with
/// fewer than k strictly better ones, so that ties at the border are in; the overlap is twice the
/// number of common ones by the sum of both numbers, which without ties is their share of k. Higher
/// scores are better; 1 <= k <= n, else InputError.
double top_overlap(std::span<const double> x, std::span<const double> y, std::size_t k);

/// Rank-biased overlap, from 0 to 1: the mean of top_overlap over all depths, with weights that
/// fall by the factor `p` from one depth to the next, 0 < p < 1; the best 1 / (1 - p) items have
/// most of the weight. Beyond depth n the orders agree as they do at n: this is the extrapolated
/// form, RBO_ext, with ties as its authors treat them (Webber, Moffat and Zobel, "A similarity
/// measure for indefinite rankings", 2010). Higher scores are better; InputError for n = 0 or
/// another p.
double rank_biased_overlap(std::span<const double> x, std::span<const double> y, double p = 0.9);

}  // namespace amalgam
