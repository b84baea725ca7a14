#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "amalgam/weights/rules/magprune.hpp"
#include "amalgam/weights/rules/random_mask.hpp"
#include "amalgam/weights/rules/selection.hpp"
#include "amalgam/weights/rules/task_vector.hpp"
#include "amalgam/weights/rules/typed.hpp"

namespace amalgam::rules {

/// A unit's merge by a method of the task-vector family. Passes, as far as the method and its
/// parameters need them: thresholds (see selection.hpp), norms for `rescale`, the balance of signs
/// for `zero_sign: majority`. What survives of a task vector is computed anew in each pass.
class TaskVectorMerge final : public TypedMerge<TaskVectorMerge> {
 public:
  TaskVectorMerge(const RuleInfo& info, const TaskVectorMethod& method, const MergeUnit& unit);

  bool needs_pass() const override { return phase() != Phase::apply; }
  std::unique_ptr<Statistic> make_statistic() const override;
  bool wants_block(std::size_t tensor, std::uint64_t first) const override;
  void solve(std::unique_ptr<Statistic> total) override;

  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const;

 private:
  class Norms;
  class Keys;
  class Signs;
  enum class Phase { select, norms, signs, apply };

  struct Member {
    double weight = 0;
    double density = 1;
    double epsilon = 0;
    double factor = 1;  // of `rescale`
    MaskStream stream;
    std::uint32_t last_word = 0;
  };
  struct Tensor {
    TaskVectorSettings settings;
    std::size_t row = 1;
    std::vector<Member> members;
    std::vector<double> weights;
    double divisor = 1;  // without an election
    std::size_t survivor_bytes = 0;
  };
  // Which answers of the selection bound a member's survivors: those in `lower` but not in `upper`.
  struct Bounds {
    std::optional<std::size_t> lower;
    std::optional<std::size_t> upper;
  };

  // How the survivors of one member in one block are found, and the memory of one thread.
  enum class Filter { all, nothing, range, stream, packed, flags };
  static constexpr std::uint32_t kSurvives = 0;
  static constexpr std::uint32_t kDropped = ~std::uint32_t{0};
  struct BlockMember {
    Filter filter = Filter::all;
    FloatKeyRange range;
    DoubleKeyRange wide_range;
    std::vector<std::uint32_t> flags;  // of the block: kSurvives or kDropped
    bool trim = false;                 // then by wide_range, or by flags where ties end here
    bool trim_flags = false;
  };
  struct Scratch {
    std::vector<BlockMember> members;
    std::vector<double> y;
    std::vector<const double*> pointers;
    std::vector<std::uint32_t> words;
    std::vector<double> values;
    std::vector<double> zeros;
    std::vector<std::uint32_t> narrow_keys;
    std::vector<std::uint64_t> wide_keys;
    RankScratch rank;
  };
  static Scratch& thread_scratch();

  void plan_selection(const MergeUnit& unit);
  void plan_survivors(const MergeUnit& unit);
  bool keeps_survivors(std::size_t tensor) const;
  /// Where the packed survivors of a member in a tensor are; null if they are not kept.
  std::uint8_t* survivors(std::size_t tensor, std::size_t member) const;
  /// Whether they are there for blocks of T.
  template <class T>
  bool survivors_known(std::size_t tensor, std::size_t member) const {
    return std::is_same_v<T, float> && !norms_pending_ && survivors(tensor, member) != nullptr;
  }
  void check_uniform(const MergeUnit& unit) const;
  Phase phase() const;

  template <class T>
  void prepare(const Block<T>& block, bool with_trim, Scratch& scratch) const;
  template <class T>
  void prepare_cut(const Block<T>& block, std::size_t member, BlockMember& filter) const;
  template <class T>
  void prepare_trim(const Block<T>& block, std::size_t member, Scratch& scratch) const;
  template <class T>
  void prepare_magprune(const Block<T>& block, std::size_t member, Scratch& scratch) const;
  // The weighted survivors of a tile, of one member and of all (`scratch.pointers`).
  template <class T>
  void weigh_member(const Block<T>& block, std::size_t member, std::size_t offset,
                    std::size_t count, double factor, double weight, Scratch& scratch,
                    double* y) const;
  template <class T>
  void weigh_all(const Block<T>& block, std::size_t offset, std::size_t count,
                 Scratch& scratch) const;
  std::size_t tile_size() const;

  const RuleInfo* info_;
  TaskVectorMethod method_;
  std::vector<Tensor> tensors_;
  std::vector<std::size_t> storage_;  // see storage_tensors
  std::vector<Bounds> bounds_;        // per member
  std::unique_ptr<Selection> selection_;
  // The survivors of random drops that the pass for norms found, so that later passes need not draw
  // or rank them again: where there is memory for it, and each block writes its own part.
  std::unique_ptr<std::uint8_t[]> survivors_;
  std::vector<std::size_t> survivors_of_;  // offset of each tensor's first member; or none
  bool norms_pending_ = false;
  bool signs_pending_ = false;
  bool zero_is_plus_ = true;
};

}  // namespace amalgam::rules
