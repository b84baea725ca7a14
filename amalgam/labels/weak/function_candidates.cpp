#include <Eigen/Dense>
#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/weak/dialogue.hpp"

namespace amalgam::labels {
namespace {

// 1, -1 or 0 = abstains.
double sign_of(Label vote) { return vote == kNoLabel ? 0 : vote == 1 ? 1 : -1; }

// U S of the leading singular values, from the eigenvectors of the smaller Gram matrix; each column
// with its largest entry positive.
Features leading_components(const Eigen::MatrixXd& votes, std::size_t components) {
  const Eigen::MatrixXd gram = votes.transpose() * votes;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram);
  const auto kept = static_cast<Eigen::Index>(std::min<std::size_t>(
      components, static_cast<std::size_t>(std::min(votes.rows(), votes.cols()))));
  const Eigen::MatrixXd places = votes * solver.eigenvectors().rightCols(kept).rowwise().reverse();
  Features features(static_cast<std::size_t>(votes.rows()), static_cast<std::size_t>(kept));
  for (Eigen::Index c = 0; c < kept; ++c) {
    Eigen::Index largest = 0;
    places.col(c).cwiseAbs().maxCoeff(&largest);
    const double sign = places(largest, c) < 0 ? -1 : 1;
    for (Eigen::Index j = 0; j < places.rows(); ++j) {
      features.row(static_cast<std::size_t>(j))[static_cast<std::size_t>(c)] = sign * places(j, c);
    }
  }
  return features;
}

}  // namespace

FunctionCandidates make_candidates(const LabelledRows& labelled, const CandidateOptions& options,
                                   std::size_t components, std::optional<Label> target) {
  check_labelled(labelled, "labelling function candidates");
  if (components == 0) throw InputError("0 components of functions' votes; expected 1 or more");
  const auto subsets = column_subsets(labelled.features, options);
  const std::size_t rows = labelled.features.rows;
  FunctionCandidates candidates;
  std::vector<double> signs;  // [functions, rows]
  for (std::size_t k = 0; k < labelled.classes; ++k) {
    if (target && *target != k) continue;
    std::vector<Label> is_class(rows);
    for (std::size_t i = 0; i < rows; ++i) is_class[i] = labelled.labels[i] == k;
    if (std::ranges::find(is_class, Label{1}) == is_class.end()) continue;
    for (WeakLearner& learner :
         fit_candidates({labelled.features, is_class, 2}, subsets, options)) {
      const std::vector<double> sure = learner.probabilities(labelled.features);
      const double level = .5 + choose_margin(sure, is_class, 2, .5);
      const std::vector<Label> votes = confident_votes(sure, 2, level);
      if (std::ranges::find(votes, Label{1}) == votes.end()) continue;
      double voted = 0;
      double right = 0;
      for (std::size_t i = 0; i < rows; ++i) {
        signs.push_back(sign_of(votes[i]));
        voted += votes[i] != kNoLabel ? 1 : 0;
        right += votes[i] == is_class[i] ? 1 : 0;
      }
      candidates.functions.push_back({std::move(learner), level, static_cast<Label>(k)});
      candidates.coverage.push_back(voted / static_cast<double>(rows));
      candidates.accuracy.push_back(right / voted);
    }
  }
  if (candidates.functions.empty()) return candidates;
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  candidates.features =
      leading_components(Eigen::Map<const RowMajor>(
                             signs.data(), static_cast<Eigen::Index>(candidates.functions.size()),
                             static_cast<Eigen::Index>(rows)),
                         components);
  return candidates;
}

}  // namespace amalgam::labels
