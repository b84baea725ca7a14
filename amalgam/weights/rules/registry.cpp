#include "amalgam/weights/rules/registry.hpp"

#include <array>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"

namespace amalgam {

std::span<const MergeRule* const> merge_rules() {
  static const std::array kRules = {
      &rules::linear(),
      &rules::task_arithmetic(),
      &rules::ties(),
      &rules::dare_linear(),
      &rules::dare_ties(),
      &rules::breadcrumbs(),
      &rules::breadcrumbs_ties(),
      &rules::della(),
      &rules::della_linear(),
      &rules::sce(),
      &rules::arcee_fusion(),
      &rules::nearswap(),
      &rules::ram(),
      &rules::ramplus_tl(),
      &rules::passthrough(),
      &rules::slerp(),
      &rules::nuslerp(),
      &rules::multislerp(),
      &rules::karcher(),
      &rules::model_stock(),
      &rules::fisher(),
      &rules::wise_ft(),
      &rules::variance_corrected(),
      &rules::median(),
      &rules::trimmed_mean(),
      &rules::geometric_median(),
      &rules::krum(),
      &rules::multi_krum(),
      &rules::bulyan(),
      &rules::meamed(),
      &rules::phocas(),
      &rules::flag(),
  };
  return kRules;
}

const MergeRule& find_merge_rule(std::string_view name) {
  std::vector<std::string> names;
  for (const MergeRule* rule : merge_rules()) {
    if (rule->info().name == name) return *rule;
    names.push_back(rule->info().name);
  }
  throw InputError("no merge method '{}'{}; 'amalgam merge methods' lists them", name,
                   did_you_mean(name, names));
}

}  // namespace amalgam
