#include "amalgam/weights/rules/task_vector.hpp"

#include <memory>
#include <utility>

#include "amalgam/weights/rules/task_vector_merge.hpp"

namespace amalgam::rules {

TaskVectorRule::TaskVectorRule(RuleInfo info, TaskVectorMethod method)
    : info_(std::move(info)), method_(method) {
  info_.base = BaseUse::required;
  info_.parameters = task_vector_parameters(method);
}

Scope TaskVectorRule::scope(const Parameters& parameters) const {
  if (task_vector_settings(info_, method_, parameters).model_scope) return Scope::model;
  if (method_.sparsify == Sparsify::none) return Scope::element;
  return Scope::tensor;
}

bool TaskVectorRule::whole_rows(const Parameters&) const {
  return method_.sparsify == Sparsify::magprune;
}

std::vector<std::string> TaskVectorRule::passes(const Parameters& parameters) const {
  const TaskVectorSettings settings = task_vector_settings(info_, method_, parameters);
  const bool norms =
      settings.rescale != Rescale::none && settings.rescale != Rescale::inverse_density;
  const std::string what = settings.model_scope ? "over the model" : "over the tensor";
  std::vector<std::string> passes;
  if (norms && method_.trim) passes.push_back("norms of what survives the random drop");
  if (method_.sparsify == Sparsify::magnitude || method_.sparsify == Sparsify::outliers ||
      settings.trim_density < 1) {
    passes.push_back("sample magnitudes " + what);
    passes.push_back("count magnitudes " + what + " around the thresholds");
  }
  if (norms && !method_.trim) passes.push_back("norms of what survives");
  if (settings.majority) passes.push_back("count elected signs " + what);
  passes.push_back(method_.consensus                    ? "apply: sparsify, elect signs, merge"
                   : method_.sparsify == Sparsify::none ? "apply: weighted sum of differences"
                                                        : "apply: sparsify, weighted sum");
  return passes;
}

std::unique_ptr<UnitMerge> TaskVectorRule::begin(const MergeUnit& unit) const {
  return std::make_unique<TaskVectorMerge>(info_, method_, unit);
}

}  // namespace amalgam::rules
