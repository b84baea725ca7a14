#pragma once

#include <string>
#include <vector>

#include "amalgam/weights/rule.hpp"
#include "amalgam/weights/rules/consensus_kernels.hpp"
#include "amalgam/weights/rules/task_vector_kernels.hpp"

// The task-vector family (formats/recipes.md section 3): with base b and members x_i, the task
// vectors d_i = x_i - b are made sparse, weighted, brought to a consensus and added to the base.
namespace amalgam::rules {

/// Which elements of a task vector survive.
enum class Sparsify {
  none,
  magnitude,  ///< the largest (TIES)
  random,     ///< each with probability density (DARE)
  outliers,   ///< without the largest and the smallest (Model Breadcrumbs)
  magprune,   ///< random, with a probability that grows with the rank in the row (DELLA)
};

/// What makes a method of the family: its way to sparsify, whether signs are elected, and defaults.
struct TaskVectorMethod {
  Sparsify sparsify = Sparsify::none;
  bool consensus = false;
  bool rescale = false;    ///< default of `rescale`: the L1 norm (1 / density in the paper dialect)
  bool normalize = false;  ///< default of `normalize`
  bool trim = false;       ///< has `trim_density`: a magnitude trim after the random drop
};

/// The parameters of a method, for its RuleInfo.
std::vector<ParameterInfo> task_vector_parameters(const TaskVectorMethod& method);

/// What surviving values are multiplied by.
enum class Rescale { none, l1, l2, linf, inverse_density };

/// Rule-level parameters with the dialect's defaults filled in.
struct TaskVectorSettings {
  bool model_scope = false;
  bool round_half_even = false;  ///< how density * n becomes a count; else the floor
  bool majority = false;         ///< a balance takes the majority's sign; else plus
  Rescale rescale = Rescale::none;
  double trim_density = 1;
  double lambda = 1;
  Consensus::Elect elect = Consensus::Elect::none;
  Consensus::Merge merge = Consensus::Merge::sum;
};

/// InputError if `normalize` and `disjoint` are both given and contradict each other.
TaskVectorSettings task_vector_settings(const RuleInfo& info, const TaskVectorMethod& method,
                                        const Parameters& parameters);

/// Any method of the family as a rule; its file makes one.
class TaskVectorRule final : public MergeRule {
 public:
  TaskVectorRule(RuleInfo info, TaskVectorMethod method);
  const RuleInfo& info() const override { return info_; }
  Scope scope(const Parameters& parameters) const override;
  bool whole_rows(const Parameters& parameters) const override;
  std::vector<std::string> passes(const Parameters& parameters) const override;
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override;

 private:
  RuleInfo info_;
  TaskVectorMethod method_;
};

}  // namespace amalgam::rules
