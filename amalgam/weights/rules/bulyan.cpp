#include <algorithm>
#include <optional>

#include "amalgam/weights/rules/combination.hpp"
#include "amalgam/weights/rules/coordinate_kernels.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/robust.hpp"

namespace amalgam::rules {
namespace {

class BulyanMerge final : public TypedMerge<BulyanMerge> {
 public:
  BulyanMerge(std::size_t members, std::size_t f)
      : members_(members),
        f_(f),
        mean_(kernels::CoordinateMean::median(members - 2 * f, members - 4 * f)) {}

  bool needs_pass() const override { return !solved_; }
  std::unique_ptr<Statistic> make_statistic() const override {
    return std::make_unique<PairStatistic>(members_, PairSums::squared_distances);
  }
  void solve(std::unique_ptr<Statistic> total) override {
    solved_ = true;
    if (total == nullptr) return;
    selected_ = bulyan_selection(static_cast<PairStatistic&>(*total).matrix(), f_);
    // Equally near values are kept by member, not by order of selection.
    std::sort(selected_.begin(), selected_.end());
  }

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    std::vector<const T*> selected;
    selected.reserve(selected_.size());
    for (const std::size_t member : selected_) selected.push_back(block.members[member]);
    kernels::coordinate_mean(mean_, selected, block.base, out);
  }

 private:
  std::size_t members_;
  std::size_t f_;
  kernels::CoordinateMean mean_;
  std::vector<std::size_t> selected_;
  bool solved_ = false;
};

class Bulyan final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "bulyan",
        .summary =
            "Members selected by repeated Krum, then the mean of the values nearest to their"
            " median, element by element.",
        .source =
            "El Mhamdi et al. 2018, The Hidden Vulnerability of Distributed Learning in"
            " Byzantium (arXiv 1802.07927)",
        .base = BaseUse::optional,
        .min_members = 3,
        .parameters = {fault_parameter(), robust_scope_parameter()},
        .robust = true,
    };
    return kInfo;
  }
  Scope scope(const Parameters& parameters) const override { return robust_scope(parameters); }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"reduce: distances of all pairs", "apply: mean around the median of the selected"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    return std::make_unique<BulyanMerge>(unit.member_count, fault_count(unit, "bulyan", 4, 3));
  }
};

}  // namespace

const MergeRule& bulyan() {
  static const Bulyan kRule;
  return kRule;
}

}  // namespace amalgam::rules
