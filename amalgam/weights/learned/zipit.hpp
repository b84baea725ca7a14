#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "amalgam/weights/learned/permutation.hpp"
#include "amalgam/weights/learned/unit_moments.hpp"
#include "amalgam/weights/learned/unit_split.hpp"
#include "amalgam/weights/learned/zip_units.hpp"

namespace amalgam::learned {

struct ZipItOptions {
  ZipOptions matching;
  /// Partial zipping: only so many groups of units, the first in the order of computation; the
  /// units of later ones stay side by side, so that the result ends in one tail per network.
  /// Nothing: all.
  std::optional<std::size_t> zipped;
  /// For networks with outputs of their own (PermutationSpec::own_outputs): what the result's heads
  /// are called, one per network.
  std::vector<std::string> heads;
};

struct ZipItGroup {
  std::string name;
  std::int64_t units = 0;  ///< of one network
  bool zipped = true;
  UnitZip zip;
};

struct ZipItMerge {
  learning::NetworkDescription description;  ///< with the new widths
  NamedTensors state;                        ///< names, order and types of the first network's
  std::vector<ZipItGroup> groups;
  MergeCost cost;
};

/// ZipIt! (Stoica et al. 2023, arXiv 2305.03053): in every group of units the most correlated ones
/// of all networks are merged by zip_units, those within one network included. With U the matrix
/// that gives every unit what the result has in its place, and M = U with its columns divided by
/// their sums, transposed, a layer becomes M W U with the W of all networks as blocks on the
/// diagonal: rows are averaged, columns added up. Inputs are shared, and so are outputs, as means,
/// unless the specification has own_outputs. `correlations` are of joint_correlations. Networks:
/// mlp, cnn, resnet without BatchNorm (learning::fold_batch_norm gives one). InputError as
/// check_pair and zip_units, for fewer than two networks, and a number of groups or heads that does
/// not fit.
ZipItMerge zipit(std::span<const std::shared_ptr<Network>> networks, const PermutationSpec& spec,
                 const std::vector<torch::Tensor>& correlations, const ZipItOptions& options = {});

/// The network that a merge describes, in evaluation mode.
std::shared_ptr<Network> network_of(const ZipItMerge& merge);

}  // namespace amalgam::learned
