#include "amalgam/scores/studies/subpopulation_gap.hpp"

#include <cmath>

#include "amalgam/core/error.hpp"

namespace amalgam::scores {

double explained_gap(double positive_share, double group_share, double group_in_positives,
                     double group_in_negatives, double true_positive_rate,
                     double true_negative_rate) {
  return positive_share * (1 - positive_share) / (group_share * (1 - group_share)) *
         (group_in_positives - group_in_negatives) * (true_positive_rate - true_negative_rate);
}

SubpopulationGap subpopulation_gap(const GroupConfusion& group, const GroupConfusion& others) {
  for (const GroupConfusion* counts : {&group, &others}) {
    for (const double count : {counts->true_positives, counts->false_negatives,
                               counts->true_negatives, counts->false_positives}) {
      if (!(count >= 0) || !std::isfinite(count)) {
        throw InputError("subpopulation gap: a count is {}; expected 0 or more", count);
      }
    }
    if (!(counts->count() > 0)) throw InputError("subpopulation gap: a subpopulation is empty");
  }
  const double positives = group.positives() + others.positives();
  const double negatives = group.negatives() + others.negatives();
  if (!(positives > 0) || !(negatives > 0)) {
    throw InputError("subpopulation gap: all examples have one label; expected two");
  }
  const double all = positives + negatives;
  SubpopulationGap gap;
  gap.positive_share = positives / all;
  gap.group_share = group.count() / all;
  gap.group_in_positives = group.positives() / positives;
  gap.group_in_negatives = group.negatives() / negatives;
  gap.true_positive_rate = (group.true_positives + others.true_positives) / positives;
  gap.true_negative_rate = (group.true_negatives + others.true_negatives) / negatives;
  gap.observed = group.accuracy() - others.accuracy();
  gap.explained =
      explained_gap(gap.positive_share, gap.group_share, gap.group_in_positives,
                    gap.group_in_negatives, gap.true_positive_rate, gap.true_negative_rate);
  return gap;
}

}  // namespace amalgam::scores
