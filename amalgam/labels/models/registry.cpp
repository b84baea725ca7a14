#include <vector>

#include "amalgam/labels/models/models.hpp"

namespace amalgam::labels::models {

std::span<const LabelModel* const> all_models() {
  static const std::vector<const LabelModel*> models = {
      &majority_vote(),
      &weighted_majority(),
      &gold_majority(),
      &standard(),
      &softmax(),
      &wawa(),
      &zero_based_skill(),
      &dawid_skene(),
      &fast_dawid_skene(),
      &one_coin_dawid_skene(),
      &zencrowd(),
      &glad(),
      &mace(),
      &kos(),
      &bcc(),
      &m_msr(),
      &generative(),
      &flying_squid(),
      &weaver(),
      &average(),
  };
  return models;
}

}  // namespace amalgam::labels::models
