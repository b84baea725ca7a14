#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "amalgam/core/cluster.hpp"
#include "amalgam/core/fold.hpp"
#include "amalgam/core/state_archive.hpp"

namespace amalgam {

/// A node of the tree in which fold() combines `count` leaves: node `index` of `level` covers the
/// leaves [index 2^level, (index + 1) 2^level), as far as there are that many.
struct FoldNode {
  std::size_t level = 0;
  std::size_t index = 0;
  auto operator<=>(const FoldNode&) const = default;

  std::size_t first() const { return index << level; }
  std::size_t last(std::size_t count) const;  ///< one after its last leaf
};

/// The largest nodes that cover exactly the leaves [first, last) of `count`, from left to right.
std::vector<FoldNode> fold_nodes(std::size_t count, std::size_t first, std::size_t last);

/// The rank's part of `count` leaves: stretches of nearly equal size (at most a sixteenth of one
/// more or less, where there are enough), cut so that few nodes cover each.
RankShare leaf_share(std::size_t rank, std::size_t ranks, std::size_t count);

/// What every process sent, by rank. All processes call this; Error if the others cannot be
/// reached.
std::vector<std::vector<std::byte>> gather_bytes(Cluster& cluster, std::span<const std::byte> own);

/// fold() over the processes of a cluster, whose states may be of any size: each makes the leaves
/// of its leaf_share() and combines them as far as they go, all get what all made, and everyone
/// combines that in the one tree: the same bits as fold()'s, in every process. `make_empty()`
/// returns a state to be read into; a state has `archive(StateArchive&)` for all that combine()
/// looks at.
template <LeafMaker F, class MakeEmpty>
auto shared_fold(Cluster& cluster, const Parallel& parallel, std::size_t count, F make_leaf,
                 const MakeEmpty& make_empty) -> std::optional<decltype(make_empty())> {
  using State = decltype(make_empty());
  if (count == 0) return std::nullopt;
  const auto nodes_of = [&](std::size_t rank) {
    const RankShare share = leaf_share(rank, cluster.size(), count);
    return fold_nodes(count, share.first, share.last);
  };
  StateArchive sent;
  for (const FoldNode& node : nodes_of(cluster.rank())) {
    auto state = fold(parallel, node.last(count) - node.first(),
                      [&, first = node.first()](std::size_t index, std::size_t worker) {
                        return make_leaf(first + index, worker);
                      });
    if (state) state->archive(sent);
  }
  const auto received = gather_bytes(cluster, sent.take());

  std::map<FoldNode, State> made;
  for (std::size_t rank = 0; rank < received.size(); ++rank) {
    StateArchive archive(received[rank]);
    for (const FoldNode& node : nodes_of(rank)) {
      made.emplace(node, make_empty()).first->second.archive(archive);
    }
    archive.finish();
  }
  // Also of this process's own nodes, so that everyone does the same.
  const auto combine = [&](const auto& self, const FoldNode& node) -> State {
    if (const auto found = made.find(node); found != made.end()) return std::move(found->second);
    State left = self(self, {node.level - 1, 2 * node.index});
    const FoldNode right{node.level - 1, 2 * node.index + 1};
    if (right.first() < count) left.combine(self(self, right));
    return left;
  };
  std::size_t top = 0;
  while ((count - 1) >> top != 0) ++top;
  return combine(combine, {top, 0});
}

}  // namespace amalgam
