// What survives of a task vector, block by block, and its weighted values.
#include <algorithm>
#include <bit>
#include <limits>
#include <type_traits>

#include "amalgam/weights/rules/difference_tile.hpp"
#include "amalgam/weights/rules/selection_kernels.hpp"
#include "amalgam/weights/rules/task_vector_merge.hpp"

namespace amalgam::rules {
namespace {

std::uint64_t key_of(double value) {
  return std::bit_cast<std::uint64_t>(value) & ~(std::uint64_t{1} << 63);
}

}  // namespace

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
          filter.filter = survivors_known<T>(block.tensor, m) ? Filter::packed : Filter::stream;
        }
        if (with_trim && bounds_[m].lower) prepare_trim(block, m, scratch);
        break;
      case Sparsify::magprune:
        if (density <= 0) {
          filter.filter = Filter::nothing;
        } else if (density < 1 && survivors_known<T>(block.tensor, m)) {
          filter.filter = Filter::packed;
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
  if ((lower != nullptr && lower->ties_end_at(place)) ||
      (upper != nullptr && upper->ties_end_at(place))) {
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
  if constexpr (std::is_same_v<T, float>) {
    filter.range.low = lower != nullptr ? lower->float_bound(place) : -1;
    filter.range.high =
        upper != nullptr ? upper->float_bound(place) : std::numeric_limits<std::int32_t>::max();
  } else {
    filter.wide_range.low = lower != nullptr ? lower->double_bound(place) : -1;
    filter.wide_range.high =
        upper != nullptr ? upper->double_bound(place) : std::numeric_limits<std::int64_t>::max();
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
  if (!cut.ties_end_at(place)) {
    filter.trim = true;
    filter.trim_flags = false;
    filter.wide_range = {.low = cut.double_bound(place),
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
    if (std::uint8_t* packed = survivors(block.tensor, m); packed != nullptr) {
      pack_survivors(filter.flags, kSurvives, static_cast<std::size_t>(block.first), packed);
    }
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

// The passes and the application are in files of their own.
template void TaskVectorMerge::prepare(const Block<float>&, bool, Scratch&) const;
template void TaskVectorMerge::prepare(const Block<double>&, bool, Scratch&) const;
template void TaskVectorMerge::weigh_member(const Block<float>&, std::size_t, std::size_t,
                                            std::size_t, double, double, Scratch&, double*) const;
template void TaskVectorMerge::weigh_member(const Block<double>&, std::size_t, std::size_t,
                                            std::size_t, double, double, Scratch&, double*) const;
template void TaskVectorMerge::weigh_all(const Block<float>&, std::size_t, std::size_t,
                                         Scratch&) const;
template void TaskVectorMerge::weigh_all(const Block<double>&, std::size_t, std::size_t,
                                         Scratch&) const;

}  // namespace amalgam::rules
