#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/labels/weak/features.hpp"

namespace amalgam::labels {

/// Logistic regression with a ridge: minimises |W|^2 / 2 + C * sum of -log P(label), the biases not
/// being part of |W|. Two classes share one row of W, more have one each (softmax).
struct LogisticRegression {
  std::size_t inputs = 0;
  std::size_t classes = 0;
  std::vector<double> weights;  ///< [classes (1 for two classes), inputs + 1], the bias last

  /// P(class | inputs) into `probabilities` [classes].
  void probabilities(std::span<const double> input, std::span<double> probabilities) const;
};

/// `inverse_penalty` is C > 0. Classes without an example get small probabilities. InputError
/// unless inputs are finite and there are as many labels as rows, all below `classes`.
LogisticRegression fit_logistic(const LabelledRows& data, double inverse_penalty = 1.0);

/// A binary decision tree by the Gini impurity (CART): of the splits "value <= threshold", with
/// thresholds half-way between neighbouring values, the one that lowers the mean impurity most; of
/// equal ones the lowest column, then the lowest threshold.
struct DecisionTree {
  struct Node {
    std::int64_t column = -1;  ///< -1: a leaf
    double threshold = 0;
    std::size_t left = 0;        ///< the node for value <= threshold
    std::size_t right = 0;       ///< for the others
    std::vector<double> shares;  ///< [classes], of a leaf: those of the examples in it
  };
  std::vector<Node> nodes;  ///< the root first

  void probabilities(std::span<const double> input, std::span<double> probabilities) const;
};

/// `depth` >= 0 is the number of splits on a path at most; 1 is a stump. Pure nodes are not split.
DecisionTree fit_tree(const LabelledRows& data, std::size_t depth);

enum class LearnerKind { tree, logistic };

/// Class probabilities from a few columns of the features.
struct WeakLearner {
  std::vector<std::size_t> columns;
  std::size_t classes = 0;
  std::variant<DecisionTree, LogisticRegression> model;

  /// Of a row of all columns, into [classes].
  void probabilities(std::span<const double> row, std::span<double> probabilities) const;
  /// Of all rows, [rows, classes].
  std::vector<double> probabilities(const Features& features) const;
  LearnerKind kind() const {
    return model.index() == 0 ? LearnerKind::tree : LearnerKind::logistic;
  }
};

/// What candidates are made of (Varma and Re 2019, "Snuba").
struct CandidateOptions {
  std::size_t cardinality = 1;   ///< largest number of columns of one candidate
  std::size_t combinations = 0;  ///< random subsets of each size; 0: all
  std::vector<LearnerKind> kinds = {LearnerKind::tree, LearnerKind::logistic};
  double inverse_penalty = 1;  ///< C of logistic regression
  std::uint64_t seed = 0;      ///< of the random subsets
  Parallel parallel;
};

/// The subsets of columns that candidates look at, each increasing: all of sizes 1 to cardinality,
/// or `combinations` random ones of each size. Columns that are the same in every row are left out.
/// InputError if none is left, or there would be more than 10^6 subsets.
std::vector<std::vector<std::size_t>> column_subsets(const Features& features,
                                                     const CandidateOptions& options);

/// One learner of each kind for each subset, in that order, fitted to `data`; the trees' depth is
/// the size of the subset.
std::vector<WeakLearner> fit_candidates(const LabelledRows& data,
                                        std::span<const std::vector<std::size_t>> subsets,
                                        const CandidateOptions& options);

}  // namespace amalgam::labels
