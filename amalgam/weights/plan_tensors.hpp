#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "amalgam/weights/plan_cast.hpp"
#include "amalgam/weights/plan_fp8.hpp"
#include "amalgam/weights/plan_models.hpp"
#include "amalgam/weights/planner.hpp"

namespace amalgam {

/// One output tensor to be.
struct PlanPlace {
  std::string output;                ///< its name
  std::optional<std::size_t> layer;  ///< see PlanTensor::layer
  double position = 0;               ///< of the layer, in [0, 1]
  /// In a slice with layer ranges every model has a name of its own for the tensor: the prefix of
  /// its layers, its first layer plus `offset`, and `rest`.
  bool in_slice = false;
  std::size_t offset = 0;
  std::string_view rest;
};

/// Fills a plan tensor by tensor, when all of them are known (the types of a quantised mixture
/// depend on their names): finds the inputs, decides type, shape and parameters, and what is
/// copied. Collects what is better said once for all tensors.
class PlanTensors {
 public:
  /// All outlive this; `plan` has its rule.
  PlanTensors(const Recipe& recipe, const PlanOptions& options, PlanModels& models, MergePlan& plan)
      : recipe_(recipe),
        options_(options),
        rule_(*plan.rule),
        info_(plan.rule->info()),
        models_(models),
        plan_(plan),
        fp8_(plan, recipe.label) {}

  /// A tensor to plan. The cast, and what the place's views lead to, outlive this.
  void add(const PlanCast& cast, PlanPlace place) { wanted_.push_back({&cast, std::move(place)}); }

  /// A tensor that is taken from one model as it is, but for its type.
  void add_copy(PlanPlace place, const PlanInput& from) {
    wanted_.push_back({nullptr, std::move(place), from});
  }

  /// Notes tensors of the cast's members that its reference does not have.
  void note_extra(const PlanCast& cast);

  /// Plans all tensors, sorts them and marks tied ones. InputError for types, shapes and parameters
  /// that do not fit, tensors that a model does not have, and two of one name; warnings about extra
  /// tensors and integers that differ.
  void finish();

 private:
  using Storage = std::pair<std::size_t, std::size_t>;  // source, tensor
  struct Inputs {
    std::vector<PlanInput> members;
    std::optional<PlanInput> base;
  };
  struct Wanted {
    const PlanCast* cast = nullptr;  // null: `from` is copied
    PlanPlace place;
    PlanInput from = {};
  };

  void choose_types();
  // A model that does not have the tensor is noted for report_missing.
  void plan(const PlanCast& cast, const PlanPlace& place);
  void plan_copy(const PlanPlace& place, const PlanInput& original);

  const TensorInfo& info(const PlanInput& input) const {
    return plan_.sources[input.source]->tensors()[input.tensor];
  }
  std::string name_in(const PlanCast& cast, const PlanRole& role, const PlanPlace& place);
  std::optional<PlanInput> input_of(const PlanCast& cast, const PlanRole& role,
                                    const PlanPlace& place);
  void check_kinds(const std::vector<PlanInput>& members, const PlanInput& first) const;
  // The type of a tensor of the output, which is called `name` and has the shape `shape` there.
  DType output_dtype(const TensorInfo& reference, const std::string& name,
                     const Shape& shape) const;
  std::optional<OutputType> wanted_type() const;
  TensorInfo make_output(const std::string& name, DType dtype, const Shape& shape) const;
  // `input`, or what it is in the output's vocabulary.
  PlanInput in_vocabulary(const PlanInput& input, const PlanPlace& place);
  void plan_merge(const PlanCast& cast, const PlanPlace& place, const Inputs& given,
                  const PlanInput& first);
  void add_auxiliary(PlanTensor& planned, const PlanRole& role, const std::string& name,
                     const Shape& shape) const;
  std::string path_parameter_names() const;
  bool leaves_untouched(const PlanTensor& planned) const;
  // How a tensor is written if it becomes FP8 with scales; else null.
  const Fp8Format* fp8_of(const TensorInfo& reference) const;
  bool add_stored_fp8(const PlanPlace& place, const PlanInput& from);
  void push_marker(const PlanPlace& place, const TensorInfo& reference);
  void check_may_leave_out(const Parameters& parameters, std::string_view tensor) const;
  PlanInput cast_input(const PlanInput& from, DType dtype);
  void push(PlanTensor planned);
  Storage storage_of(const PlanInput& input) const {
    return {input.source, models_.storage(input.source, input.tensor)};
  }
  void note_differing(const std::string& name, const PlanInput& first,
                      const std::vector<PlanInput>& members);
  bool contents_differ(const PlanInput& a, const PlanInput& b);
  void report_missing() const;
  void report_extra() const;
  void report_differing() const;
  void mark_tied();

  const Recipe& recipe_;
  const PlanOptions& options_;
  const MergeRule& rule_;
  const RuleInfo& info_;
  PlanModels& models_;
  MergePlan& plan_;
  Fp8Planner fp8_;
  std::vector<Wanted> wanted_;
  std::optional<OutputType> type_;           // that is asked for
  std::optional<QuantisedTypes> quantised_;  // if that is a quantised one
  // By model: the one that has them, and the names.
  std::map<std::size_t, std::pair<std::size_t, std::vector<std::string>>> missing_;
  std::map<std::size_t, std::set<std::string>> extra_;
  std::vector<std::string> differing_;
  std::uint64_t compared_ = 0;  // bytes
  std::map<std::pair<std::size_t, DType>, std::size_t> cast_sources_;
  // In the output's vocabulary: by model, and storage of the tensor in every model.
  std::map<std::pair<std::size_t, std::vector<Storage>>, PlanInput> rewritten_;
  std::map<std::string, std::vector<Storage>> storages_;  // of the inputs, by output name
};

/// Up to ten names, and how many more there are.
std::string shown_names(const std::vector<std::string>& names);

}  // namespace amalgam
