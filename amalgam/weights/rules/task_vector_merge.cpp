#include "amalgam/weights/rules/task_vector_merge.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"

namespace amalgam::rules {
namespace {

constexpr std::size_t kNotKept = ~std::size_t{0};

std::uint64_t kept_count(double share, std::uint64_t elements, bool round_half_even) {
  const double exact = share * static_cast<double>(elements);
  const double count = round_half_even ? std::nearbyint(exact) : std::floor(exact);
  return std::clamp<std::uint64_t>(static_cast<std::uint64_t>(count), 1, elements);
}

}  // namespace

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

// Random drops are found by the pass for norms: those of DARE if it draws them itself, DELLA's if
// no two blocks meet in a byte.
bool TaskVectorMerge::keeps_survivors(std::size_t tensor) const {
  constexpr std::size_t kPackedTogether = 64;
  const Rescale rescale = tensors_[tensor].settings.rescale;
  if (storage_[tensor] != tensor) return false;
  if (method_.sparsify == Sparsify::random) return rescale == Rescale::l1;
  return rescale != Rescale::none && rescale != Rescale::inverse_density &&
         tensors_[tensor].row % kPackedTogether == 0;
}

void TaskVectorMerge::plan_survivors(const MergeUnit& unit) {
  if (method_.sparsify != Sparsify::random && method_.sparsify != Sparsify::magprune) return;
  std::size_t bytes = 0;
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    const bool kept = keeps_survivors(t);
    survivors_of_.push_back(kept ? bytes : kNotKept);
    if (!kept) continue;
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

bool TaskVectorMerge::wants_block(std::size_t tensor, std::uint64_t first) const {
  return phase() != Phase::select || selection_->wants_block(tensor, first);
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
