#include "amalgam/weights/fp8_stretches.hpp"

#include <algorithm>
#include <numeric>

namespace amalgam {
namespace {

// With fewer stretches for each thread, some threads would wait for the last ones.
constexpr std::uint64_t kStretchesPerWorker = 4;

// The shortest stretches.
struct Least {
  std::uint64_t leaves = 1;
  std::uint64_t bytes = 0;  // of merged floats
  bool for_every_worker = false;
};

std::uint64_t bytes_of(const BlockGrid& grid, std::uint64_t leaves) {
  return sizeof(float) * std::min(grid.elements, leaves * grid.leaf_elements());
}

// Stretches end where leaves and groups of scales do.
Least least_stretches(const BlockGrid& grid, const Fp8Grid& scales, std::size_t workers) {
  const std::uint64_t group = scales.group_elements();
  Least least;
  least.leaves = std::clamp<std::uint64_t>(group / std::gcd(group, grid.leaf_elements()), 1,
                                           std::max<std::uint64_t>(1, grid.leaves()));
  least.bytes = bytes_of(grid, least.leaves);
  const std::uint64_t count = (grid.leaves() + least.leaves - 1) / least.leaves;
  least.for_every_worker = workers == 1 || count >= kStretchesPerWorker * workers;
  return least;
}

}  // namespace

Fp8Stretches cut_into_stretches(const BlockGrid& leaves, const Fp8Grid& scales,
                                std::uint64_t kept_bytes, std::size_t workers) {
  const Least least = least_stretches(leaves, scales, workers);
  if (least.for_every_worker && workers * least.bytes <= kept_bytes) {
    return {.leaves = least.leaves, .side_by_side = true, .kept = true};
  }
  if (least.bytes > kept_bytes) return {.leaves = std::max<std::uint64_t>(1, leaves.leaves())};
  const std::uint64_t fitting = kept_bytes / (sizeof(float) * leaves.leaf_elements());
  const std::uint64_t whole = std::max(least.leaves, fitting / least.leaves * least.leaves);
  return {.leaves = bytes_of(leaves, leaves.leaves()) <= kept_bytes ? leaves.leaves() : whole,
          .side_by_side = false,
          .kept = true};
}

std::uint64_t wanted_kept_bytes(const BlockGrid& leaves, const Fp8Grid& scales,
                                std::size_t workers) {
  const Least least = least_stretches(leaves, scales, workers);
  return least.for_every_worker ? workers * least.bytes : bytes_of(leaves, leaves.leaves());
}

}  // namespace amalgam
