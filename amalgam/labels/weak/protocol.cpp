#include "amalgam/labels/weak/protocol.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/data/shuffle.hpp"
#include "amalgam/labels/label_metrics.hpp"
#include "amalgam/labels/weak/fit_votes.hpp"

namespace amalgam::labels {
namespace {

WeakLabels all_covered(SoftLabels soft) {
  WeakLabels labels{std::move(soft), {}};
  labels.covered.assign(labels.soft.items, true);
  return labels;
}

// Items [first, first + votes.items) of the posterior.
WeakLabels part_of(const SoftLabels& posterior, std::size_t first, const VoteMatrix& votes) {
  WeakLabels labels{SoftLabels(votes.items, posterior.classes), std::vector<bool>(votes.items)};
  for (std::size_t i = 0; i < votes.items; ++i) {
    labels.covered[i] = votes.covered(i);
    std::ranges::copy(posterior.row(first + i), labels.soft.row(i).begin());
  }
  return labels;
}

}  // namespace

ProtocolRows draw_protocol_rows(std::span<const Label> truth, std::size_t classes,
                                std::size_t labelled, std::size_t unlabelled, std::uint64_t seed) {
  if (labelled < classes || labelled + unlabelled >= truth.size() || unlabelled == 0) {
    throw InputError(
        "{} labelled and {} unlabelled rows of {}, {} classes; expected a labelled row of"
        " each class, some unlabelled ones, and some left for testing",
        labelled, unlabelled, truth.size(), classes);
  }
  const std::vector<std::size_t> order = shuffled_indices(truth.size(), seed, "protocol rows");
  ProtocolRows rows;
  std::vector<bool> taken(truth.size());
  std::vector<bool> has_row(classes);
  for (const std::size_t row : order) {
    if (truth[row] >= classes) {
      throw InputError("row {}: class {}; expected one below {}", row, truth[row], classes);
    }
    if (has_row[truth[row]]) continue;
    has_row[truth[row]] = true;
    taken[row] = true;
    rows.labelled.push_back(row);
  }
  const auto missing = std::ranges::find(has_row, false);
  if (missing != has_row.end()) {
    throw InputError("class {} has no row", missing - has_row.begin());
  }
  for (const std::size_t row : order) {
    if (taken[row]) continue;
    if (rows.labelled.size() < labelled) {
      rows.labelled.push_back(row);
    } else if (rows.unlabelled.size() < unlabelled) {
      rows.unlabelled.push_back(row);
    } else {
      rows.test.push_back(row);
    }
  }
  return rows;
}

ProtocolData protocol_data(const Features& features, std::span<const Label> truth,
                           std::size_t classes, const ProtocolRows& rows) {
  ProtocolData data{.labelled = select_rows(features, rows.labelled),
                    .labels = {},
                    .unlabelled = select_rows(features, rows.unlabelled),
                    .test = select_rows(features, rows.test),
                    .classes = classes};
  for (const std::size_t row : rows.labelled) data.labels.push_back(truth[row]);
  return data;
}

void label_by_votes(std::string_view label_model, const VoteMatrix& unlabelled,
                    const VoteMatrix& test, std::span<const double> balance,
                    const FitContext& context, ProtocolResult& result) {
  const VoteMatrix all = stacked(unlabelled, test);
  result.functions = all.functions;
  LabelFit fit = fit_votes(label_model, table_of(all, balance.size()), balance, {}, context);
  const SoftLabels posterior = std::move(fit.posterior);
  result.warnings = std::move(fit.warnings);
  result.unlabelled = part_of(posterior, 0, unlabelled);
  result.test = part_of(posterior, unlabelled.items, test);
}

std::vector<ProtocolResult> by_functions(const std::string& name, const ProtocolData& data,
                                         std::span<const LabellingFunction> functions,
                                         std::span<const std::string> label_models,
                                         const FitContext& context) {
  if (functions.empty()) throw InputError("{}: there is no labelling function", name);
  const VoteMatrix unlabelled = votes_of(functions, data.unlabelled, context.parallel);
  const VoteMatrix test = votes_of(functions, data.test, context.parallel);
  const std::vector<double> balance = class_balance(data.labels, data.classes);
  std::vector<ProtocolResult> results;
  for (const std::string& model : label_models) {
    ProtocolResult& result = results.emplace_back();
    result.method = fmt::format("{}, {}", name, model);
    label_by_votes(model, unlabelled, test, balance, context, result);
  }
  return results;
}

std::vector<LabellingFunction> functions_by_dialogue(
    const ProtocolData& data, const CandidateOptions& candidates, const DialogueOptions& options,
    const UsefulnessModel& model, const OracleMaker& oracle, std::size_t components) {
  std::vector<LabellingFunction> functions;
  DialogueOptions share = options;
  share.unverified = options.unverified / data.classes;
  for (std::size_t k = 0; k < data.classes; ++k) {
    const auto target = static_cast<Label>(k);
    if (std::ranges::find(data.labels, target) == data.labels.end()) continue;
    const FunctionCandidates made = make_candidates(data.known(), candidates, components, target);
    if (made.functions.size() <= options.seeds) continue;
    Dialogue dialogue(made, model, share);
    hold(dialogue, oracle(made));
    for (const std::size_t chosen : dialogue.selected()) {
      functions.push_back(made.functions[chosen]);
    }
  }
  return functions;
}

ProtocolResult by_few_shot(const ProtocolData& data) {
  ProtocolResult result;
  result.method = "few-shot";
  result.test = all_covered(few_shot(data.known(), data.test));
  return result;
}

ProtocolResult by_propagation(const ProtocolData& data, const PropagationOptions& options) {
  ProtocolResult result;
  result.method = "label propagation";
  Features some = data.unlabelled;
  const std::size_t room = options.most_rows - std::min(options.most_rows, data.labelled.rows);
  if (some.rows > room) {
    result.warnings.push_back(
        fmt::format("label propagation looks at {} of the {} unlabelled rows", room, some.rows));
    some.rows = room;
    some.values.resize(room * some.columns);
  }
  result.test = all_covered(propagate_labels(data.known(), some, data.test, options).soft);
  return result;
}

ProtocolResult by_goggles(const ProtocolData& data, const GogglesOptions& options) {
  const Goggles goggles(std::span(&data.labelled, 1), data.labels, data.classes, options,
                        std::span(&data.unlabelled, 1));
  ProtocolResult result;
  result.method = "GOGGLES";
  result.unlabelled = all_covered(goggles.label(std::span(&data.unlabelled, 1)));
  result.test = all_covered(goggles.label(std::span(&data.test, 1)));
  return result;
}

WeakQuality weak_quality(const WeakLabels& labels, std::span<const Label> truth) {
  if (truth.size() != labels.soft.items) {
    throw InputError("{} labels to judge by {} true ones", labels.soft.items, truth.size());
  }
  const HardLabels hard = hard_labels(labels.soft);
  std::vector<Label> voted = hard.labels;
  double covered = 0;
  double right = 0;
  for (std::size_t i = 0; i < voted.size(); ++i) {
    if (!labels.covered[i]) {
      voted[i] = kNoLabel;
      continue;
    }
    covered += 1;
    right += voted[i] == truth[i] ? 1 : 0;
  }
  const SoftQuality soft = soft_quality(labels.soft, truth);
  const auto items = static_cast<double>(truth.size());
  WeakQuality quality{.covered_accuracy = right / covered,
                      .coverage = covered / items,
                      .accuracy = right / items,
                      .macro_f1 = 0,
                      .ece = soft.ece,
                      .brier = soft.brier,
                      .nll = soft.nll};
  std::vector<double> all_f1;
  for (std::size_t k = 0; k < labels.soft.classes; ++k) {
    double both = 0;
    double either = 0;
    for (std::size_t i = 0; i < voted.size(); ++i) {
      both += voted[i] == k && truth[i] == k ? 1 : 0;
      either += (voted[i] == k ? 1 : 0) + (truth[i] == k ? 1 : 0);
    }
    if (either > 0) all_f1.push_back(2 * both / either);
  }
  for (const double f1 : all_f1) quality.macro_f1 += f1 / static_cast<double>(all_f1.size());
  return quality;
}

}  // namespace amalgam::labels
