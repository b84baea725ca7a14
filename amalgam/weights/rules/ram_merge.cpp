#include <algorithm>

#include "amalgam/weights/rules/difference_tile.hpp"
#include "amalgam/weights/rules/elementwise_kernels.hpp"
#include "amalgam/weights/rules/ram.hpp"
#include "amalgam/weights/rules/typed.hpp"

namespace amalgam::rules {
namespace {

DifferenceTile& thread_tile() {
  thread_local DifferenceTile tile;
  return tile;
}

class RamMerge final : public TypedMerge<RamMerge> {
 public:
  RamMerge(const MergeUnit& unit, bool plus) : counting_(plus) {
    for (const TensorView& view : unit.tensors) {
      Tensor tensor;
      tensor.epsilon = view.rule.number("epsilon");
      if (plus) {
        tensor.r = view.rule.number("r");
        tensor.alpha = view.rule.number("alpha");
      }
      tensor.scales.assign(unit.member_count, 1.0);
      tensors_.push_back(std::move(tensor));
    }
  }

  bool needs_pass() const override { return counting_; }
  std::unique_ptr<Statistic> make_statistic() const override {
    return std::make_unique<Counts>(*this);
  }

  void solve(std::unique_ptr<Statistic> total) override {
    counting_ = false;
    if (!total) return;
    const Counts& counts = static_cast<const Counts&>(*total);
    // RAM+ decides tensor by tensor ("tl"), so the unit is one tensor.
    Tensor& tensor = tensors_[0];
    for (std::size_t m = 0; m < tensor.scales.size(); ++m) {
      const double ratio = static_cast<double>(counts.shared[m]) /
                           std::max(static_cast<double>(counts.unique[m]), tensor.epsilon);
      tensor.scales[m] = 1.0 + tensor.r * std::clamp(ratio, 0.0, tensor.alpha);
    }
  }

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    const Tensor& tensor = tensors_[block.tensor];
    const std::size_t tile = DifferenceTile::size(block.members.size());
    for (std::size_t offset = 0; offset < block.count; offset += tile) {
      const std::size_t count = std::min(tile, block.count - offset);
      ram_tile(thread_tile().load(block, offset, count), tensor.scales, tensor.epsilon,
               block.base + offset, count, out.data() + offset);
    }
  }

 private:
  struct Tensor {
    double epsilon = 0;
    double r = 0;
    double alpha = 0;
    std::vector<double> scales;
  };

  struct Counts final : TypedStatistic<Counts> {
    explicit Counts(const RamMerge& owner)
        : merge(owner),
          unique(owner.tensors_[0].scales.size()),
          shared(owner.tensors_[0].scales.size()) {}

    template <class T>
    void absorb_block(const Block<T>& block) {
      const std::size_t tile = DifferenceTile::size(block.members.size());
      for (std::size_t offset = 0; offset < block.count; offset += tile) {
        const std::size_t count = std::min(tile, block.count - offset);
        ram_count(thread_tile().load(block, offset, count), merge.tensors_[0].epsilon, count,
                  unique, shared);
      }
    }
    void combine_with(const Counts& right) {
      for (std::size_t m = 0; m < unique.size(); ++m) {
        unique[m] += right.unique[m];
        shared[m] += right.shared[m];
      }
    }

    const RamMerge& merge;
    std::vector<std::uint64_t> unique;
    std::vector<std::uint64_t> shared;
  };

  std::vector<Tensor> tensors_;
  bool counting_;
};

}  // namespace

std::unique_ptr<UnitMerge> begin_ram(const MergeUnit& unit, bool plus) {
  return std::make_unique<RamMerge>(unit, plus);
}

}  // namespace amalgam::rules
