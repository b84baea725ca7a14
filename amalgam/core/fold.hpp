#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "amalgam/core/parallel.hpp"

namespace amalgam {

/// A fold's state: `left.combine(right)` makes `left` the state of everything both absorbed,
/// `right` being the later part. Nothing is assumed about what combine does (floating-point sums,
/// integer sums, concatenation), only that it is associative up to the state's own notion of
/// equality; the runners call it in one fixed tree, so equal leaves give equal bits.
template <class S>
concept FoldState =
    std::movable<S> && requires(S left, S right) { left.combine(std::move(right)); };

/// `make_leaf(index, worker)` returns the state of leaf `index`.
template <class F>
concept LeafMaker = requires(F make, std::size_t index, std::size_t worker) {
  { make(index, worker) } -> FoldState;
};

/// Combines the states of leaves [0, count) in the fixed binary tree over their indices (a node of
/// level l covers the leaves whose index agrees above bit l), whatever the runner and the number of
/// threads: the result is the same bits. Returns nothing when count is 0.
/// At any time about 2 log2(count) states per worker are alive.
template <LeafMaker F>
auto fold(const Parallel& parallel, std::size_t count, F make_leaf)
    -> std::optional<decltype(make_leaf(0, 0))> {
  using State = decltype(make_leaf(0, 0));
  if (count == 0) return std::nullopt;

  // A finished node waits in its slot for its sibling; whoever comes second combines the two and
  // goes on with the parent. A node without a right sibling is passed up as it is.
  struct Slot {
    std::atomic<State*> waiting{nullptr};
  };
  std::vector<std::size_t> level_size{count};
  while (level_size.back() > 1) level_size.push_back((level_size.back() + 1) / 2);
  std::vector<std::vector<Slot>> parents;
  for (std::size_t level = 1; level < level_size.size(); ++level) {
    parents.emplace_back(level_size[level]);
  }
  struct Cleanup {
    std::vector<std::vector<Slot>>& nodes;
    ~Cleanup() {
      for (auto& level : nodes) {
        for (auto& slot : level) delete slot.waiting.load();
      }
    }
  } cleanup{parents};

  std::optional<State> root;
  parallel_for(parallel, count, [&](std::size_t leaf, std::size_t worker) {
    auto state = std::make_unique<State>(make_leaf(leaf, worker));
    std::size_t node = leaf;
    for (std::size_t level = 0; level + 1 < level_size.size(); ++level, node /= 2) {
      const bool is_left = node % 2 == 0;
      if (is_left && node + 1 == level_size[level]) continue;
      Slot& slot = parents[level][node / 2];
      State* expected = nullptr;
      if (slot.waiting.compare_exchange_strong(expected, state.get())) {
        (void)state.release();
        return;
      }
      std::unique_ptr<State> sibling(slot.waiting.exchange(nullptr));
      if (!is_left) std::swap(state, sibling);
      state->combine(std::move(*sibling));
    }
    root.emplace(std::move(*state));
  });
  return root;
}

}  // namespace amalgam
