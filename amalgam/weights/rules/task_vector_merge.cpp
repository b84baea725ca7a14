#include "amalgam/weights/rules/task_vector_merge.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/rules/difference_tile.hpp"
#include "amalgam/weights/rules/selection_kernels.hpp"

namespace amalgam::rules {
namespace {

constexpr std::uint32_t kSurvives = 0;
constexpr std::uint32_t kDropped = ~std::uint32_t{0};
constexpr std::size_t kNotKept = ~std::size_t{0};

// The keys k > bound are those of the k-th largest and above it (`ties`), or only those above.
std::int32_t float_bound(const Cut& cut, bool ties) {
  if (cut.key == Cut::kNone) return std::numeric_limits<std::int32_t>::max();
  return static_cast<std::int32_t>(float_key_at_least(ties ? cut.key : cut.key + 1) - 1U);
}
std::int64_t double_bound(const Cut& cut, bool ties) {
  if (cut.key == Cut::kNone) return std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(cut.key) - (ties ? 1 : 0);
}

std::uint64_t key_of(double value) {
  return std::bit_cast<std::uint64_t>(value) & ~(std::uint64_t{1} << 63);
}

// Tells, for the elements of a block in order, which belong to a cut whose ties may end in it.
class CutMembership {
 public:
  CutMembership(const Cut& cut, const BlockPlace& place)
      : key_(cut.key), ties_(cut.ties_of(place)) {}
  bool operator()(std::uint64_t key) {
    if (key != key_) return key > key_ && key_ != Cut::kNone;
    return ties_ > 0 && ties_-- > 0;
  }

