// The passes of a task-vector merge: norms, keys of the selection, the balance of signs.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "amalgam/weights/rules/selection_kernels.hpp"
#include "amalgam/weights/rules/task_vector_merge.hpp"
#include "amalgam/weights/sent_statistic.hpp"

namespace amalgam::rules {

// Norms of the task vectors before and after they are made sparse, for each tensor and member.
class TaskVectorMerge::Norms final : public TypedStatistic<Norms>, public SentStatistic {
 public:
  explicit Norms(const TaskVectorMerge& merge) : merge_(merge) {}

  template <class T>
  void absorb_block(const Block<T>& block) {
    if (sums_.empty() || sums_.back().tensor != block.tensor) {
      sums_.push_back({.tensor = block.tensor, .members = {}});
      sums_.back().members.resize(block.members.size());
    }
    const Rescale norm = merge_.tensors_[block.tensor].settings.rescale;
    Scratch& scratch = thread_scratch();
    merge_.prepare(block, /*with_trim=*/false, scratch);
    for (std::size_t m = 0; m < block.members.size(); ++m) {
      Pair& sum = sums_.back().members[m];
      const Filter filter = scratch.members[m].filter;
      const bool masked =
          norm == Rescale::l1 && (filter == Filter::stream || filter == Filter::flags);
      const Pair add =
          masked ? masked_absolute(block, m, scratch) : general(block, m, norm, scratch);
      if (norm == Rescale::linf) {
        sum = {std::max(sum.before, add.before), std::max(sum.after, add.after)};
      } else {
        sum = {sum.before + add.before, sum.after + add.after};
      }
    }
  }

  void combine_with(Norms& right) {
    for (PerTensor& entry : right.sums_) {
      if (sums_.empty() || sums_.back().tensor != entry.tensor) {
        sums_.push_back(std::move(entry));
        continue;
      }
      const bool largest = merge_.tensors_[entry.tensor].settings.rescale == Rescale::linf;
      for (std::size_t m = 0; m < entry.members.size(); ++m) {
        Pair& sum = sums_.back().members[m];
        const Pair& add = entry.members[m];
        sum = largest ? Pair{std::max(sum.before, add.before), std::max(sum.after, add.after)}
                      : Pair{sum.before + add.before, sum.after + add.after};
      }
    }
  }

  void archive(StateArchive& archive) override {
    archive.each(sums_, [&](PerTensor& entry) {
      archive(entry.tensor);
      archive(entry.members);
    });
  }

  // Sets the factors that restore the norms; a norm that is almost nothing, or not finite, restores
  // nothing.
  void solve(std::vector<Tensor>& tensors) const {
    constexpr double kLeastNorm = 1e-7;
    for (const PerTensor& entry : sums_) {
      Tensor& tensor = tensors[entry.tensor];
      for (std::size_t m = 0; m < entry.members.size(); ++m) {
        Pair norm = entry.members[m];
        if (tensor.settings.rescale == Rescale::l2) {
          norm = {std::sqrt(norm.before), std::sqrt(norm.after)};
        }
        const bool is_finite = std::isfinite(norm.before) && std::isfinite(norm.after);
        if (!is_finite || norm.before < kLeastNorm || norm.after < kLeastNorm) continue;
        tensor.members[m].factor = norm.before / norm.after;
      }
    }
  }

 private:
  struct Pair {
    double before = 0;
    double after = 0;
  };
  struct PerTensor {
    std::size_t tensor = 0;
    std::vector<Pair> members;
  };

  template <class T>
  Pair masked_absolute(const Block<T>& block, std::size_t m, Scratch& scratch) const {
    const Member& member = merge_.tensors_[block.tensor].members[m];
    const BlockMember& filter = scratch.members[m];
    scratch.words.resize(kTile);
    LaneSums all;
    LaneSums kept;
    for (std::size_t offset = 0; offset < block.count; offset += kTile) {
      const std::size_t count = std::min(kTile, block.count - offset);
      if (filter.filter == Filter::flags) {
        add_absolute_words(std::span(block.members[m] + offset, count), block.base + offset,
                           filter.flags.data() + offset, kSurvives, all, kept);
        continue;
      }
      random_words(member.stream, block.first + offset, std::span(scratch.words).first(count));
      add_absolute_words(std::span(block.members[m] + offset, count), block.base + offset,
                         scratch.words.data(), member.last_word, all, kept);
      if (std::uint8_t* packed = merge_.survivors(block.tensor, m); packed != nullptr) {
        pack_survivors(std::span(scratch.words).first(count), member.last_word,
                       static_cast<std::size_t>(block.first) + offset, packed);
      }
    }
    return {all.total(), kept.total()};
  }

  template <class T>
  Pair general(const Block<T>& block, std::size_t m, Rescale norm, Scratch& scratch) const {
    scratch.values.resize(kTile);
    const std::span<double> values(scratch.values);
    Pair result;
    for (const bool after : {false, true}) {
      LaneSums sums;
      double largest = 0;
      for (std::size_t offset = 0; offset < block.count; offset += kTile) {
        const std::size_t count = std::min(kTile, block.count - offset);
        if (after) {
          merge_.weigh_member(block, m, offset, count, 1.0, 1.0, scratch, values.data());
        } else {
          weigh(std::span(block.members[m] + offset, count), block.base + offset, 1.0, 1.0,
                values.data());
        }
        const std::span<const double> tile = values.first(count);
        if (norm == Rescale::linf) largest = std::max(largest, largest_absolute(tile));
        if (norm == Rescale::l1) add_absolute(tile, sums);
        if (norm == Rescale::l2) add_squares(tile, sums);
      }
      (after ? result.after : result.before) = norm == Rescale::linf ? largest : sums.total();
    }
    return result;
  }

