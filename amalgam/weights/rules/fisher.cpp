#include <atomic>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/weights/rules/fisher_kernels.hpp"
#include "amalgam/weights/rules/member_kernels.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/typed.hpp"
#include "amalgam/weights/sent_statistic.hpp"

namespace amalgam::rules {
namespace {

template <class T>
void require_fishers(const Block<T>& block, const std::string& tensor) {
  if (block.auxiliary.size() != block.members.size()) {
    throw InputError(
        "fisher: tensor '{}' has {} Fishers for {} members; expected parameter 'fisher'"
        " to name a file for each member",
        tensor, block.auxiliary.size(), block.members.size());
  }
  for (std::size_t i = 0; i < block.auxiliary.size(); ++i) {
    const std::span<const T> values(block.auxiliary[i], block.count);
    if (const auto found = kernels::find_no_fisher(values)) {
      throw InputError(
          "fisher: the Fisher of member {} for tensor '{}' is {} at index {}; expected a"
          " finite number >= 0",
          i + 1, tensor, values[*found], block.first + *found);
    }
  }
}

// The squared norm of every member's Fisher.
class FisherNorms final : public TypedStatistic<FisherNorms>, public SentStatistic {
 public:
  explicit FisherNorms(const MergeUnit& unit) : unit_(unit), squares_(unit.member_count) {}

  template <class T>
  void absorb_block(const Block<T>& block) {
    require_fishers(block, unit_.tensors[block.tensor].name);
    for (std::size_t i = 0; i < squares_.size(); ++i) {
      squares_[i] += kernels::sum_squares_about(std::span(block.auxiliary[i], block.count), 0.0);
    }
  }
  void combine_with(const FisherNorms& right) {
    for (std::size_t i = 0; i < squares_.size(); ++i) squares_[i] += right.squares_[i];
  }
  void archive(StateArchive& archive) override { archive(squares_); }
  std::span<const double> squares() const { return squares_; }

 private:
  const MergeUnit& unit_;
  std::vector<double> squares_;
};

class FisherMerge final : public TypedMerge<FisherMerge> {
 public:
  explicit FisherMerge(const MergeUnit& unit) : unit_(unit) {
    for (const TensorView& tensor : unit.tensors) {
      const bool normalize = tensor.rule.flag("normalize");
      if (normalize != unit.tensors.front().rule.flag("normalize")) {
        throw InputError(
            "fisher: parameter 'normalize' differs between tensors '{}' and '{}'; it"
            " belongs to whole models, give it one value",
            unit.tensors.front().name, tensor.name);
      }
      normalize_ = normalize;
      factors_.push_back(read_factors(tensor));
    }
  }
  FisherMerge(const FisherMerge&) = delete;
  FisherMerge& operator=(const FisherMerge&) = delete;
  ~FisherMerge() override {
    try {
      if (const std::uint64_t zeros = zeros_.load(); zeros > 0) {
        log::info("fisher: {} elements have no information from any member and are plain averages",
                  zeros);
      }
    } catch (const std::exception&) {
      return;  // without memory for a message; the merge is right without it
    }
  }

  bool needs_pass() const override { return normalize_ && !solved_; }
  std::unique_ptr<Statistic> make_statistic() const override {
    return std::make_unique<FisherNorms>(unit_);
  }
  void solve(std::unique_ptr<Statistic> total) override {
    solved_ = true;
    if (total == nullptr) return;
    const std::span<const double> squares = static_cast<FisherNorms&>(*total).squares();
    for (std::size_t i = 0; i < squares.size(); ++i) {
      if (squares[i] == 0.0) {
        throw InputError(
            "fisher: the Fisher of member {} is zero everywhere, so it cannot be"
            " normalised; expected one computed from at least one example",
            i + 1);
      }
      const double norm = std::sqrt(squares[i]);
      for (auto& factors : factors_) factors[i].coefficient /= norm;
    }
  }

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    require_fishers(block, unit_.tensors[block.tensor].name);
    const std::uint64_t zeros =
        kernels::fisher_average(block.members, block.auxiliary, factors_[block.tensor], out);
    if (zeros > 0) zeros_.fetch_add(zeros, std::memory_order_relaxed);
  }

 private:
  static std::vector<kernels::FisherFactors> read_factors(const TensorView& tensor) {
    std::vector<kernels::FisherFactors> factors;
    double sum = 0;
    for (const Parameters& member : tensor.members) {
      const double weight = member.number("weight");
      // Without favor_target every member is raised to the floor, with it the target alone.
      const bool floored = factors.empty() || !tensor.rule.flag("favor_target");
      factors.push_back({.coefficient = weight,
                         .floor = floored ? tensor.rule.number("floor") : 0.0,
                         .weight = weight});
      sum += weight;
    }
    if (sum == 0.0) {
      throw InputError("fisher: the weights of tensor '{}' are all zero; expected a positive sum",
                       tensor.name);
    }
    return factors;
  }

  const MergeUnit& unit_;
  std::vector<std::vector<kernels::FisherFactors>> factors_;  // [tensor][member]
  bool normalize_ = false;
  bool solved_ = false;
  mutable std::atomic<std::uint64_t> zeros_{0};
};

class Fisher final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "fisher",
        .summary =
            "Average in which every parameter counts by how much its model's predictions"
            " depend on it.",
        .source =
            "Matena and Raffel 2022, Merging Models with Fisher-Weighted Averaging (arXiv"
            " 2111.09832), eq. 1",
        .base = BaseUse::ignored,
        .min_members = 1,
        .parameters =
            {{.name = "fisher",
              .kind = ParameterInfo::Kind::path,
              .doc = "Diagonal Fisher of the member: a checkpoint with the same names and shapes.",
              .per_member = true},
             {.name = "weight",
              .doc = "Weight of the member (lambda).",
              .default_value = 1.0,
              .per_member = true,
              .low = 0},
             {.name = "normalize",
              .kind = ParameterInfo::Kind::flag,
              .doc = "Divide each Fisher by its norm over the whole model.",
              .default_value = true},
             {.name = "favor_target",
              .kind = ParameterInfo::Kind::flag,
              .doc = "Raise only the target's Fisher to the floor (the base if one is named, else "
                     "the first model), so that it wins where no"
                     " model has information; else all.",
              .default_value = true},
             {.name = "floor",
              .doc = "Smallest Fisher, before normalisation.",
              .default_value = 1e-6,
              .low = 0}},
        .base_comes_first = true,
    };
    return kInfo;
  }
  Scope scope(const Parameters& parameters) const override {
    return parameters.flag("normalize") ? Scope::model : Scope::element;
  }
  std::vector<std::string> passes(const Parameters& parameters) const override {
    if (!parameters.flag("normalize")) return {"apply: weighted average"};
    return {"reduce: norms of the Fishers", "apply: weighted average"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    return std::make_unique<FisherMerge>(unit);
  }
};

}  // namespace

const MergeRule& fisher() {
  static const Fisher kRule;
  return kRule;
}

}  // namespace amalgam::rules
