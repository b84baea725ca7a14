#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "amalgam/scores/studies/accuracy_table.hpp"

// Robustness under degradation as one number per model (Pathak, Marjit, Vyas and Rawat, "LR0.FM:
// Low-Res Benchmark and Improving Robustness for Zero-Shot Classification in Foundation Models",
// ICLR 2025).
namespace amalgam::scores {

/// What is left of an accuracy: accuracy / native. NaN for a native one of 0, and if one is NaN.
double relative_robustness(double accuracy, double native);

struct RobustnessOptions {
  /// The factor 1 - exp(-steepness * E^exponent) takes out what is near chance, E being how far the
  /// native accuracy is above it. The square is a reading of the paper: with exponent 1 a model a
  /// hundredth above chance would already count 86 %.
  double steepness = 200;
  double exponent = 2;
  bool clip = false;            ///< relative robustness above 1 counts as 1
  std::vector<double> weights;  ///< [datasets], of WAR; empty: 1 each
};

/// 1 - exp(-steepness * E^exponent) with E = native - chance, within [0, 1].
double chance_factor(double native, double chance, const RobustnessOptions& options = {});

/// Cells that robustness cannot be computed of, or that a reader should know of.
struct RobustnessFlags {
  std::size_t missing = 0;       ///< data sets and resolutions that were not measured
  std::size_t zero_native = 0;   ///< data sets with a native accuracy of 0: left out
  std::size_t at_chance = 0;     ///< data sets with a native accuracy at or below chance
  std::size_t above_native = 0;  ///< cells with a higher accuracy than the native one

  /// Whether the model's aggregates are over the same cells as the others'.
  bool comparable() const { return missing == 0 && zero_native == 0; }
};

/// How a data set's own ranking of the models agrees with that by WAR; NaN where one is a tie of
/// all models, or fewer than two models can be compared.
struct RankAgreement {
  double spearman = 0;
  double kendall = 0;  ///< tau-b
};

struct Robustness {
  std::vector<double> gamma;           ///< [models, datasets, resolutions], relative robustness
  std::vector<double> improved_gamma;  ///< times the chance factor
  std::vector<double> sar;             ///< [models, resolutions], mean of gamma
  std::vector<double> war;             ///< [models, resolutions], weighted mean of improved gamma
  std::vector<double> sar_ranks;       ///< [models, resolutions], 1 = best, ties averaged
  std::vector<double> war_ranks;
  std::vector<RobustnessFlags> flags;  ///< [models]
  /// [datasets, resolutions]: of improved gamma with WAR, and of gamma with SAR.
  std::vector<RankAgreement> war_agreement;
  std::vector<RankAgreement> sar_agreement;
};

/// Computes all of it. A cell that is missing or undefined is left out of its model's aggregates,
/// whose weights are renormalised, and the model is flagged as not comparable; NaN where nothing is
/// left. InputError for a table that check_accuracies() refuses, negative or all-zero weights or as
/// many as do not fit, and a steepness or an exponent that is not positive.
Robustness robustness(const AccuracyTable& table, const RobustnessOptions& options = {});

/// Spearman and Kendall of two scores over the items that have both.
RankAgreement rank_agreement(std::span<const double> x, std::span<const double> y);

}  // namespace amalgam::scores