  const TaskVectorMerge& merge_;
  std::vector<PerTensor> sums_;
};

// A pass of the selection over the magnitudes of the members' task vectors: |d| itself, or |d|
// after the random drop and rescaling where that is what is trimmed.
class TaskVectorMerge::Keys final : public TypedStatistic<Keys>, public SentStatistic {
 public:
  explicit Keys(const TaskVectorMerge& merge)
      : merge_(merge), tally_(merge.selection_->make_tally()) {}

  template <class T>
  void absorb_block(const Block<T>& block) {
    if (!tally_.begin_block(block.tensor, block.first)) return;
    Scratch& scratch = thread_scratch();
    if (merge_.method_.trim) merge_.prepare(block, /*with_trim=*/false, scratch);
    for (std::size_t m = 0; m < block.members.size(); ++m) {
      if (!merge_.bounds_[m].lower && !merge_.bounds_[m].upper) continue;
      for (std::size_t offset = 0; offset < block.count; offset += kTile) {
        absorb_tile(block, m, offset, std::min(kTile, block.count - offset), scratch);
      }
    }
  }
  void combine_with(Keys& right) { tally_.combine(std::move(right.tally_)); }
  void archive(StateArchive& archive) override { tally_.archive(archive); }
  SelectionTally& tally() { return tally_; }

 private:
  template <class T>
  void absorb_tile(const Block<T>& block, std::size_t m, std::size_t offset, std::size_t count,
                   Scratch& scratch) {
    static_assert(kTile <= kKeyTile);
    const std::span<const T> x(block.members[m] + offset, count);
    if (merge_.method_.trim) {
      scratch.values.resize(kTile);
      scratch.wide_keys.resize(kTile);
      const double factor = merge_.tensors_[block.tensor].members[m].factor;
      merge_.weigh_member(block, m, offset, count, factor, 1.0, scratch, scratch.values.data());
      absolute_keys(std::span<const double>(scratch.values).first(count), scratch.wide_keys.data());
      tally_.absorb(m, std::span<const std::uint64_t>(scratch.wide_keys).first(count));
    } else if constexpr (std::is_same_v<T, float>) {
      scratch.narrow_keys.resize(kTile);
      magnitude_keys(x, block.base + offset, scratch.narrow_keys.data());
      tally_.absorb(m, std::span<const std::uint32_t>(scratch.narrow_keys).first(count));
    } else {
      scratch.wide_keys.resize(kTile);
      magnitude_keys(x, block.base + offset, scratch.wide_keys.data());
      tally_.absorb(m, std::span<const std::uint64_t>(scratch.wide_keys).first(count));
    }
  }

  const TaskVectorMerge& merge_;
  SelectionTally tally_;
};

// How many more elements elect plus than minus.
class TaskVectorMerge::Signs final : public TypedStatistic<Signs>, public SentStatistic {
 public:
  explicit Signs(const TaskVectorMerge& merge) : merge_(merge) {}

  template <class T>
  void absorb_block(const Block<T>& block) {
    Scratch& scratch = thread_scratch();
    merge_.prepare(block, /*with_trim=*/true, scratch);
    const Consensus::Elect elect = merge_.tensors_[block.tensor].settings.elect;
    const std::size_t tile = merge_.tile_size();
    for (std::size_t offset = 0; offset < block.count; offset += tile) {
      const std::size_t count = std::min(tile, block.count - offset);
      merge_.weigh_all(block, offset, count, scratch);
      balance_ += sign_balance(elect, scratch.pointers, count);
    }
  }
  void combine_with(const Signs& right) { balance_ += right.balance_; }
  void archive(StateArchive& archive) override { archive(balance_); }
  std::int64_t balance() const { return balance_; }

 private:
  const TaskVectorMerge& merge_;
  std::int64_t balance_ = 0;
};

std::unique_ptr<Statistic> TaskVectorMerge::make_statistic() const {
  switch (phase()) {
    case Phase::select:
      return std::make_unique<Keys>(*this);
    case Phase::norms:
      return std::make_unique<Norms>(*this);
    case Phase::signs:
      return std::make_unique<Signs>(*this);
    case Phase::apply:
      break;
  }
  return nullptr;
}

void TaskVectorMerge::solve(std::unique_ptr<Statistic> total) {
  switch (phase()) {
    case Phase::select:
      selection_->solve(total ? &static_cast<Keys&>(*total).tally() : nullptr);
      break;
    case Phase::norms:
      if (total) static_cast<Norms&>(*total).solve(tensors_);
      // Passes leave tied tensors out; they share the factors of what they are tied to.
      for (std::size_t t = 0; t < tensors_.size(); ++t) {
        for (std::size_t m = 0; m < tensors_[t].members.size(); ++m) {
          tensors_[t].members[m].factor = tensors_[storage_[t]].members[m].factor;
        }
      }
      norms_pending_ = false;
      break;
    case Phase::signs:
      if (total) zero_is_plus_ = static_cast<Signs&>(*total).balance() >= 0;
      signs_pending_ = false;
      break;
    case Phase::apply:
      break;
  }
}

}  // namespace amalgam::rules
