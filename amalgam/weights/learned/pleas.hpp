#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/weights/learned/matching.hpp"
#include "amalgam/weights/learned/pair_gram.hpp"
#include "amalgam/weights/learned/permutation.hpp"
#include "amalgam/weights/learned/unit_split.hpp"

namespace amalgam::learned {

struct PleasOptions {
  /// The share of units of each group that both networks keep for themselves, in [0, 1]: one per
  /// group, or one for all. Empty: 0, every unit is merged.
  std::vector<double> ratios;
  /// Instead of ratios: compute, as a multiple of one network's, in [1, 2], which is shared out
  /// among the groups by `weights` (see allocate_budget); equally if there are none.
  std::optional<double> budget;
  std::vector<double> weights;
  /// Added to the diagonal of a layer's Gram matrix, as a share of its mean: how much the weights
  /// of partial merging count, which directions without data keep. 0: every direction must occur in
  /// the data.
  double ridge = 1e-3;
  /// Which examples a layer is fitted to: what the pair of networks computes on average, or what
  /// either computes from its own units alone (an ablation; RegMean if nothing is permuted).
  enum class Fit { averaged, stacked } fit = Fit::averaged;
  /// For networks with outputs of their own (PermutationSpec::own_outputs): what the result's heads
  /// are called, the first network's and the second's.
  std::array<std::string, 2> heads{"first", "second"};
};

/// How PLeaS is fitted by gradient descent, as the authors do: Adam on the sum over layers of the
/// mean squared error, its rate falling from `learning_rate` to 0 in half a cosine.
struct PleasAdam {
  double learning_rate = 5e-4;
  std::uint64_t steps = 400;
  std::uint64_t batch = 32;  ///< examples per step, in a new order whenever all have been seen
  std::uint64_t seed = 0;    ///< of these orders
};

struct PleasGroup {
  std::string name;
  std::int64_t units = 0;   ///< of one network
  std::int64_t merged = 0;  ///< pairs; units - merged of either network stay separate
  std::vector<std::int64_t> partners;
  double similarity_before = 0;  ///< summed over units at their own places
  double similarity_after = 0;   ///< and with their partners
};

/// How well a layer computes what it should from what it gets, as the mean over the rows.
struct PleasLayer {
  std::string name;
  double energy = 0;             ///< |y|^2 of the targets y
  double residual_before = 0;    ///< |W x - y|^2 with the weights before least squares
  double residual = 0;           ///< and after
  bool underdetermined = false;  ///< fewer rows than inputs: the ridge decides the rest
};

struct PleasMerge {
  learning::NetworkDescription description;  ///< with the new widths
  NamedTensors state;                        ///< names, order and types of the first network's
  std::vector<double> ratios;                ///< as carried out: separate / units, by group
  std::vector<PleasGroup> groups;
  std::vector<PleasLayer> layers;  ///< empty without least squares
  MergeCost cost;
};

/// Partial merging (Nasery et al. 2024, arXiv 2407.02447, section 3.2): of every group, the pairs
/// of units that `matching` finds most alike are averaged, the others stay side by side, and what
/// would lead from one network's own units to the other's is 0. With ratio 0 this is Git Re-Basin,
/// with ratio 1 it computes the mean of both networks' logits. Networks: mlp, cnn, resnet without
/// BatchNorm (learning::fold_batch_norm gives one). With PermutationSpec::own_outputs the result
/// has a head per network, which reads its own network's units. InputError as check_pair, or if an
/// option is out of its range.
PleasMerge partial_merge(const Network& left, const Network& right, const PermutationSpec& spec,
                         const Matching& matching, const PleasOptions& options = {});

/// PLeaS (section 3.3): partial merging, then every layer by itself is fitted by least squares to
/// compute, from the mean of what goes into the original layers (for separate units: from their
/// own), the mean of what comes out of them before the nonlinearity. Solved exactly from the sums
/// in `grams`, which may be of any inputs of the right shape (data-free: of other images). Zero
/// blocks stay exactly 0; heads of the networks' own are not fitted. InputError as partial_merge,
/// if sums of a layer are missing, or if a Gram matrix is singular and the ridge 0.
PleasMerge pleas(const Network& left, const Network& right, const PermutationSpec& spec,
                 const Matching& matching, const PairGrams& grams,
                 const PleasOptions& options = {});

/// The same fitted by Adam from the weights of partial merging, on the inputs of `data` (labels are
/// not looked at); `ridge` has no part in it. InputError as partial_merge, if the data do not fit
/// or an option is out of its range; Error naming the step if the loss is not finite.
PleasMerge pleas_by_adam(Network& left, Network& right, const PermutationSpec& spec,
                         const Matching& matching, const learning::Dataset& data,
                         const PleasAdam& adam = {}, const PleasOptions& options = {});

/// The network that a merge describes, in evaluation mode.
std::shared_ptr<Network> network_of(const PleasMerge& merge);

}  // namespace amalgam::learned
