#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "amalgam/core/cluster.hpp"
#include "amalgam/core/fold.hpp"

namespace amalgam {

/// A state whose numbers can be sent: `visit_numbers(visit)` calls visit(std::span<double>) for all
/// that combine() adds up, always in the same order and with the same sizes.
template <class S>
concept SentState =
    FoldState<S> && requires(S state) { state.visit_numbers([](std::span<double>) {}); };

/// fold() over the processes of a cluster: each makes its share of the leaves, and all of them
/// combine all leaves in the one fixed tree, so that every process has the result, and the bits do
/// not depend on how many there are. `make_empty()` returns a state of the sizes that leaves have.
/// Without a cluster (null), fold().
template <LeafMaker F, class MakeEmpty>
  requires SentState<decltype(std::declval<MakeEmpty>()())>
auto distributed_fold(Cluster* cluster, const Parallel& parallel, std::size_t count, F make_leaf,
                      const MakeEmpty& make_empty) -> std::optional<decltype(make_empty())> {
  if (cluster == nullptr || cluster->size() == 1) return fold(parallel, count, make_leaf);
  auto empty = make_empty();
  std::size_t numbers = 0;
  empty.visit_numbers([&](std::span<double> block) { numbers += block.size(); });

  std::vector<double> all(count * numbers);
  const auto [first, last] = share_of(cluster->rank(), cluster->size(), count);
  parallel_for(parallel, last - first, [&, begin = first](std::size_t index, std::size_t worker) {
    auto state = make_leaf(begin + index, worker);
    double* to = all.data() + (begin + index) * numbers;
    state.visit_numbers(
        [&](std::span<double> block) { to = std::copy(block.begin(), block.end(), to); });
  });
  std::vector<std::size_t> parts(cluster->size());
  for (std::size_t rank = 0; rank < parts.size(); ++rank) {
    const RankShare share = share_of(rank, parts.size(), count);
    parts[rank] = (share.last - share.first) * numbers;
  }
  cluster->gather(all, parts);

  return fold({}, count, [&](std::size_t leaf, std::size_t /*worker*/) {
    auto state = make_empty();
    const double* from = all.data() + leaf * numbers;
    state.visit_numbers([&](std::span<double> block) {
      std::copy(from, from + block.size(), block.begin());
      from += block.size();
    });
    return state;
  });
}

}  // namespace amalgam
