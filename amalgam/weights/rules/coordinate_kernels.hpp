#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace amalgam::kernels {

/// Puts the smaller of two values first.
struct Comparator {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
};

/// A network that sorts n values (Batcher's odd-even merge sort), without the comparators that the
/// wanted order statistics (0-based) do not depend on.
std::vector<Comparator> sorting_network(std::size_t n, std::span<const std::size_t> wanted);

/// What coordinate-wise robust rules compute from the n values of one element. The centre is the
/// mean of the order statistics [first, last] (0-based, ascending); it is the result when keep is
/// 0, else the result is the mean of the `keep` values nearest to the centre, of equally near ones
/// those of the lowest members.
class CoordinateMean {
 public:
  CoordinateMean(std::size_t members, std::size_t first, std::size_t last, std::size_t keep = 0);
  /// The median: of an even number the mean of the middle two.
  static CoordinateMean median(std::size_t members, std::size_t keep = 0);

  std::size_t members() const { return members_; }
  std::size_t first() const { return first_; }
  std::size_t last() const { return last_; }
  std::size_t keep() const { return keep_; }
  std::span<const Comparator> centre_network() const { return centre_network_; }
  std::span<const Comparator> distance_network() const { return distance_network_; }

 private:
  std::size_t members_;
  std::size_t first_;
  std::size_t last_;
  std::size_t keep_;
  std::vector<Comparator> centre_network_;
  std::vector<Comparator> distance_network_;
};

/// out[k] = the coordinate mean of x_i[k], or base[k] + that of (x_i - base)[k] if base is not null
/// (one subtraction in the type of the inputs). Means are sums in double in member order,
/// divided by the number of values. NaN where any x_i is
/// NaN. Compiled for every SIMD target, with the same bits on all.
void coordinate_mean(const CoordinateMean& plan, std::span<const float* const> members,
                     const float* base, std::span<double> out);
void coordinate_mean(const CoordinateMean& plan, std::span<const double* const> members,
                     const double* base, std::span<double> out);

}  // namespace amalgam::kernels
