#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace amalgam::scores {

/// A ranking as `amalgam rank --json` writes it.
struct RankingFile {
  std::string method;                ///< empty if it is not said
  std::vector<std::string> systems;  ///< in the order of the file
  std::vector<double> ranks;         ///< [systems], 1 is the best; ties share a rank
  /// Systems without a score, of which nothing is known: they come last, which is no place.
  std::vector<std::string> unranked = {};
};

/// Reads the members "method" and "ranking" (a list of objects with "system" and "rank") of a JSON
/// object, or the columns system and rank of separated values; "score" may be null or empty, where
/// there is such a member or column. InputError naming the place for
/// anything else, a rank that is no number of at least 1, a system that is there twice, and fewer
/// than two systems.
RankingFile read_ranking(const std::filesystem::path& path);

/// How alike two rankings of (mostly) the same systems are.
struct RankingComparison {
  std::size_t common = 0;                ///< systems in both; all figures are of these
  std::vector<std::string> only_first;   ///< systems of the first ranking alone
  std::vector<std::string> only_second;  ///< of the second
  double tau_a = 0;                      ///< see core/rank_correlation.hpp for all of these
  double tau_b = 0;
  double spearman = 0;
  double distance = 0;          ///< discordant pairs, and half of those tied in one
  double largest_distance = 0;  ///< pairs: the distance of reversed rankings
  double rank_biased_overlap = 0;
  struct Top {
    std::size_t k = 0;
    double overlap = 0;
  };
  std::vector<Top> tops;  ///< for each k that is not more than the common systems
  /// The common systems whose place among these differs most, largest difference first: ties share
  /// the mean of their places.
  struct Move {
    std::string system;
    double first = 0;
    double second = 0;
  };
  std::vector<Move> moves;
};

/// Compares rankings over the systems that both have. InputError for fewer than two of these, or a
/// `persistence` (p of the rank-biased overlap) that is not between 0 and 1.
RankingComparison compare_rankings(const RankingFile& first, const RankingFile& second,
                                   const std::vector<std::size_t>& tops = {1, 3, 5, 10},
                                   double persistence = 0.9);

}  // namespace amalgam::scores
