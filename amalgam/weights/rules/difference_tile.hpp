#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "amalgam/weights/rule.hpp"
#include "amalgam/weights/rules/task_vector_kernels.hpp"

namespace amalgam::rules {

/// The task vectors of all members over a tile, in double; memory of one thread, used again.
class DifferenceTile {
 public:
  /// A tile's size for `members` members: what stays in the first-level cache, a multiple of 16.
  static std::size_t size(std::size_t members) {
    return std::clamp<std::size_t>(2048 / std::max<std::size_t>(1, members) / 64 * 64, 64, kTile);
  }

  /// Computes d_m = x_m - base over elements [offset, offset + count) of the block.
  template <class T>
  std::span<const double* const> load(const Block<T>& block, std::size_t offset,
                                      std::size_t count) {
    const std::size_t members = block.members.size();
    values_.resize(std::max(values_.size(), members * kTile));
    pointers_.resize(members);
    writable_.resize(members);
    for (std::size_t m = 0; m < members; ++m) {
      weigh(std::span(block.members[m] + offset, count), block.base + offset, 1.0, 1.0, of(m));
      pointers_[m] = writable_[m] = of(m);
    }
    return pointers_;
  }

  /// The tile of one member, to change it.
  double* of(std::size_t member) { return values_.data() + member * kTile; }
  /// The tiles of all members that were loaded last, to change them.
  std::span<double* const> writable() const { return writable_; }

 private:
  std::vector<double> values_;
  std::vector<const double*> pointers_;
  std::vector<double*> writable_;
};

}  // namespace amalgam::rules
