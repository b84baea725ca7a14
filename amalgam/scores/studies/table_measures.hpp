#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "amalgam/language/text_embedder.hpp"

/// What is measured of vectors of tables (Cong, Hulsebos, Sun, Groth and Jagadish, "Observatory:
/// Characterizing Embeddings of Relational Tables", PVLDB 17(4), 2023).
namespace amalgam::scores {

using language::Embeddings;

/// The cosine of two vectors of one size, in double, within [-1, 1]; NaN if one is zero.
double cosine(std::span<const float> a, std::span<const float> b);

/// The multivariate coefficient of variation of the rows (Albert and Zhang, "A novel definition of
/// the multivariate coefficient of variation", 2010): sqrt(mu' S mu) / (mu' mu), with the mean mu
/// and the covariance S (divisor N - 1), computed as the deviation of the projections mu' x by
/// mu' mu. It sees spread along the mean only. NaN where it is not defined: fewer than two rows, or
/// a mean that is zero (|mu|^2 < 1e-12 times the mean of |x|^2).
double coefficient_of_variation(const Embeddings& population);

/// A sum of many cosines: count, sum, and a histogram from which quantiles are read. Parts add up.
class CosineSummary {
 public:
  static constexpr std::size_t kBins = 2000;  ///< of equal width over [-1, 1]

  /// NaN is counted apart.
  void add(double cosine);
  void combine(const CosineSummary& other);

  std::uint64_t count() const { return count_; }
  std::uint64_t undefined() const { return undefined_; }
  double mean() const;  ///< NaN if nothing was added
  /// The middle of the bin that holds the quantile, so within 0.0005 of it; NaN if nothing was
  /// added.
  double quantile(double share) const;

 private:
  std::array<std::uint64_t, kBins> bins_{};
  std::uint64_t count_ = 0;
  std::uint64_t undefined_ = 0;
  double sum_ = 0;
};

/// How much two columns have in common; values that are null do not count.
struct ColumnOverlap {
  double containment = 0;       ///< of the first in the second: |S1 n S2| / |S1|, distinct values
  double jaccard = 0;           ///< |S1 n S2| / |S1 u S2|, distinct values
  double multiset_jaccard = 0;  ///< sum of min(n1, n2) / (|C1| + |C2|), from 0 to 1/2
  double weighted_jaccard = 0;  ///< sum of min / sum of max: the same order as multiset_jaccard
};
/// All NaN if one of the columns has no value.
ColumnOverlap column_overlap(std::span<const std::string> first,
                             std::span<const std::string> second);

/// The spread of distances within groups (S^2): what a constant offset between determinant and
/// dependent, in the spirit of TransE, would make zero.
struct GroupSpread {
  double mean = 0;  ///< of the population variances of groups of two or more; NaN without such
  double mean_with_singles = 0;  ///< over all groups, those of one having variance 0
  std::size_t groups = 0;        ///< of two or more
  std::size_t singles = 0;
};
/// `groups` [lengths]: any numbers; equal ones are one group.
GroupSpread group_spread(std::span<const double> lengths, std::span<const std::uint32_t> groups);

/// The k nearest rows to each query by cosine, the nearest first, of equal ones the lower number
/// first; rows without direction are last. Row `queries[i]` itself is left out of its neighbours
/// unless `include_self`. InputError if there are fewer than k rows to choose from.
std::vector<std::vector<std::uint32_t>> nearest_rows(const Embeddings& embeddings,
                                                     std::span<const std::uint32_t> queries,
                                                     std::size_t k, bool include_self = false);

/// Per query, what its first k neighbours in two spaces have in common, from 0 to 1.
std::vector<double> neighbour_overlap(const std::vector<std::vector<std::uint32_t>>& first,
                                      const std::vector<std::vector<std::uint32_t>>& second,
                                      std::size_t k);
/// The same of the neighbours' entities, [rows] each: 2 sum of min / (k + k) of how often each
/// entity is among them.
std::vector<double> entity_overlap(const std::vector<std::vector<std::uint32_t>>& first,
                                   const std::vector<std::vector<std::uint32_t>>& second,
                                   std::span<const std::uint32_t> entities, std::size_t k);

/// The share of items whose cluster's most frequent class is their own.
double cluster_purity(std::span<const std::size_t> clusters,
                      std::span<const std::uint32_t> classes);

/// The order as it is, and up to `count` different other permutations of n: all of them in
/// lexicographic order if there are no more, else random ones without repeats.
std::vector<std::vector<std::size_t>> distinct_permutations(std::size_t n, std::size_t count,
                                                            std::uint64_t seed);

/// Up to `count` different subsets of `size` of n numbers, each increasing: all of them if there
/// are no more, else random ones.
std::vector<std::vector<std::size_t>> distinct_subsets(std::size_t n, std::size_t size,
                                                       std::size_t count, std::uint64_t seed);

}  // namespace amalgam::scores
