#include "amalgam/labels/weak/snuba.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/label_model.hpp"
#include "amalgam/labels/weak/vote_aggregator.hpp"

namespace amalgam::labels {
namespace {

struct Candidate {
  LabellingFunction function;
  double right = 0;  // share of labelled rows
  double score = 0;
  bool votes = false;               // on some unlabelled row
  std::vector<std::uint8_t> voted;  // [unlabelled rows]
};

// One task: all classes, or a class (1) against the others (0).
class Run {
 public:
  Run(const LabelledRows& labelled, const Features& unlabelled, const SnubaOptions& options,
      std::optional<Label> target)
      : labelled_(labelled),
        unlabelled_(unlabelled),
        options_(options),
        target_(target),
        base_(target ? 0.5 : options.multipolar_base),
        subsets_(column_subsets(labelled.features, options.candidates)),
        covered_(unlabelled.rows, 0.0) {}

  void run(SnubaResult& result) {
    std::vector<std::size_t> unsure(labelled_.features.rows);
    std::iota(unsure.begin(), unsure.end(), std::size_t{0});
    for (std::size_t round = 0; round < options_.rounds && several_classes(unsure); ++round) {
      check_interrupt();
      const std::size_t wanted = round == 0 ? options_.first : options_.per_round;
      std::vector<Candidate> best = best_candidates(unsure, wanted);
      if (best.empty()) break;
      result.rounds.push_back({.target = target_.value_or(kNoLabel),
                               .examples = unsure.size(),
                               .committed = functions_.size() + best.size(),
                               .score = best[0].score});
      for (Candidate& one : best) commit(std::move(one));
      unsure = unsure_rows();
    }
    for (std::size_t j = 0; j < functions_.size(); ++j) {
      if (target_ && !ever_for_target(j)) continue;
      result.functions.push_back(std::move(functions_[j]));
    }
  }

 private:
  bool several_classes(const std::vector<std::size_t>& rows) const {
    return std::ranges::any_of(
        rows, [&](std::size_t row) { return labelled_.labels[row] != labelled_.labels[rows[0]]; });
  }

  std::vector<Candidate> best_candidates(const std::vector<std::size_t>& rows,
                                         std::size_t wanted) const {
    const Features some = select_rows(labelled_.features, rows);
    std::vector<Label> labels;
    for (const std::size_t row : rows) labels.push_back(labelled_.labels[row]);
    std::vector<WeakLearner> learners =
        fit_candidates({some, labels, labelled_.classes}, subsets_, options_.candidates);
    std::vector<Candidate> candidates(learners.size());
    parallel_for(options_.candidates.parallel, learners.size(), [&](std::size_t c, std::size_t) {
      candidates[c] = judged(std::move(learners[c]));
    });
    std::erase_if(candidates, [](const Candidate& one) { return !one.votes; });
    std::ranges::stable_sort(candidates, std::greater{}, &Candidate::score);
    if (candidates.size() > wanted) candidates.resize(wanted);
    return candidates;
  }

  Candidate judged(WeakLearner learner) const {
    Candidate candidate;
    const std::vector<double> sure = learner.probabilities(labelled_.features);
    const double margin = choose_margin(sure, labelled_.labels, labelled_.classes, base_);
    const std::vector<Label> votes = confident_votes(sure, labelled_.classes, base_ + margin);
    for (std::size_t i = 0; i < votes.size(); ++i) {
      candidate.right += votes[i] == labelled_.labels[i] ? 1 : 0;
    }
    candidate.right /= static_cast<double>(votes.size());
    candidate.function = {std::move(learner), base_ + margin, target_};
    candidate.voted.resize(unlabelled_.rows);
    std::vector<double> covers(unlabelled_.rows);
    for (std::size_t i = 0; i < unlabelled_.rows; ++i) {
      const bool voted = candidate.function.signed_vote(unlabelled_.row(i)) != kNoLabel;
      candidate.voted[i] = voted ? 1 : 0;
      covers[i] = voted ? 1 : 0;
      candidate.votes = candidate.votes || voted;
    }
    const double distance = functions_.empty() ? 1 : jaccard_distance(covers, covered_);
    candidate.score = (candidate.right + distance) / 2;
    return candidate;
  }

  void commit(Candidate candidate) {
    for (std::size_t i = 0; i < covered_.size(); ++i) covered_[i] += candidate.voted[i];
    functions_.push_back(std::move(candidate.function));
    add_column(unlabelled_votes_, unlabelled_);
    add_column(labelled_votes_, labelled_.features);
  }

