#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "amalgam/labels/label_model.hpp"
#include "amalgam/labels/weak/baselines.hpp"
#include "amalgam/labels/weak/dialogue.hpp"
#include "amalgam/labels/weak/goggles.hpp"
#include "amalgam/labels/weak/snuba.hpp"

/// The protocol of AutoWS-Bench-101 (Roberts et al. 2022): a few labelled rows, many without
/// labels, and test rows for the figures alone.
namespace amalgam::labels {

/// Which rows of a data set are what.
struct ProtocolRows {
  std::vector<std::size_t> labelled;
  std::vector<std::size_t> unlabelled;
  std::vector<std::size_t> test;
};

/// Draws `labelled` rows at random, but one of each class at least, then `unlabelled` ones; the
/// others are for testing. InputError if there are not so many rows, none is left, or a class has
/// no row.
ProtocolRows draw_protocol_rows(std::span<const Label> truth, std::size_t classes,
                                std::size_t labelled, std::size_t unlabelled, std::uint64_t seed);

struct ProtocolData {
  Features labelled;
  std::vector<Label> labels;  ///< of the labelled rows
  Features unlabelled;
  Features test;
  std::size_t classes = 0;

  LabelledRows known() const { return {labelled, labels, classes}; }
};
ProtocolData protocol_data(const Features& features, std::span<const Label> truth,
                           std::size_t classes, const ProtocolRows& rows);

/// Probabilities of rows, some of which nothing votes on: those have the class balance.
struct WeakLabels {
  SoftLabels soft;
  std::vector<bool> covered;  ///< [items]
};

/// What a method makes of the data.
struct ProtocolResult {
  std::string method;
  WeakLabels unlabelled;  ///< of methods that make training sets; of others without items
  WeakLabels test;
  std::size_t functions = 0;  ///< labelling functions that it made
  std::vector<std::string> warnings;
};

/// Labels rows by labelling functions' votes: one fit of `label_model` on the votes on all rows
/// given, `unlabelled` and `test` (no labels of theirs). A model with a parameter `balance` gets
/// the class balance. If nothing is covered, every row has the balance, with a warning.
void label_by_votes(std::string_view label_model, const VoteMatrix& unlabelled,
                    const VoteMatrix& test, std::span<const double> balance,
                    const FitContext& context, ProtocolResult& result);

/// Applies functions and labels by each of the label models: one result per model, named
/// "name, model".
std::vector<ProtocolResult> by_functions(const std::string& name, const ProtocolData& data,
                                         std::span<const LabellingFunction> functions,
                                         std::span<const std::string> label_models,
                                         const FitContext& context);

/// The functions that dialogues find useful, one dialogue per class with its own candidates;
/// `oracle` makes the answers for the candidates of a class from them (labelled_oracle, say). A
/// class whose candidates are no more than the dialogue's seeds gives none. The `unverified`
/// functions of the options are shared out evenly among the classes. `components` as of
/// make_candidates.
using OracleMaker =
    std::function<std::function<bool(std::size_t function)>(const FunctionCandidates& candidates)>;
std::vector<LabellingFunction> functions_by_dialogue(
    const ProtocolData& data, const CandidateOptions& candidates, const DialogueOptions& options,
    const UsefulnessModel& model, const OracleMaker& oracle, std::size_t components = 40);

ProtocolResult by_few_shot(const ProtocolData& data);
/// The graph has the labelled rows and the first unlabelled ones up to `options.most_rows`.
ProtocolResult by_propagation(const ProtocolData& data, const PropagationOptions& options = {});
ProtocolResult by_goggles(const ProtocolData& data, const GogglesOptions& options = {});

/// How good a method is on the test rows.
struct WeakQuality {
  double covered_accuracy = 0;  ///< over covered rows; NaN if there are none
  double coverage = 0;          ///< share of rows that are covered
  double accuracy = 0;          ///< over all rows, uncovered ones being wrong
  double macro_f1 = 0;          ///< over all rows, uncovered ones being missed
  double ece = 0;               ///< of the probabilities of all rows, as the two below
  double brier = 0;
  double nll = 0;
};
/// InputError unless there is a truth for each item.
WeakQuality weak_quality(const WeakLabels& labels, std::span<const Label> truth);

}  // namespace amalgam::labels
