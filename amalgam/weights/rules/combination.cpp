#include "amalgam/weights/rules/combination.hpp"

#include <algorithm>
#include <string>

namespace amalgam {

template <class T>
void PairStatistic::absorb_block(const Block<T>& block) {
  // One per thread, not per state: many states wait in the fold's tree.
  static thread_local kernels::PairScratch scratch;
  switch (kind_) {
    case PairSums::squared_distances:
      kernels::add_squared_distances(block.members, block.count, scratch, sums_);
      break;
    case PairSums::products_with_base: {
      std::vector<const T*> vectors{block.base};
      vectors.insert(vectors.end(), block.members.begin(), block.members.end());
      kernels::add_products(vectors, nullptr, block.count, scratch, sums_);
      break;
    }
    case PairSums::products:
      kernels::add_products(block.members, nullptr, block.count, scratch, sums_);
      break;
    case PairSums::difference_products:
      kernels::add_products(block.members, block.base, block.count, scratch, sums_);
      break;
  }
}
template void PairStatistic::absorb_block(const Block<float>&);
template void PairStatistic::absorb_block(const Block<double>&);

void PairStatistic::combine_with(const PairStatistic& right) {
  for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] += right.sums_[i];
}

template <class T>
void Combination::apply(const Block<T>& block, std::span<double> out) const {
  std::vector<const T*> terms;
  std::vector<double> factors;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0.0) continue;
    terms.push_back(block.members[i]);
    factors.push_back(weights[i]);
  }
  if (relative) {
    if (terms.empty()) {
      std::copy_n(block.base, block.count, out.begin());
    } else {
      kernels::weighted_difference_sum(terms, block.base, factors, out);
    }
    return;
  }
  if (base_weight != 0.0) {
    terms.push_back(block.base);
    factors.push_back(base_weight);
  }
  if (terms.empty()) {
    std::fill(out.begin(), out.end(), 0.0);
  } else {
    kernels::weighted_sum(terms, factors, out);
  }
}
template void Combination::apply(const Block<float>&, std::span<double>) const;
template void Combination::apply(const Block<double>&, std::span<double>) const;

void CombinationMerge::solve(std::unique_ptr<Statistic> total) {
  // A unit without elements has nothing to solve, and nothing to apply.
  if (total != nullptr) combination_ = solver_(static_cast<PairStatistic&>(*total).matrix());
  solved_ = true;
}

std::vector<double> member_numbers(const MergeUnit& unit, std::string_view name) {
  std::vector<double> numbers;
  for (const Parameters& member : unit.tensors.front().members) {
    numbers.push_back(member.number(name));
  }
  return numbers;
}

}  // namespace amalgam
