#include "amalgam/core/shared_fold.hpp"

#include <algorithm>
#include <cstring>

#include "amalgam/core/error.hpp"

namespace amalgam {

std::size_t FoldNode::last(std::size_t count) const {
  return std::min(count, (index + 1) << level);
}

std::vector<FoldNode> fold_nodes(std::size_t count, std::size_t first, std::size_t last) {
  std::vector<FoldNode> nodes;
  while (first < last) {
    FoldNode node{0, first};
    // One level up, as long as nothing to the left comes in, and nothing beyond the end.
    while (node.index % 2 == 0 && node.last(count) < last) {
      const FoldNode parent{node.level + 1, node.index / 2};
      if (parent.last(count) > last) break;
      node = parent;
    }
    // Of nodes that cover the same leaves at the end, the highest: the one that is looked for.
    while (node.index > 0 && node.index % 2 == 0 && node.last(count) == count) {
      node = {node.level + 1, node.index / 2};
    }
    nodes.push_back(node);
    first = node.last(count);
  }
  return nodes;
}

RankShare leaf_share(std::size_t rank, std::size_t ranks, std::size_t count) {
  constexpr std::size_t kPartsPerRank = 16;
  std::size_t grain = 1;
  while (2 * grain * kPartsPerRank * ranks <= count) grain *= 2;
  const RankShare parts = share_of(rank, ranks, (count + grain - 1) / grain);
  return {std::min(count, parts.first * grain), std::min(count, parts.last * grain)};
}

std::vector<std::vector<std::byte>> gather_bytes(Cluster& cluster, std::span<const std::byte> own) {
  const std::size_t ranks = cluster.size();
  std::vector<double> sizes(ranks);
  sizes[cluster.rank()] = static_cast<double>(own.size());
  cluster.gather(sizes, std::vector<std::size_t>(ranks, 1));

  // A cluster carries numbers of 8 bytes and leaves their bits alone.
  std::vector<std::size_t> words(ranks);
  std::size_t total = 0;
  std::size_t begin = 0;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    words[rank] = (static_cast<std::size_t>(sizes[rank]) + sizeof(double) - 1) / sizeof(double);
    if (rank == cluster.rank()) begin = total;
    total += words[rank];
  }
  std::vector<double> all(total);
  if (!own.empty()) std::memcpy(all.data() + begin, own.data(), own.size());
  cluster.gather(all, words);

  std::vector<std::vector<std::byte>> received(ranks);
  std::size_t at = 0;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    received[rank].resize(static_cast<std::size_t>(sizes[rank]));
    if (!received[rank].empty()) {
      std::memcpy(received[rank].data(), all.data() + at, received[rank].size());
    }
    at += words[rank];
  }
  return received;
}

}  // namespace amalgam
