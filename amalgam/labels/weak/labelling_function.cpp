#include "amalgam/labels/weak/labelling_function.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "amalgam/core/error.hpp"

namespace amalgam::labels {

std::array<double, 10> abstain_margins() {
  std::array<double, 10> margins{};
  for (std::size_t i = 0; i < margins.size(); ++i) {
    margins[i] = .25 + .2 * static_cast<double>(i) / static_cast<double>(margins.size() - 1);
  }
  return margins;
}

Label confident_vote(std::span<const double> probabilities, double level) {
  const auto most = std::ranges::max_element(probabilities);
  return *most >= level ? static_cast<Label>(most - probabilities.begin()) : kNoLabel;
}

std::vector<Label> confident_votes(std::span<const double> probabilities, std::size_t classes,
                                   double level) {
  std::vector<Label> votes(probabilities.size() / classes);
  for (std::size_t i = 0; i < votes.size(); ++i) {
    votes[i] = confident_vote(probabilities.subspan(i * classes, classes), level);
  }
  return votes;
}

double weighted_f1(std::span<const Label> votes, std::span<const Label> labels,
                   std::size_t classes) {
  std::vector<double> right(classes);
  std::vector<double> voted(classes);
  std::vector<double> true_ones(classes);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    true_ones[labels[i]] += 1;
    if (votes[i] == kNoLabel) continue;
    voted[votes[i]] += 1;
    right[votes[i]] += votes[i] == labels[i] ? 1 : 0;
  }
  double sum = 0;
  for (std::size_t k = 0; k < classes; ++k) {
    // 2 tp + fp + fn = (tp + fp) + (tp + fn).
    const double all = voted[k] + true_ones[k];
    if (all > 0) sum += true_ones[k] * 2 * right[k] / all;
  }
  return sum / static_cast<double>(labels.size());
}

double choose_margin(std::span<const double> probabilities, std::span<const Label> labels,
                     std::size_t classes, double base) {
  double best = -1;
  double chosen = 0;
  for (const double margin : abstain_margins()) {
    const double f1 =
        weighted_f1(confident_votes(probabilities, classes, base + margin), labels, classes);
    if (f1 < best) continue;
    best = f1;
    chosen = margin;
  }
  return chosen;
}

Label unipolar_vote(Label vote, Label target) { return vote == 1 ? target : kNoLabel; }

Label LabellingFunction::signed_vote(std::span<const double> row) const {
  constexpr std::size_t kFew = 64;
  double few[kFew];
  std::vector<double> many(learner.classes > kFew ? learner.classes : 0);
  const std::span<double> probabilities(many.empty() ? few : many.data(), learner.classes);
  learner.probabilities(row, probabilities);
  return confident_vote(probabilities, level);
}

Label LabellingFunction::vote(std::span<const double> row) const {
  const Label vote = signed_vote(row);
  return target ? unipolar_vote(vote, *target) : vote;
}

VoteMatrix votes_of(std::span<const LabellingFunction> functions, const Features& features,
                    const Parallel& parallel) {
  VoteMatrix votes(features.rows, functions.size());
  constexpr std::size_t kRows = 1024;
  parallel_for(parallel, (features.rows + kRows - 1) / kRows, [&](std::size_t block, std::size_t) {
    const std::size_t end = std::min(features.rows, (block + 1) * kRows);
    for (std::size_t i = block * kRows; i < end; ++i) {
      for (std::size_t j = 0; j < functions.size(); ++j) {
        votes.at(i, j) = functions[j].vote(features.row(i));
      }
    }
  });
  return votes;
}

std::string describe(const LabellingFunction& function) {
  const char* kind = function.learner.kind() == LearnerKind::tree ? "tree" : "logistic regression";
  std::string text =
      fmt::format("{} on column {}", kind, fmt::join(function.learner.columns, ", "));
  if (function.target) text += fmt::format(" for class {}", *function.target);
  return text;
}

}  // namespace amalgam::labels