  // The signed votes of the newest function.
  void add_column(VoteMatrix& votes, const Features& features) const {
    VoteMatrix wider(features.rows, functions_.size());
    for (std::size_t i = 0; i < wider.items; ++i) {
      for (std::size_t j = 0; j < votes.functions; ++j) wider.at(i, j) = votes.at(i, j);
      wider.at(i, votes.functions) = functions_.back().signed_vote(features.row(i));
    }
    votes = std::move(wider);
  }

  std::vector<std::size_t> unsure_rows() const {
    const double gamma = snuba_gamma(functions_.size());
    const std::vector<double> certainty = target_ ? binary_certainty() : multipolar_certainty();
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < certainty.size(); ++i) {
      if (std::abs(certainty[i] - base_) <= gamma) rows.push_back(i);
    }
    return rows;
  }

  std::vector<double> binary_certainty() const {
    const VoteAggregator model = fit_aggregator(unlabelled_votes_);
    std::vector<double> certainty(labelled_votes_.items);
    for (std::size_t i = 0; i < certainty.size(); ++i) {
      certainty[i] = model.probability(
          std::span(labelled_votes_.votes).subspan(i * functions_.size(), functions_.size()));
    }
    return certainty;
  }

  // The largest probability of each labelled row, by a label model of the votes on all rows.
  std::vector<double> multipolar_certainty() const {
    const AnnotationTable table =
        table_of(stacked(labelled_votes_, unlabelled_votes_), labelled_.classes);
    FitContext context;
    context.seed = options_.candidates.seed;
    context.parallel = options_.candidates.parallel;
    const LabelFit fit = fit_labels("generative", table, {}, context);
    std::vector<double> certainty(labelled_votes_.items);
    for (std::size_t i = 0; i < certainty.size(); ++i) {
      certainty[i] = std::ranges::max(fit.posterior.row(i));
    }
    return certainty;
  }

  bool ever_for_target(std::size_t function) const {
    for (std::size_t i = 0; i < unlabelled_votes_.items; ++i) {
      if (unlabelled_votes_.at(i, function) == 1) return true;
    }
    return false;
  }

  const LabelledRows& labelled_;
  const Features& unlabelled_;
  const SnubaOptions& options_;
  const std::optional<Label> target_;
  const double base_;
  const std::vector<std::vector<std::size_t>> subsets_;
  std::vector<LabellingFunction> functions_;
  std::vector<double> covered_;  // votes of committed functions per unlabelled row
  VoteMatrix unlabelled_votes_;  // signed
  VoteMatrix labelled_votes_;
};

void run_unipolar(const LabelledRows& labelled, const Features& unlabelled,
                  const SnubaOptions& options, SnubaResult& result) {
  for (std::size_t k = 0; k < labelled.classes; ++k) {
    std::vector<Label> is_class(labelled.labels.size());
    for (std::size_t i = 0; i < is_class.size(); ++i) is_class[i] = labelled.labels[i] == k;
    if (std::ranges::find(is_class, Label{1}) == is_class.end()) continue;
    const LabelledRows binary{labelled.features, is_class, 2};
    Run(binary, unlabelled, options, static_cast<Label>(k)).run(result);
  }
}

}  // namespace

double snuba_gamma(std::size_t functions) {
  const auto h = static_cast<double>(functions);
  return .5 - 1 / (h * std::sqrt(h));
}

double jaccard_distance(std::span<const double> a, std::span<const double> b) {
  double least = 0;
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    least += std::min(a[i], b[i]);
    most += std::max(a[i], b[i]);
  }
  return most > 0 ? 1 - least / most : 1;
}

SnubaResult snuba(const LabelledRows& labelled, const Features& unlabelled,
                  const SnubaOptions& options) {
  check_labelled(labelled, "Snuba's labelled rows");
  check_finite(unlabelled, "Snuba's unlabelled rows");
  if (unlabelled.columns != labelled.features.columns) {
    throw InputError("labelled rows have {} features, but unlabelled ones {}",
                     labelled.features.columns, unlabelled.columns);
  }
  if (options.first == 0 || options.per_round == 0) {
    throw InputError(
        "Snuba commits {} functions in the first round and {} in others; expected 1 or"
        " more",
        options.first, options.per_round);
  }
  SnubaResult result;
  if (options.multipolar) {
    Run(labelled, unlabelled, options, std::nullopt).run(result);
  } else {
    run_unipolar(labelled, unlabelled, options, result);
  }
  if (result.functions.empty()) {
    throw InputError(
        "Snuba found no labelling function: every candidate abstains on all unlabelled"
        " rows");
  }
  return result;
}

}  // namespace amalgam::labels
