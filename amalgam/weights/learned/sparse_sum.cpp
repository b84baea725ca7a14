#include "amalgam/weights/learned/sparse_sum.hpp"

#include <algorithm>
#include <utility>

#include "amalgam/core/error.hpp"

namespace amalgam::learned {

SparseSum::SparseSum(PruningMask mask) : mask_(std::move(mask)), mask_hash_(mask_.hash()) {}

void SparseSum::check_mask(const PruningMask& other) const {
  if (other.hash() == mask_hash_) return;
  throw InputError(
      "sparse soup: a copy has another pruning mask (hash {:016x}, expected {:016x}); average"
      " networks pruned apart with average_of_pruned, which makes them denser",
      other.hash(), mask_hash_);
}

void SparseSum::absorb(const NamedTensors& copy, const PruningMask& mask) {
  check_mask(mask);
  std::vector<Sum> sums;
  sums.reserve(copy.size());
  for (const auto& [name, tensor] : copy) {
    if (!torch::isfinite(tensor).all().item<bool>()) {
      throw InputError("sparse soup: '{}' has a value that is not finite", name);
    }
    if (mask_.largest_outside({{name, tensor}}) > 0) {
      throw InputError("sparse soup: '{}' has a weight where its mask has none", name);
    }
    const torch::Tensor values = tensor.detach().to(torch::kDouble);
    const torch::Tensor* kept = mask_.find(name);
    sums.push_back({name, tensor.sizes().vec(), tensor.scalar_type(),
                    kept == nullptr ? values.flatten().clone() : values.masked_select(*kept)});
  }
  for (const PruningMask::Part& part : mask_.parts()) {
    if (std::ranges::find(sums, part.name, &Sum::name) == sums.end()) {
      throw InputError("sparse soup: '{}' of the mask is missing from a copy", part.name);
    }
  }
  add(sums);
  ++copies_;
}

void SparseSum::combine(const SparseSum& right) {
  check_mask(right.mask_);
  add(right.sums_);
  copies_ += right.copies_;
}

void SparseSum::add(const std::vector<Sum>& sums) {
  if (sums.empty()) return;
  if (sums_.empty()) {
    sums_ = sums;
    for (Sum& sum : sums_) sum.values = sum.values.clone();
    return;
  }
  const auto fits = [](const Sum& a, const Sum& b) {
    return a.name == b.name && a.shape == b.shape;
  };
  if (!std::ranges::equal(sums_, sums, fits)) {
    throw InputError("sparse soup: the tensors of the copies have other names or shapes");
  }
  for (std::size_t i = 0; i < sums.size(); ++i) sums_[i].values += sums[i].values;
}

NamedTensors SparseSum::finish() const {
  if (copies_ == 0) throw InputError("sparse soup: there are no copies");
  NamedTensors average;
  for (const Sum& sum : sums_) {
    const torch::Tensor values = sum.values / static_cast<double>(copies_);
    const torch::Tensor* kept = mask_.find(sum.name);
    torch::Tensor whole =
        kept == nullptr ? values.view(sum.shape)
                        : torch::zeros(sum.shape, torch::kDouble).masked_scatter(*kept, values);
    average.emplace_back(sum.name, whole.to(sum.type));
  }
  return average;
}

MaskedState average_of_pruned(const std::vector<MaskedState>& members) {
  std::vector<PruningMask> masks;
  masks.reserve(members.size());
  for (const MaskedState& member : members) masks.push_back(member.mask);
  // Each is a copy under the union of the masks, with zeros where it has pruned more.
  SparseSum sum(learning::union_of(masks));
  for (const MaskedState& member : members) sum.absorb(member.state, sum.mask());
  return {sum.finish(), sum.mask()};
}

MaskedState pruned_again(const MaskedState& member, double sparsity,
                         const learning::PruningOptions& options) {
  NamedTensors copies;
  for (const auto& [name, tensor] : member.state) {
    copies.emplace_back(name, tensor.detach().clone());
  }
  NamedTensors weights;
  for (const PruningMask::Part& part : member.mask.parts()) {
    const auto found = std::ranges::find(copies, part.name, &NamedTensors::value_type::first);
    if (found == copies.end()) throw InputError("sparse soup: '{}' is missing", part.name);
    weights.push_back(*found);
  }
  MaskedState pruned{std::move(copies),
                     learning::prune_to(weights, member.mask, sparsity, options)};
  pruned.mask.apply(pruned.state);
  return pruned;
}

}  // namespace amalgam::learned
