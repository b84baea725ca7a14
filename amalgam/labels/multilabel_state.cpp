#include "amalgam/labels/multilabel_state.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/labels/multilabel.hpp"

namespace amalgam::labels {
namespace {

constexpr std::string_view kCommand = "multilabel";
constexpr const char* kSeed = "amalgam.labels.seed";
constexpr Label kYes = 1;

std::string part_of(std::size_t label) { return fmt::format("label.{}.", label); }

// The columns of a label's state begin with this one.
bool has_state(const ColumnReader& part) { return part.has_column("rows.begins"); }

void check_parameters(const StateHead& head) {
  const LabelModelInfo& info = find_label_model(head.method).info();
  parameters_from_arguments(info.name, info.parameters, head.parameters);
}

std::optional<Label> label_in(const AnnotationTable& table, std::string_view name) {
  const std::uint32_t label = table.label_names.find(name);
  if (label == StringPool::npos) return std::nullopt;
  return static_cast<Label>(label);
}

void take_in(MultilabelReport& all, const AbsorbReport& one) {
  all.sweeps = std::max(all.sweeps, one.sweeps);
  all.tasks_updated = std::max(all.tasks_updated, one.tasks_updated);
  all.workers_updated = std::max(all.workers_updated, one.workers_updated);
  all.converged = all.converged && one.converged;
  all.largest_change = std::max(all.largest_change, one.largest_change);
  all.stale_mass = std::max(all.stale_mass, one.stale_mass);
  all.fits_everything = all.fits_everything || one.fits_everything;
}

// A label that no answer has would cost as much as any other, and nobody wrote it.
void check_every_label_is_given(const ColumnReader& reader, const AnnotationTable& answers) {
  std::vector<bool> given(answers.label_count(), false);
  for (const Label label : answers.labels) {
    if (label != kNoLabel) given[label] = true;
  }
  reader.check(std::ranges::find(given, false) == given.end(), "labels");
}

std::uint64_t answer_count(const AnnotationTable& table) {
  return relevance_table(table, std::nullopt).rows();
}

}  // namespace

MultilabelState::MultilabelState(std::string method, std::vector<std::string> parameters,
                                 std::uint64_t seed)
    : head_{std::move(method), std::move(parameters)}, seed_(seed) {
  check_parameters(head_);
  answers_.task_begins = {0};
}

MultilabelState::MultilabelState(const ColumnReader& reader)
    : head_(read_state_head(reader, kCommand)), seed_(reader.number(kSeed)) {
  reader.checked([&] { return check_parameters(head_); });
  AnnotationBuilder builder;
  builder.add(read_state_rows(reader, true));
  answers_ = builder.finish(reader.path().string());
  if (std::ranges::all_of(answers_.weights, [](float weight) { return weight == 1; })) {
    answers_.weights.clear();
  }
  const std::uint64_t answers = answer_count(answers_);
  check_every_label_is_given(reader, answers_);
  for (std::size_t label = 0; label < answers_.label_count(); ++label) {
    check_interrupt();
    const ColumnReader part = reader.part(part_of(label));
    if (!has_state(part)) {
      const auto same = constant_relevance(relevance_table(answers_, static_cast<Label>(label)));
      reader.check(same.has_value(), "labels");
      states_.emplace_back();
      continue;
    }
    states_.push_back(load_label_state(part));
    const LabelState& state = *states_.back();
    reader.check(state.annotations() == answers && state.task_count() == answers_.task_count() &&
                     state.worker_count() == answers_.worker_count(),
                 "labels");
  }
}

std::unique_ptr<LabelState> MultilabelState::fitted(const AnnotationTable& question,
                                                    MultilabelReport& report,
                                                    const AbsorbOptions& options) const {
  FitContext context;
  context.seed = seed_;
  context.parallel = options.parallel;
  std::unique_ptr<LabelState> state =
      make_label_state(question, head_.method, head_.parameters, context);
  const RefineReport settled = state->refine(kSettled, kSettlingSweeps, options.parallel);
  take_in(report, {.sweeps = settled.sweeps,
                   .tasks_updated = question.task_count(),
                   .workers_updated = question.worker_count(),
                   .converged = settled.converged});
  return state;
}

MultilabelReport MultilabelState::absorb(const AnnotationTable& added,
                                         const AbsorbOptions& options) {
  check_new_answers(answers_, added);
  AnnotationBuilder builder;
  builder.add(answers_);
  builder.add(added);
  AnnotationTable all = builder.finish("answers");
  check_labels(all);
  MultilabelReport report;
  report.annotations = answer_count(added);
  report.new_tasks = all.task_count() - answers_.task_count();
  report.new_workers = all.worker_count() - answers_.worker_count();
  report.new_labels = all.label_count() - answers_.label_count();
  report.converged = true;
  // What is fitted as a whole first: there most can be wrong.
  States states(all.label_count());
  for (std::size_t label = 0; label < states.size(); ++label) {
    check_interrupt();
    const std::optional<Label> old = label_in(answers_, all.label_names[label]);
    if (old && states_[*old] != nullptr) continue;
    const AnnotationTable question = relevance_table(all, static_cast<Label>(label));
    if (!constant_relevance(question)) states[label] = fitted(question, report, options);
  }
  for (std::size_t label = 0; label < states.size(); ++label) {
    check_interrupt();
    const std::string_view name = all.label_names[label];
    const std::optional<Label> old = label_in(answers_, name);
    if (!old || states_[*old] == nullptr) continue;
    take_in(report, states_[*old]->absorb(relevance_table(added, label_in(added, name)), options));
    states[label] = std::move(states_[*old]);
  }
  answers_ = std::move(all);
  states_ = std::move(states);
  return report;
}

bool MultilabelState::refine(const Parallel& parallel) {
  bool converged = true;
  for (const std::unique_ptr<LabelState>& state : states_) {
    check_interrupt();
    if (state == nullptr) continue;
    converged = state->refine(kSettled, kSettlingSweeps, parallel).converged && converged;
  }
  return converged;
}

SoftLabels MultilabelState::probabilities(std::vector<std::string>* warnings) const {
  SoftLabels probabilities(answers_.task_count(), answers_.label_count());
  for (std::size_t label = 0; label < states_.size(); ++label) {
    check_interrupt();
    if (states_[label] == nullptr) {
      const double same =
          constant_relevance(relevance_table(answers_, static_cast<Label>(label))).value_or(0);
      for (std::size_t task = 0; task < probabilities.items; ++task) {
        probabilities.row(task)[label] = same;
      }
      continue;
    }
    const LabelState::Result result = states_[label]->result();
    const std::uint32_t yes = result.table.label_names.find("1");
    for (std::size_t task = 0; task < result.table.task_count(); ++task) {
      const std::uint32_t here = answers_.task_names.find(result.table.task_names[task]);
      if (here == StringPool::npos || yes != kYes) {
        throw InputError("the state's labels are not of its answers");
      }
      probabilities.row(here)[label] = result.fit.posterior.row(task)[kYes];
    }
    if (warnings == nullptr) continue;
    for (const std::string& warning : result.fit.warnings) {
      warnings->push_back(
          fmt::format("label '{}': {}", printable(answers_.label_names[label]), warning));
    }
  }
  return probabilities;
}

ColumnSet MultilabelState::columns() const {
  ColumnSet set{.columns = {}, .metadata = state_metadata(head_, kCommand)};
  set.metadata[kSeed] = fmt::to_string(seed_);
  AnnotationTable rows = answers_;
  rows.weights.resize(rows.rows(), 1);
  add_state_rows(set.columns, rows);
  for (std::size_t label = 0; label < states_.size(); ++label) {
    if (states_[label] != nullptr) set.add_part(part_of(label), states_[label]->columns());
  }
  return set;
}

}  // namespace amalgam::labels
