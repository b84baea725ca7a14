#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/parameters.hpp"
#include "amalgam/tensor/dtype.hpp"

namespace amalgam {

/// How much of the checkpoint a rule's decisions (thresholds, angles, selections) look at together.
/// Element and row rules need no statistics; the others reduce over a tensor, over all tensors of a
/// layer, or over the whole model, and then solve once.
enum class Scope { element, row, tensor, layer, model };

/// Whether a rule uses the base model.
enum class BaseUse { ignored, optional, required };

/// What a rule says of itself: shown by `amalgam merge methods`, used to check recipes.
struct RuleInfo {
  std::string name;     ///< snake_case, as in recipes
  std::string summary;  ///< one sentence
  std::string source;   ///< paper or tool, with the equation or section where there is one
  BaseUse base = BaseUse::ignored;
  std::size_t min_members = 1;  ///< not counting the base
  std::size_t max_members = SIZE_MAX;
  std::vector<ParameterInfo> parameters;
  /// SLERP-like methods count the base among the members: `base_model` names the first of the two.
  bool base_is_member = false;
  /// Where rows or columns differ in number (resized vocabularies), members meet on the largest
  /// common top-left submatrix (formats/recipes.md section 4); else differing shapes are an error.
  bool common_submatrix = false;
  /// The base is no input of its own: if one is named, it is among the members and comes first (as
  /// the target of Fisher-weighted averaging does). Goes with BaseUse::ignored.
  bool base_comes_first = false;
  /// Members, or single values of theirs, may be rejected, NaN among them. Where a rule is not
  /// robust and NaN is allowed, an element that is NaN in any input is NaN in the result.
  bool robust = false;
};

/// One output tensor as a rule sees it.
struct TensorView {
  std::string name;  ///< output name
  Shape shape;
  std::uint64_t elements = 0;
  std::vector<Parameters> members;  ///< parameters of each member, in member order
  Parameters rule;                  ///< parameters that are not per member
  bool has_base = false;
  /// The data of this tensor is the same storage as that of an earlier one of the unit (tied
  /// weights): statistics over the unit count it once; the engine leaves its blocks out of passes.
  bool tied = false;
};

/// The tensors that are merged together: one, or all of a layer, or all of the model (see Scope).
struct MergeUnit {
  std::vector<TensorView> tensors;
  std::size_t member_count = 0;
  std::uint64_t seed = 0;
  /// Bytes that the statistics of all leaves together should not exceed; results do not depend on
  /// it.
  std::uint64_t statistics_memory = 64'000'000;
};

/// Elements [first, first + count) of one tensor, of all members at once. T is float, or double
/// when an input is F64. The values are decoded, and finite unless the user allowed otherwise.
template <class T>
struct Block {
  std::size_t tensor = 0;  ///< index into MergeUnit::tensors
  std::uint64_t first = 0;
  std::size_t count = 0;
  std::span<const T* const> members;    ///< one pointer per member to `count` values
  const T* base = nullptr;              ///< null if there is no base
  std::span<const T* const> auxiliary;  ///< the tensors of Kind::path parameters, member order
};

/// Elements per block, except in blocks of whole rows: small enough that a block of every member
/// stays in the second-level cache.
inline constexpr std::size_t kBlockElements = 8192;
/// Blocks per leaf of the fold: a leaf's blocks are absorbed in order into one state, leaves are
/// combined in a fixed tree. Both constants are part of what fixes the bits of a result.
inline constexpr std::size_t kLeafBlocks = 16;

/// The state of a reduction: absorbs blocks in increasing order within a leaf, then leaves combine.
class Statistic {
 public:
  virtual ~Statistic() = default;
  virtual void absorb(const Block<float>& block) = 0;
  virtual void absorb(const Block<double>& block) = 0;
  /// Absorbs the state of the blocks that follow. `right` has this object's dynamic type.
  virtual void combine(Statistic& right) = 0;
};

/// A merge of one unit in progress. The engine asks for passes until there are none left, runs
/// each as a fold over the unit's blocks (in parallel, in a fixed tree), hands back the result, and
/// then applies. apply() is called from many threads at once.
class UnitMerge {
 public:
  virtual ~UnitMerge() = default;

  /// Whether a reduction is needed before apply; called again after each solve.
  virtual bool needs_pass() const { return false; }
  /// A fresh state for one leaf of the coming pass. Called from many threads at once.
  virtual std::unique_ptr<Statistic> make_statistic() const { return nullptr; }
  /// Whether the coming pass looks at this block (sampling passes skip most).
  virtual bool wants_block(std::size_t tensor, std::uint64_t first) const {
    (void)tensor, (void)first;
    return true;
  }
  /// The result of the pass over all blocks of all tensors of the unit; null if there were none.
  virtual void solve(std::unique_ptr<Statistic> total) { (void)total; }

  /// Writes the merged values of a block. `out` has block.count elements, in double for every T;
  /// the engine rounds once to the output type.
  virtual void apply(const Block<float>& block, std::span<double> out) const = 0;
  virtual void apply(const Block<double>& block, std::span<double> out) const = 0;
};

/// One merging method. Stateless and shared; begin() starts a merge of one unit.
class MergeRule {
 public:
  virtual ~MergeRule() = default;
  virtual const RuleInfo& info() const = 0;
  /// The scope under these (rule-level) parameters.
  virtual Scope scope(const Parameters& parameters) const = 0;
  /// Whether every block must consist of whole rows of the last axis (a block then has at least one
  /// row, however long). True for rules of row scope and those that rank within rows.
  virtual bool whole_rows(const Parameters& parameters) const {
    return scope(parameters) == Scope::row;
  }
  /// The passes over the inputs for people, e.g. {"sample magnitudes", "count", "apply"}.
  virtual std::vector<std::string> passes(const Parameters& parameters) const = 0;
  /// Starts merging `unit`, which outlives the result. InputError when parameters contradict each
  /// other or the members (too few for f, weights that sum to zero), naming the tensor or
  /// parameter.
  virtual std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const = 0;
};

/// All rules in one table, in the order of `amalgam merge methods`.
std::span<const MergeRule* const> merge_rules();
/// The rule called `name`; InputError with the nearest name otherwise.
const MergeRule& find_merge_rule(std::string_view name);

}  // namespace amalgam
