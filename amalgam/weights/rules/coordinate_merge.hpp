#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/weights/rules/coordinate_kernels.hpp"
#include "amalgam/weights/rules/robust.hpp"
#include "amalgam/weights/rules/typed.hpp"

namespace amalgam {

/// A merge that looks at every element by itself: a coordinate mean of the members, or of their
/// differences from the base, added back, if there is one.
class CoordinateMerge final : public TypedMerge<CoordinateMerge> {
 public:
  explicit CoordinateMerge(kernels::CoordinateMean mean) : mean_(std::move(mean)) {}

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    kernels::coordinate_mean(mean_, block.members, block.base, out);
  }

 private:
  kernels::CoordinateMean mean_;
};

/// What tells the robust rules apart that decide element by element.
struct CoordinateMethod {
  std::string name;
  std::string summary;
  std::string source;
  std::string pass;           ///< "apply: ..."
  bool counts_faults = true;  ///< has the parameter `f`, of at least 2 f + 1 members
  /// The mean of n members of which f may be wrong.
  std::function<kernels::CoordinateMean(std::size_t n, std::size_t f)> mean;
};

class CoordinateRule final : public MergeRule {
 public:
  explicit CoordinateRule(CoordinateMethod method)
      : method_(std::move(method)),
        info_{.name = method_.name,
              .summary = method_.summary,
              .source = method_.source,
              .base = BaseUse::optional,
              .min_members = 1,
              .parameters = {},
              .robust = true} {
    if (method_.counts_faults) info_.parameters.push_back(fault_parameter());
  }

  const RuleInfo& info() const override { return info_; }
  Scope scope(const Parameters&) const override { return Scope::element; }
  std::vector<std::string> passes(const Parameters&) const override { return {method_.pass}; }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    const std::size_t f = method_.counts_faults ? fault_count(unit, method_.name, 2, 1) : 0;
    return std::make_unique<CoordinateMerge>(method_.mean(unit.member_count, f));
  }

 private:
  CoordinateMethod method_;
  RuleInfo info_;
};

}  // namespace amalgam
