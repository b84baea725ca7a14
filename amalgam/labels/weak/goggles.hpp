#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "amalgam/labels/label_model.hpp"
#include "amalgam/labels/weak/affinity_models.hpp"

namespace amalgam::labels {

/// A mixture of Bernoulli variables over concatenated posteriors of base models, whose components
/// are matched with classes by a few labels (Das et al. 2020, "GOGGLES").
struct BernoulliMixture {
  std::size_t classes = 0;
  std::size_t inputs = 0;
  std::vector<double> weights;  ///< [classes]
  std::vector<double> means;    ///< [classes, inputs]
  std::size_t iterations = 0;

  /// P(class | row) of rows [rows, inputs] with values in [0, 1].
  SoftLabels posterior(const Features& rows) const;
};

/// Which component becomes which class: the assignment that maximises the number of labelled rows
/// (the first ones) whose most probable component is that of their class. [classes], the component
/// of each.
std::vector<std::size_t> match_components(const SoftLabels& posterior,
                                          std::span<const Label> labels);

/// EM from k-means, on `rows` of which the first have `labels`; components are put into the order
/// of the classes after each E-step. Ends when the mean of the last 20 changes of the posterior's
/// Frobenius norm is at most 1e-6, or after 200 iterations.
BernoulliMixture fit_bernoulli_mixture(const Features& rows, std::span<const Label> labels,
                                       std::size_t classes, std::uint64_t seed);

struct GogglesOptions {
  std::vector<AffinityModelKind> models = {AffinityModelKind::gaussian_mixture};
  std::uint64_t seed = 0;
};

/// Labels without labelling functions: base models cluster the affinities (cosines) of rows to the
/// labelled rows, a Bernoulli mixture joins their clusters, and the labelled rows name them.
class Goggles {
 public:
  /// `views` are representations of the labelled rows, one or more; `others`, of unlabelled rows,
  /// are clustered with them if there are any. InputError unless every class has a labelled row,
  /// and as check_labelled.
  Goggles(std::span<const Features> views, std::span<const Label> labels, std::size_t classes,
          const GogglesOptions& options = {}, std::span<const Features> others = {});

  /// Of other rows in the same views. Every row is covered.
  SoftLabels label(std::span<const Features> views) const;

 private:
  Features inputs(std::span<const Features> views) const;

  std::vector<Features> anchors_;
  std::vector<std::vector<std::unique_ptr<AffinityModel>>> models_;  // [views][kinds]
  BernoulliMixture mixture_;
};

}  // namespace amalgam::labels
