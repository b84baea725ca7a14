#pragma once

namespace amalgam::scores {

/// How a classifier of two labels did on one subpopulation: counts, or sums of weights.
struct GroupConfusion {
  double true_positives = 0;
  double false_negatives = 0;
  double true_negatives = 0;
  double false_positives = 0;

  double positives() const { return true_positives + false_negatives; }
  double negatives() const { return true_negatives + false_positives; }
  double count() const { return positives() + negatives(); }
  double accuracy() const { return (true_positives + true_negatives) / count(); }
};

/// The difference of a classifier's accuracies on two subpopulations, and the part of it that comes
/// from how labels and subpopulations go together. If errors do not depend on the subpopulation Z
/// given the label Y, the accuracy on Z = 1 less that on Z = 0 is
///     P(Y=1) P(Y=0) / (P(Z=1) P(Z=0)) * (P(Z=1|Y=1) - P(Z=1|Y=0)) * (TPR - TNR)
/// (Liang et al., "Accuracy on the Curve", ICML 2023, theorem; they state absolute values).
struct SubpopulationGap {
  double positive_share = 0;      ///< P(Y=1)
  double group_share = 0;         ///< P(Z=1)
  double group_in_positives = 0;  ///< P(Z=1|Y=1)
  double group_in_negatives = 0;  ///< P(Z=1|Y=0)
  double true_positive_rate = 0;  ///< over both subpopulations
  double true_negative_rate = 0;
  double observed = 0;   ///< accuracy on Z=1 less accuracy on Z=0
  double explained = 0;  ///< as above
  /// What is left: the classifier treats equal labels of the two subpopulations differently.
  double rest() const { return observed - explained; }
};

/// The formula above.
double explained_gap(double positive_share, double group_share, double group_in_positives,
                     double group_in_negatives, double true_positive_rate,
                     double true_negative_rate);

/// From counts on Z = 1 and on Z = 0. InputError for counts that are negative or not finite, an
/// empty subpopulation, or a label that does not occur.
SubpopulationGap subpopulation_gap(const GroupConfusion& group, const GroupConfusion& others);

}  // namespace amalgam::scores
