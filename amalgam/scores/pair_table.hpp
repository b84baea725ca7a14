#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/scores/score_table.hpp"

namespace amalgam::scores {

/// What a ballot says of systems that it did not measure.
enum class Missing {
  observed,  ///< nothing: it votes on a pair only if both are measured
  /// Their place is uniformly random among those compatible with the measured ones (Himmi et al.,
  /// "Towards More Robust NLP System Evaluation: Handling Missing Scores in Benchmarks", 2024).
  /// A system of which there is no value or comparison at all has no place anywhere.
  complete,
  drop,  ///< ballots that did not measure every system are left out
};
std::string_view missing_name(Missing missing);
/// InputError listing the names otherwise.
Missing missing_of_name(std::string_view name);

/// How much the parts of a table count, on top of what the table itself says; empty: 1 each. A
/// resample of a bootstrap is a table and such factors: nothing is copied.
struct Reweighting {
  std::span<const double> ballots;      ///< [ballots], >= 0
  std::span<const double> comparisons;  ///< [comparisons], >= 0
  std::span<const double> tasks;        ///< [tasks], >= 0: on top of those of ballots

  double ballot(std::size_t index) const { return ballots.empty() ? 1.0 : ballots[index]; }
  double comparison(std::size_t index) const {
    return comparisons.empty() ? 1.0 : comparisons[index];
  }
  double task(Task index) const { return tasks.empty() ? 1.0 : tasks[index]; }
};

/// How often each system was better than each other one: what every rule that looks at pairs needs
/// to know. Tables add up.
struct PairTable {
  std::size_t systems = 0;
  std::vector<double> wins;  ///< [systems, systems]: [i][j] weighted votes for i over j
  std::vector<double>
      ties;  ///< [systems, systems], symmetric: weighted votes that i and j are equal

  PairTable() = default;
  explicit PairTable(std::size_t count)
      : systems(count), wins(count * count), ties(count * count) {}

  double win(std::size_t i, std::size_t j) const { return wins[i * systems + j]; }
  double tie(std::size_t i, std::size_t j) const { return ties[i * systems + j]; }
  /// Votes for i over j, a tie being half a vote for each.
  double preference(std::size_t i, std::size_t j) const { return win(i, j) + 0.5 * tie(i, j); }
  /// Votes on the pair.
  double votes(std::size_t i, std::size_t j) const { return win(i, j) + win(j, i) + tie(i, j); }
  /// 1 if a majority is for i, -1 if it is for j, 0 if neither is (nobody voted on the pair, or
  /// the votes differ by no more than rounding).
  int majority(std::size_t i, std::size_t j) const;
  void combine(PairTable&& other);
};

/// What counting left out.
struct PairNotes {
  std::size_t dropped_ballots = 0;  ///< with Missing::drop
};

/// The most systems of which all pairs are looked at: a table of votes is 400 MB.
inline constexpr std::size_t kMostPairedSystems = 5'000;
/// InputError beyond that many.
void check_pairs_fit(std::size_t systems);

/// Counts every ballot and comparison of a table, each with its weight, as a fold: the same bits
/// for any number of threads. Values whose difference is at most `tie_tolerance` are equal.
/// InputError if Missing::drop leaves no ballot, or for more than kMostPairedSystems.
PairTable count_pairs(const ScoreTable& table, Missing missing, const Reweighting& factors = {},
                      const Parallel& parallel = {}, double tie_tolerance = 0,
                      PairNotes* notes = nullptr);

}  // namespace amalgam::scores
