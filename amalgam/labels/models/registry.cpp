#include <vector>

#include "amalgam/labels/models/models.hpp"

namespace amalgam::labels::models {

std::span<const LabelModel* const> all_models() {
  static const std::vector<const LabelModel*> models = {
      &majority_vote(),
      &standard(),
      &softmax(),
      &wawa(),
      &zero_based_skill(),
      &dawid_skene(),
      &one_coin_dawid_skene(),
      &zencrowd(),
  };
  return models;
}

}  // namespace amalgam::labels::models
