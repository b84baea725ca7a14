#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

// The matching of ZipIt! (Stoica et al. 2023, arXiv 2305.03053, section 4): which units of several
// networks, those of one network among themselves included, become one.
namespace amalgam::learned {

struct ZipOptions {
  /// What counts of the similarity of merged units when they are to be merged again, in (0, 1].
  double alpha = .3;
  /// How much of what has to be merged may be so within one network, in [0, 1]: with K networks of
  /// n units at most floor(beta (K - 1) n / K) merges within each. 0: units are merged with those
  /// of other networks only.
  double beta = .125;
};

/// Units of several networks as those of one.
struct UnitZip {
  std::vector<std::int64_t> into;    ///< [networks * units]: the unit of the result
  std::int64_t width = 0;            ///< units of the result, in the order of their first members
  std::vector<std::int64_t> within;  ///< merges within each network

  /// How many units each unit of the result is made of.
  std::vector<std::int64_t> sizes() const;
};

/// Merges the most similar two of `networks` * `units` units, again and again, until `units` are
/// left. A merged unit is as similar to another as the less similar of its two parts, times alpha
/// (whatever the sign), and counts as one of the network of its lowest unit, as in the authors'
/// code. Ties: the pair of the lowest unit, then of the lowest partner. `similarity` is symmetric,
/// [networks * units, networks * units] with the first network's units first; only the part above
/// its diagonal is looked at. Memory: one copy of it; time: its size, times a small factor unless
/// most units have the same best partner. InputError for an option out of its range, fewer than two
/// networks, no units, another size, and a similarity that is not finite.
UnitZip zip_units(std::span<const double> similarity, std::size_t networks, std::size_t units,
                  const ZipOptions& options = {});

/// Every unit by itself: networks * units units.
UnitZip keep_apart(std::size_t networks, std::size_t units);

}  // namespace amalgam::learned
