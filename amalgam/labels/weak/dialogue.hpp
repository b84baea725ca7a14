#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/labels/weak/labelling_function.hpp"

/// Interactive weak supervision: candidates are shown to somebody who says which are useful, and a
/// model of usefulness chooses what to ask next (Boecking et al. 2021).
namespace amalgam::labels {

/// What functions are known by: their candidates and what each does on the labelled rows.
struct FunctionCandidates {
  std::vector<LabellingFunction> functions;
  Features features;             ///< [functions, components]
  std::vector<double> coverage;  ///< [functions], share of the labelled rows with a vote
  std::vector<double> accuracy;  ///< [functions], share of these votes that is right
};

/// Candidates of every one-vs-rest task as Snuba's first round makes them; those that abstain on
/// all labelled rows, or never vote for their class on them, are dropped. Their features are the
/// leading `components` left singular vectors, times the singular values, of the matrix of their
/// votes (1, -1, 0 = abstain) on the labelled rows. InputError as snuba, and if no candidate is
/// left.
FunctionCandidates make_candidates(const LabelledRows& labelled, const CandidateOptions& options,
                                   std::size_t components = 40,
                                   std::optional<Label> target = std::nullopt);

/// How useful functions are believed to be: mean and deviation of P(useful), [functions] each.
struct Usefulness {
  std::vector<double> mean;
  std::vector<double> deviation;
};

/// A function that was asked about.
struct DialogueAnswer {
  std::size_t function = 0;
  bool useful = false;
};

/// Learns usefulness from answers about some rows of `features`.
using UsefulnessModel = std::function<Usefulness(
    const Features& features, std::span<const DialogueAnswer> answers, std::uint64_t seed)>;

enum class Acquisition {
  level_set,      ///< straddle: where it is least certain whether P(useful) is above r
  active_search,  ///< the largest mean
  random,
};

struct DialogueOptions {
  std::size_t queries = 25;
  std::size_t seeds = 4;         ///< random candidates that are taken as useful to begin with
  double usefulness = 0.6;       ///< r, and the accuracy above which an oracle calls one useful
  std::size_t unverified = 100;  ///< most functions that nobody was asked about in the final set
  Acquisition acquisition = Acquisition::level_set;
  std::uint64_t seed = 0;
};

/// 1.96 deviation - |mean - r|.
double straddle(double mean, double deviation, double r);

/// A dialogue about candidates. Its state is the answers alone: it can be saved and go on
/// elsewhere.
class Dialogue {
 public:
  /// All three outlive the dialogue. InputError if there are no more candidates than seeds.
  Dialogue(const FunctionCandidates& candidates, const UsefulnessModel& model,
           const DialogueOptions& options);

  /// The candidate to ask about next; nothing once all queries are made or all candidates are
  /// known. Asked again without an answer between, it is the same one.
  std::optional<std::size_t> next();
  /// The answer about next(). InputError if there is nothing to answer.
  void answer(bool useful);
  const std::vector<DialogueAnswer>& answers() const { return answers_; }

  /// The candidates that were found useful, and with level sets up to `unverified` others whose
  /// mean is r or more, those with the largest (2 mean - 1) * coverage. Increasing.
  std::vector<std::size_t> selected() const;

  /// The state as JSON: options and answers; what was random follows from the options.
  std::string save() const;
  /// Goes on from a state of the same candidates and options. InputError naming `where` for a state
  /// that is damaged, of other candidates or of other options.
  void restore(std::string_view state, const std::string& where);

 private:
  std::vector<DialogueAnswer> known() const;
  bool is_known(std::size_t function) const;
  Usefulness believed() const;
  std::size_t choose() const;

  const FunctionCandidates& candidates_;
  const UsefulnessModel& model_;
  const DialogueOptions options_;
  std::vector<std::size_t> seeds_;
  std::vector<DialogueAnswer> answers_;
  std::optional<std::size_t> pending_;
};

/// Asks `oracle` until the dialogue has no more questions.
void hold(Dialogue& dialogue, const std::function<bool(std::size_t function)>& oracle);

/// The oracle by labelled rows: useful if right on more than `threshold` of the rows it votes on.
std::function<bool(std::size_t function)> labelled_oracle(const FunctionCandidates& candidates,
                                                          double threshold);

}  // namespace amalgam::labels