 private:
  std::uint64_t key_;
  std::uint64_t ties_;
};

bool ties_end_at(const Cut& cut, const BlockPlace& place) {
  return !cut.all_ties && place == cut.tie_block;
}

std::uint64_t kept_count(double share, std::uint64_t elements, bool round_half_even) {
  const double exact = share * static_cast<double>(elements);
  const double count = round_half_even ? std::nearbyint(exact) : std::floor(exact);
  return std::clamp<std::uint64_t>(static_cast<std::uint64_t>(count), 1, elements);
}

}  // namespace

// Norms of the task vectors before and after they are made sparse, for each tensor and member.
class TaskVectorMerge::Norms final : public TypedStatistic<Norms> {
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
      const Pair add = norm == Rescale::l1 && scratch.members[m].filter == Filter::stream
                           ? masked_absolute(block, m, scratch)
                           : general(block, m, norm, scratch);
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
    scratch.words.resize(kTile);
    LaneSums all;
    LaneSums kept;
    for (std::size_t offset = 0; offset < block.count; offset += kTile) {
      const std::size_t count = std::min(kTile, block.count - offset);
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
class TaskVectorMerge::Keys final : public TypedStatistic<Keys> {
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
class TaskVectorMerge::Signs final : public TypedStatistic<Signs> {
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
  std::int64_t balance() const { return balance_; }

 private:
  const TaskVectorMerge& merge_;
  std::int64_t balance_ = 0;
};

TaskVectorMerge::Scratch& TaskVectorMerge::thread_scratch() {
  thread_local Scratch scratch;
  return scratch;
}

TaskVectorMerge::TaskVectorMerge(const RuleInfo& info, const TaskVectorMethod& method,
                                 const MergeUnit& unit)
    : info_(&info), method_(method), storage_(storage_tensors(unit)), bounds_(unit.member_count) {
  const bool random = method.sparsify == Sparsify::random || method.sparsify == Sparsify::magprune;
  for (const TensorView& view : unit.tensors) {
    Tensor tensor;
    tensor.settings = task_vector_settings(info, method, view.rule);
    tensor.row = static_cast<std::size_t>(std::max<std::uint64_t>(1, row_length(view.shape)));
    double sum = 0;
    for (std::size_t m = 0; m < view.members.size(); ++m) {
      const Parameters& parameters = view.members[m];
      Member member;
      member.weight = parameters.number("weight");
      if (method.sparsify != Sparsify::none) member.density = parameters.number("density");
      if (method.sparsify == Sparsify::magprune) {
        member.epsilon = parameters.number("epsilon");
        const double density = member.density;
        if (density > 0 && density < 1 &&
            (density - member.epsilon <= 0 || density + member.epsilon >= 1)) {
          throw InputError(
              "{}: density {} and epsilon {} of member {} of tensor '{}' do not fit; expected "
              "density - epsilon above 0 and density + epsilon below 1",
              info.name, density, member.epsilon, m + 1, view.name);
        }
      }
      if (tensor.settings.rescale == Rescale::inverse_density && member.density > 0) {
        member.factor = 1 / member.density;
      }
      if (random) {
        member.stream = mask_stream(view.name, unit.seed, m);
        if (member.density > 0) member.last_word = last_kept_word(member.density);
      }
      sum += member.weight;
      tensor.weights.push_back(member.weight);
      tensor.members.push_back(member);
    }
    if (tensor.settings.merge == Consensus::Merge::mean && std::abs(sum) >= 1e-8) {
      tensor.divisor = sum;
    }
    const Rescale rescale = tensor.settings.rescale;
    norms_pending_ |= rescale == Rescale::l1 || rescale == Rescale::l2 || rescale == Rescale::linf;
    signs_pending_ |= tensor.settings.majority;
    tensors_.push_back(std::move(tensor));
  }
  if (tensors_.empty()) return;
  check_uniform(unit);
  plan_selection(unit);
  plan_survivors(unit);
}

// What is decided for a unit as a whole cannot differ between its tensors.
void TaskVectorMerge::check_uniform(const MergeUnit& unit) const {
  for (std::size_t t = 1; t < tensors_.size(); ++t) {
    const auto require = [&](double found, double expected, std::string_view name,
                             std::optional<std::size_t> member) {
      if (found == expected) return;
      throw InputError(
          "{}: with scope: model, '{}'{} must be the same for every tensor, but is {} for '{}' and "
          "{} for '{}'",
          info_->name, name, member ? fmt::format(" of member {}", *member + 1) : "", expected,
          unit.tensors[0].name, found, unit.tensors[t].name);
    };
    const TaskVectorSettings& settings = tensors_[t].settings;
    const TaskVectorSettings& first = tensors_[0].settings;
    require(settings.round_half_even, first.round_half_even, "kept", {});
    require(settings.majority, first.majority, "zero_sign", {});
    require(settings.trim_density, first.trim_density, "trim_density", {});
    if (method_.sparsify != Sparsify::magnitude && method_.sparsify != Sparsify::outliers) continue;
    for (std::size_t m = 0; m < tensors_[t].members.size(); ++m) {
      require(tensors_[t].members[m].density, tensors_[0].members[m].density, "density", m);
      if (method_.sparsify == Sparsify::outliers) {
        require(unit.tensors[t].members[m].number("gamma"),
                unit.tensors[0].members[m].number("gamma"), "gamma", m);
      }
    }
  }
}

void TaskVectorMerge::plan_selection(const MergeUnit& unit) {
  std::uint64_t elements = 0;
  for (const TensorView& view : unit.tensors) elements += view.tied ? 0 : view.elements;
  if (elements == 0) return;
  const TaskVectorSettings& settings = tensors_[0].settings;
  std::vector<RankTarget> targets;
  for (std::size_t m = 0; m < unit.member_count; ++m) {
    const auto add = [&](std::uint64_t rank) {
      targets.push_back({.source = m, .rank = rank});
      return targets.size() - 1;
    };
    const double density = tensors_[0].members[m].density;
    if (method_.sparsify == Sparsify::magnitude || settings.trim_density < 1) {
      const double share =
          method_.sparsify == Sparsify::magnitude ? density : settings.trim_density;
      const std::uint64_t kept = kept_count(share, elements, settings.round_half_even);
      if (share < 1 && kept < elements) bounds_[m].lower = add(kept);
    } else if (method_.sparsify == Sparsify::outliers) {
      const std::uint64_t kept = kept_count(density, elements, settings.round_half_even);
      const double gamma = unit.tensors[0].members[m].number("gamma");
      const auto share = static_cast<std::uint64_t>(gamma * static_cast<double>(elements));
      const std::uint64_t top = std::min(share, elements - kept);
      if (top + kept < elements) bounds_[m].lower = add(top + kept);
      if (top > 0) bounds_[m].upper = add(top);
    }
  }
  if (targets.empty()) return;
  selection_ =
      std::make_unique<Selection>(unit, unit.member_count, std::move(targets),
                                  selection_limits(unit.statistics_memory, unit.member_count));
}

void TaskVectorMerge::plan_survivors(const MergeUnit& unit) {
  if (method_.sparsify != Sparsify::random) return;
  std::size_t bytes = 0;
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    const bool drawn_for_norms = tensors_[t].settings.rescale == Rescale::l1 && storage_[t] == t;
    survivors_of_.push_back(drawn_for_norms ? bytes : kNotKept);
    if (!drawn_for_norms) continue;
    const std::uint64_t limit = unit.statistics_memory / 2;
    if (unit.tensors[t].elements > 8 * limit) return survivors_of_.clear();
    bytes += survivor_bytes(static_cast<std::size_t>(unit.tensors[t].elements)) * unit.member_count;
    if (bytes > limit) return survivors_of_.clear();
  }
  if (bytes > 0) survivors_ = std::make_unique_for_overwrite<std::uint8_t[]>(bytes);
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    tensors_[t].survivor_bytes = survivor_bytes(static_cast<std::size_t>(unit.tensors[t].elements));
  }
}

std::uint8_t* TaskVectorMerge::survivors(std::size_t tensor, std::size_t member) const {
  if (!survivors_ || survivors_of_[tensor] == kNotKept) return nullptr;
  return survivors_.get() + survivors_of_[tensor] + member * tensors_[tensor].survivor_bytes;
}

TaskVectorMerge::Phase TaskVectorMerge::phase() const {
  const bool select = selection_ && !selection_->done();
  // A trim comes after the random drop and its rescaling; other norms are those of what was
  // selected.
  if (select && !(norms_pending_ && method_.trim)) return Phase::select;
  if (norms_pending_) return Phase::norms;
  if (signs_pending_) return Phase::signs;
  return Phase::apply;
}

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

bool TaskVectorMerge::wants_block(std::size_t tensor, std::uint64_t first) const {
  return phase() != Phase::select || selection_->wants_block(tensor, first);
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

template <class T>
void TaskVectorMerge::prepare(const Block<T>& block, bool with_trim, Scratch& scratch) const {
  const Tensor& tensor = tensors_[block.tensor];
  scratch.members.resize(std::max(scratch.members.size(), tensor.members.size()));
  for (std::size_t m = 0; m < tensor.members.size(); ++m) {
    BlockMember& filter = scratch.members[m];
    const double density = tensor.members[m].density;
    filter.filter = Filter::all;
    filter.trim = false;
    switch (method_.sparsify) {
      case Sparsify::none:
        break;
      case Sparsify::magnitude:
      case Sparsify::outliers:
        prepare_cut(block, m, filter);
        break;
      case Sparsify::random:
        if (density < 1) {
          const bool drawn =
              std::is_same_v<T, float> && !norms_pending_ && survivors(block.tensor, m) != nullptr;
          filter.filter = drawn ? Filter::packed : Filter::stream;
        }
        if (with_trim && bounds_[m].lower) prepare_trim(block, m, scratch);
        break;
      case Sparsify::magprune:
        if (density <= 0) {
          filter.filter = Filter::nothing;
        } else if (density < 1) {
          prepare_magprune(block, m, scratch);
        }
        break;
    }
  }
}

template <class T>
void TaskVectorMerge::prepare_cut(const Block<T>& block, std::size_t m, BlockMember& filter) const {
  const auto cut_of = [&](const std::optional<std::size_t>& bound) {
    return bound ? &selection_->cut(*bound) : nullptr;
  };
  const Cut* lower = cut_of(bounds_[m].lower);
  const Cut* upper = cut_of(bounds_[m].upper);
  if (lower == nullptr && upper == nullptr) return;
  const BlockPlace place = selection_->place_of(block.tensor, block.first);
  if ((lower != nullptr && ties_end_at(*lower, place)) ||
      (upper != nullptr && ties_end_at(*upper, place))) {
    filter.filter = Filter::flags;
    filter.flags.resize(block.count);
    const Cut everything{.key = 0, .all_ties = true, .tie_block = {}};
    const Cut nothing{.key = Cut::kNone, .all_ties = true, .tie_block = {}};
    CutMembership in_lower(lower != nullptr ? *lower : everything, place);
    CutMembership in_upper(upper != nullptr ? *upper : nothing, place);
    for (std::size_t i = 0; i < block.count; ++i) {
      const std::uint64_t key = key_of(static_cast<double>(block.members[m][i] - block.base[i]));
      const bool low = in_lower(key);
      const bool high = in_upper(key);
      filter.flags[i] = low && !high ? kSurvives : kDropped;
    }
    return;
  }
  filter.filter = Filter::range;
  const bool lower_ties = lower != nullptr && lower->ties_of(place) > 0;
  const bool upper_ties = upper != nullptr && upper->ties_of(place) > 0;
  if constexpr (std::is_same_v<T, float>) {
    filter.range.low = lower != nullptr ? float_bound(*lower, lower_ties) : -1;
    filter.range.high = upper != nullptr ? float_bound(*upper, upper_ties)
                                         : std::numeric_limits<std::int32_t>::max();
  } else {
    filter.wide_range.low = lower != nullptr ? double_bound(*lower, lower_ties) : -1;
    filter.wide_range.high = upper != nullptr ? double_bound(*upper, upper_ties)
                                              : std::numeric_limits<std::int64_t>::max();
  }
}

template <class T>
void TaskVectorMerge::prepare_trim(const Block<T>& block, std::size_t m, Scratch& scratch) const {
  BlockMember& filter = scratch.members[m];
  const std::optional<std::size_t> bound = bounds_[m].lower;
  if (!bound) return;
  const Cut& cut = selection_->cut(*bound);
  const BlockPlace place = selection_->place_of(block.tensor, block.first);
  scratch.zeros.resize(kTile);
  scratch.values.resize(kTile);
  if (!ties_end_at(cut, place)) {
    filter.trim = true;
    filter.trim_flags = false;
    filter.wide_range = {.low = double_bound(cut, cut.ties_of(place) > 0),
                         .high = std::numeric_limits<std::int64_t>::max()};
    return;
  }
  filter.flags.resize(block.count);
  CutMembership belongs(cut, place);
  const double factor = tensors_[block.tensor].members[m].factor;
  for (std::size_t offset = 0; offset < block.count; offset += kTile) {
    const std::size_t count = std::min(kTile, block.count - offset);
    weigh_member(block, m, offset, count, factor, 1.0, scratch, scratch.values.data());
    for (std::size_t i = 0; i < count; ++i) {
      filter.flags[offset + i] = belongs(key_of(scratch.values[i])) ? kSurvives : kDropped;
    }
  }
  filter.trim = true;
  filter.trim_flags = true;
}

template <class T>
void TaskVectorMerge::prepare_magprune(const Block<T>& block, std::size_t m,
                                       Scratch& scratch) const {
  const Tensor& tensor = tensors_[block.tensor];
  const Member& member = tensor.members[m];
  BlockMember& filter = scratch.members[m];
  filter.filter = Filter::flags;
  filter.flags.resize(block.count);
  random_words(member.stream, block.first, filter.flags);
  const auto prune = [&](auto& keys) {
    keys.resize(std::max(keys.size(), block.count));
    magnitude_keys(std::span(block.members[m], block.count), block.base, keys.data());
    magprune(std::span<const typename std::remove_reference_t<decltype(keys)>::value_type>(
                 keys.data(), block.count),
             tensor.row, member.density, member.epsilon, filter.flags, scratch.rank);
  };
  if constexpr (std::is_same_v<T, float>) {
    prune(scratch.narrow_keys);
  } else {
    prune(scratch.wide_keys);
  }
}

template <class T>
void TaskVectorMerge::weigh_member(const Block<T>& block, std::size_t m, std::size_t offset,
                                   std::size_t count, double factor, double weight,
                                   Scratch& scratch, double* y) const {
  const BlockMember& filter = scratch.members[m];
  const Member& member = tensors_[block.tensor].members[m];
  const std::span<const T> x(block.members[m] + offset, count);
  const T* base = block.base + offset;
  // What a trim looks at has the factor but not yet the weight.
  double* to = filter.trim ? scratch.values.data() : y;
  const double first_weight = filter.trim ? 1.0 : weight;
  switch (filter.filter) {
    case Filter::all:
      weigh(x, base, factor, first_weight, to);
      break;
    case Filter::nothing:
      std::fill_n(to, count, 0.0);
      break;
    case Filter::range:
      if constexpr (std::is_same_v<T, float>) {
        weigh_range(x, base, filter.range, factor, first_weight, to);
      } else {
        weigh_range(x, base, filter.wide_range, factor, first_weight, to);
      }
      break;
    case Filter::stream:
      scratch.words.resize(std::max(scratch.words.size(), kTile));
      random_words(member.stream, block.first + offset, std::span(scratch.words).first(count));
      weigh_words(x, base, scratch.words.data(), member.last_word, factor, first_weight, to);
      break;
    case Filter::packed:
      if constexpr (std::is_same_v<T, float>) {
        weigh_bits(x, base, survivors(block.tensor, m),
                   static_cast<std::size_t>(block.first) + offset, factor, first_weight, to);
      }
      break;
    case Filter::flags:
      weigh_words(x, base, filter.flags.data() + offset, kSurvives, factor, first_weight, to);
      break;
  }
  if (!filter.trim) return;
  const std::span<const double> values = std::span<const double>(scratch.values).first(count);
  if (filter.trim_flags) {
    weigh_words(values, scratch.zeros.data(), filter.flags.data() + offset, kSurvives, 1.0, weight,
                y);
  } else {
    weigh_range(values, scratch.zeros.data(), filter.wide_range, 1.0, weight, y);
  }
}

// Small enough that the weighted task vectors of all members stay in the first-level cache.
std::size_t TaskVectorMerge::tile_size() const {
  return DifferenceTile::size(tensors_[0].members.size());
}

template <class T>
void TaskVectorMerge::weigh_all(const Block<T>& block, std::size_t offset, std::size_t count,
                                Scratch& scratch) const {
  const Tensor& tensor = tensors_[block.tensor];
  scratch.y.resize(std::max(scratch.y.size(), tensor.members.size() * kTile));
  scratch.pointers.resize(tensor.members.size());
  for (std::size_t m = 0; m < tensor.members.size(); ++m) {
    const Member& member = tensor.members[m];
    double* y = scratch.y.data() + m * tile_size();
    scratch.pointers[m] = y;
    weigh_member(block, m, offset, count, member.factor, member.weight, scratch, y);
  }
}

template <class T>
void TaskVectorMerge::apply_block(const Block<T>& block, std::span<double> out) const {
  const Tensor& tensor = tensors_[block.tensor];
  if (method_.sparsify == Sparsify::none && tensor.settings.elect == Consensus::Elect::none) {
    merge_differences(block.members, 0, tensor.weights, tensor.divisor, tensor.settings.lambda,
                      block.base, block.count, out.data());
    return;
  }
  const Consensus consensus{.elect = tensor.settings.elect,
                            .merge = tensor.settings.merge,
                            .zero_is_plus = zero_is_plus_,
                            .divisor = tensor.divisor,
                            .lambda = tensor.settings.lambda};
  Scratch& scratch = thread_scratch();
  prepare(block, /*with_trim=*/true, scratch);
  const std::size_t tile = tile_size();
  for (std::size_t offset = 0; offset < block.count; offset += tile) {
    const std::size_t count = std::min(tile, block.count - offset);
    weigh_all(block, offset, count, scratch);
    merge_tile(consensus, scratch.pointers, tensor.weights, block.base + offset, count,
               out.data() + offset);
  }
}

template void TaskVectorMerge::apply_block(const Block<float>&, std::span<double>) const;
template void TaskVectorMerge::apply_block(const Block<double>&, std::span<double>) const;

}  // namespace amalgam::rules
