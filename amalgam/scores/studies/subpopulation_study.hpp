#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/core/statistics.hpp"
#include "amalgam/scores/studies/subpopulation_fits.hpp"
#include "amalgam/scores/studies/subpopulation_gap.hpp"
#include "amalgam/scores/studies/subpopulation_table.hpp"

/// Whether models that are better on the majority are better on the minority too, and how curved
/// that relation is (Liang, Mao, Kwon, Yang and Zou, "Accuracy on the Curve: On the Nonlinear
/// Correlation of ML Performance Between Data Subpopulations", ICML 2023). The battery of
/// statistics is Amalgam's: the paper shows pictures.
namespace amalgam::scores {

struct SubpopulationOptions {
  /// The range of majority accuracies in which curvature is looked at: these quantiles.
  double low = 0.05;
  double high = 0.95;
  std::size_t resamples = 2000;          ///< of the bootstrap over models; 0: no intervals
  std::string cluster = {};              ///< a tag whose equal values are drawn together
  std::vector<std::string> within = {};  ///< tags: fits of the models of each value
  std::size_t fewest = 8;                ///< models in a group to be fitted, >= 4
  std::vector<double> bins = {};  ///< increasing edges of bins of majority accuracy; empty: fifths
  /// Models with this value of this tag make the line that robustness is measured from; empty: all.
  std::string reference_tag = {};
  std::string reference_value = {};
  double train_share = 0.9;  ///< of the majority in the mixture that models are chosen on
  double test_share = 0.5;   ///< of the majority in the shifted mixture
  std::uint64_t seed = 0;
};

/// Fits on one pair of axes.
struct AxisFits {
  CurveFits fits;
  double low = 0;  ///< of x, the range of moon index and turning point
  double high = 0;
  double moon_index = 0;                ///< in units of y; 0 without a parabola
  std::optional<double> turning_point;  ///< x below which better is worse; nothing beyond the range
};
/// Of points [count], with range quantiles; InputError if all x are equal.
AxisFits fit_axes(std::span<const double> x, std::span<const double> y, double low_quantile = 0.05,
                  double high_quantile = 0.95);

/// A coin decides for each example which of two models answers: all that lies between them in the
/// plane can be had. `first` is the best on the minority among the tenth of models that are worst
/// on the majority, `last` among the best tenth.
struct InterpolationGap {
  std::size_t first = 0;  ///< model numbers
  std::size_t last = 0;
  std::size_t between = 0;  ///< models whose majority accuracy is between theirs
  std::size_t below = 0;    ///< of them, those with less minority accuracy than the mixture
  double mean_gap = 0;      ///< of those below, how much less; 0 if there are none
};
/// Nothing if the two have the same majority accuracy.
std::optional<InterpolationGap> interpolation_gap(std::span<const double> majority,
                                                  std::span<const double> minority);

/// Models with majority accuracy in [low, high), the last bin in [low, high].
struct AccuracyBin {
  double low = 0;
  double high = 0;
  std::size_t count = 0;
  double majority = 0;  ///< means; NaN if there are none
  double minority = 0;
};
/// `edges`: at least two, increasing; empty: five bins with equally many models.
std::vector<AccuracyBin> accuracy_bins(std::span<const double> majority,
                                       std::span<const double> minority,
                                       std::span<const double> edges = {});

/// 95 % intervals by the bootstrap over models; nothing where too few draws have a figure.
struct CurveIntervals {
  std::size_t clusters = 0;
  std::optional<Interval> pearson;
  std::optional<Interval> slope;
  std::optional<Interval> line_r_squared;
  std::optional<Interval> parabola_r_squared;
  std::optional<Interval> quadratic;
  std::optional<Interval> moon_index;
  double turning_share = 0;  ///< draws that have a turning point within their range
};

/// The models with one value of a tag.
struct SubpopulationGroup {
  std::string tag;
  std::string value;
  std::size_t count = 0;
  std::optional<AxisFits> fits;  ///< nothing: too few models, or all alike on the majority
};

struct SubpopulationStudy {
  AxisFits accuracy;
  /// On probit axes, accuracies clipped to [1 / 2n, 1 - 1 / 2n]. Nothing if there is an accuracy of
  /// 0 or 1 and the number of test examples is not known.
  std::optional<AxisFits> probit;
  std::vector<double> probit_majority;  ///< [models] or empty
  std::vector<double> probit_minority;
  std::vector<double> monotone;  ///< [models], the increasing function nearest to minority accuracy
  double monotone_r_squared = 0;
  double spearman = 0;        ///< NaN where one of the two is constant
  double spearman_lower = 0;  ///< of models up to the median majority accuracy
  double spearman_upper = 0;  ///< of those above it
  double inverse_share = 0;   ///< of models below the turning point
  std::optional<InterpolationGap> gap;
  std::vector<AccuracyBin> bins;
  std::optional<CurveIntervals> intervals;
  AxisFits mixtures;  ///< accuracy on the shifted mixture over that on the training mixture
  /// What the line on probit axes leaves unexplained: minority accuracy less the line's; [models],
  /// or empty without probit axes.
  std::vector<double> effective_robustness;
  std::optional<LineFit> reference_line;
  std::vector<SubpopulationGroup> groups;
  std::vector<SubpopulationGap> gaps;  ///< [models], majority less minority; if there are counts
  std::vector<std::string> warnings;
};

/// InputError naming the table: fewer than four models, accuracies that are not in [0, 1], all
/// models alike on the majority, no such tag, fewer than two clusters, options out of range.
SubpopulationStudy study_subpopulations(const SubpopulationTable& table,
                                        const SubpopulationOptions& options,
                                        const Parallel& parallel = {});

/// The normal quantile of an accuracy, clipped by the number of test examples; 0: not clipped, and
/// infinite for 0 and 1.
double probit(double accuracy, double examples = 0);

}  // namespace amalgam::scores
