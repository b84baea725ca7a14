#include "amalgam/labels/label_predictor.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/labels/column_file.hpp"
#include "amalgam/labels/label_state.hpp"
#include "amalgam/labels/models/em.hpp"
#include "amalgam/labels/state_rows.hpp"
#include "amalgam/labels/weak/fit_votes.hpp"

namespace amalgam::labels {
namespace {

constexpr const char* kFormat = "amalgam.labels.model";
constexpr const char* kStateFormat = "amalgam.labels.state";
constexpr const char* kVersion = "1";
constexpr const char* kMethod = "amalgam.labels.method";
constexpr const char* kScores = "amalgam.labels.scores";
constexpr const char* kLogits = "logits";
constexpr const char* kOneAgainstRest = "one-against-rest";
constexpr const char* kShares = "shares";

// How a file says what scores become.
const char* scores_name(const VoteEvidence& evidence) {
  if (evidence.form == VoteEvidence::Form::weights) return kShares;
  return evidence.one_against_rest ? kOneAgainstRest : kLogits;
}

std::vector<double> uniform(std::size_t classes) {
  return std::vector<double>(classes, 1.0 / static_cast<double>(classes));
}

// Adds what a vote of weight `weight` says.
void add_vote(const VoteEvidence& evidence, Worker worker, Label label, double weight,
              std::span<double> scores) {
  const std::size_t classes = scores.size();
  if (evidence.form == VoteEvidence::Form::weights) {
    scores[label] += weight * evidence.values[worker];
    return;
  }
  if (evidence.form == VoteEvidence::Form::tables) {
    const double* said = evidence.values.data() + (std::size_t{worker} * classes + label) * classes;
    for (std::size_t k = 0; k < classes; ++k) scores[k] += weight * said[k];
    return;
  }
  const double* same = evidence.values.data() + std::size_t{worker} * 2 * classes;
  const double* other = same + classes;
  for (std::size_t k = 0; k < classes; ++k) scores[k] += weight * (k == label ? same[k] : other[k]);
}

}  // namespace

LabelPredictor::LabelPredictor(std::string method, const AnnotationTable& table,
                               const LabelFit& fit)
    : method_(std::move(method)),
      workers_(table.worker_names),
      labels_(table.label_names),
      prior_(fit.prior),
      evidence_(fit.evidence) {
  if (evidence_.form == VoteEvidence::Form::none) {
    throw InputError(
        "method '{}' learns nothing of workers alone by which new tasks can be labelled; aggregate "
        "the new annotations by it ('amalgam label aggregate'), or fit a method that does, such "
        "as dawid-skene or wawa",
        method_);
  }
  if (prior_.empty()) prior_ = uniform(labels_.size());
}

std::vector<Worker> LabelPredictor::known_workers(const AnnotationTable& table) const {
  std::vector<Worker> known;
  for (std::size_t w = 0; w < table.worker_count(); ++w) {
    known.push_back(workers_.find(table.worker_names[w]));
  }
  return known;
}

std::vector<Label> LabelPredictor::known_labels(const AnnotationTable& table) const {
  std::vector<Label> known;
  for (std::size_t l = 0; l < table.label_count(); ++l) {
    const std::uint32_t found = labels_.find(table.label_names[l]);
    known.push_back(found == StringPool::npos ? kNoLabel : static_cast<Label>(found));
  }
  for (const Label label : table.labels) {
    if (known[label] != kNoLabel) continue;
    throw InputError(
        "an annotation has the label '{}', which the model does not know; it was fitted to {} "
        "labels "
        "('{}' is one), and a new one needs a new fit",
        table.label_names[label], labels_.size(), labels_[0]);
  }
  return known;
}

bool LabelPredictor::add_votes(const AnnotationTable& table, Task task, const Known& known,
                               std::span<double> scores) const {
  bool is_covered = false;
  const auto [first, last] = table.rows_of(task);
  for (std::size_t row = first; row < last; ++row) {
    const Worker worker = known.workers[table.workers[row]];
    if (worker == StringPool::npos || table.weight(row) == 0) continue;
    is_covered = true;
    add_vote(evidence_, worker, known.labels[table.labels[row]], table.weight(row), scores);
  }
  return is_covered;
}

// Shares of the votes; where those weigh nothing, of the workers' plain votes.
void LabelPredictor::set_shares(const AnnotationTable& table, Task task, const Known& known,
                                std::span<double> scores) {
  double sum = std::reduce(scores.begin(), scores.end());
  if (!(sum > 0)) {
    sum = 0;
    const auto [first, last] = table.rows_of(task);
    for (std::size_t row = first; row < last; ++row) {
      if (known.workers[table.workers[row]] == StringPool::npos) continue;
      scores[known.labels[table.labels[row]]] += table.weight(row);
      sum += table.weight(row);
    }
  }
  for (double& score : scores) score /= sum;
}

LabelPrediction LabelPredictor::predict(const AnnotationTable& table,
                                        const Parallel& parallel) const {
  const Known known{known_workers(table), known_labels(table)};
  LabelPrediction result;
  result.soft = SoftLabels(table.task_count(), labels_.size());
  std::vector<char> covered(table.task_count(), 0);
  parallel_for(parallel, models::task_blocks(table), [&](std::size_t block, std::size_t) {
    const models::TaskRange range = models::task_range(table, block);
    for (Task task = range.begin; task < range.end; ++task) {
      const std::span<double> scores = result.soft.row(task);
      std::ranges::copy(evidence_.start, scores.begin());
      covered[task] = add_votes(table, task, known, scores) ? 1 : 0;
      if (covered[task] == 0) {
        std::ranges::copy(prior_, scores.begin());
        continue;
      }
      if (evidence_.form == VoteEvidence::Form::weights) {
        set_shares(table, task, known, scores);
        continue;
      }
      if (evidence_.one_against_rest) {
        for (double& score : scores) score = portable_logistic(score);
      }
      models::softmax_in_place(scores.data(), scores.size());
    }
  });
  constexpr std::size_t kNamed = 3;
  for (const Worker worker : table.workers) {
    result.of_unknown_workers += known.workers[worker] == StringPool::npos ? 1 : 0;
  }
  result.used = table.rows() - result.of_unknown_workers;
  for (std::size_t w = 0; w < known.workers.size() && result.unknown.size() < kNamed; ++w) {
    if (known.workers[w] == StringPool::npos) result.unknown.emplace_back(table.worker_names[w]);
  }
  result.uncovered = static_cast<std::uint64_t>(std::ranges::count(covered, 0));
  return result;
}

void LabelPredictor::save(const std::filesystem::path& path) const {
  const std::size_t classes = labels_.size();
  std::vector<Column> columns;
  add_names(columns, "workers", workers_);
  add_names(columns, "labels", labels_);
  columns.push_back(make_column("prior", DType::f64, prior_));
  columns.push_back(make_column("start", DType::f64, evidence_.start));
  const auto add_values = [&](const char* name, Shape shape) {
    columns.push_back(make_column(name, DType::f64, evidence_.values, std::move(shape)));
  };
  if (evidence_.form == VoteEvidence::Form::weights) {
    add_values("weights", {workers_.size()});
  } else if (evidence_.form == VoteEvidence::Form::tables) {
    add_values("tables", {workers_.size(), classes, classes});
  } else {
    add_values("sides", {workers_.size(), 2, classes});
  }
  write_column_file(
      path,
      {.columns = std::move(columns),
       .metadata = {{kFormat, kVersion}, {kMethod, method_}, {kScores, scores_name(evidence_)}}});
}

LabelPredictor LabelPredictor::load(const std::filesystem::path& path) {
  const ColumnReader reader(path);
  if (reader.has_text(kStateFormat)) {
    if (is_vote_state(reader)) {
      const VoteState state(reader);
      const LabelState::Result result = state.result(true);
      return LabelPredictor(state.votes().method(), result.table, result.fit);
    }
    if (state_command(reader) != "aggregate") {
      reader.fail(
          fmt::format("a state of 'amalgam label {}' labels no new tasks; expected one of "
                      "'label aggregate' or 'label weak', or what --model wrote",
                      printable(state_command(reader))));
    }
    const std::unique_ptr<LabelState> state = load_label_state(reader);
    const LabelState::Result result = state->result(true);
    return LabelPredictor(state->method(), result.table, result.fit);
  }
  if (!reader.has_text(kFormat) || reader.text(kFormat) != kVersion) {
    reader.fail(
        "it is no fitted label model (of version 1); 'amalgam label aggregate --model' or 'label "
        "weak --model' makes them");
  }
  LabelPredictor model;
  model.method_ = reader.text(kMethod);
  model.workers_ = reader.names("workers");
  model.labels_ = reader.names("labels");
  model.prior_ = reader.column<double>("prior", DType::f64);
  const std::size_t classes = model.labels_.size();
  reader.check(classes >= 2 && classes <= kMostLabels && !model.workers_.empty(), "names");
  VoteEvidence& evidence = model.evidence_;
  evidence.start = reader.column<double>("start", DType::f64);
  evidence.one_against_rest = reader.text(kScores) == kOneAgainstRest;
  const char* column = "sides";
  std::size_t numbers = 2 * classes;  // per worker
  evidence.form = VoteEvidence::Form::sides;
  if (reader.has_column("tables")) {
    column = "tables";
    numbers = classes * classes;
    evidence.form = VoteEvidence::Form::tables;
  } else if (reader.has_column("weights")) {
    column = "weights";
    numbers = 1;
    evidence.form = VoteEvidence::Form::weights;
  }
  evidence.values = reader.column<double>(column, DType::f64);
  reader.check(reader.text(kScores) == scores_name(evidence), "scores");
  reader.check(model.prior_.size() == classes && evidence.start.size() == classes, "labels");
  reader.check(evidence.values.size() / numbers == model.workers_.size() &&
                   evidence.values.size() % numbers == 0,
               "workers");
  reader.check(evidence.form != VoteEvidence::Form::weights ||
                   std::ranges::all_of(evidence.values, [](double x) { return x >= 0; }),
               "weights");
  for (const std::vector<double>* values : {&model.prior_, &evidence.start, &evidence.values}) {
    reader.check(std::ranges::all_of(*values, [](double x) { return std::isfinite(x); }),
                 "numbers");
  }
  return model;
}

void set_label_names(AnnotationTable& table, const StringPool& labels) {
  for (Label& label : table.labels) {
    label = static_cast<Label>(labels.find(table.label_names[label]));
  }
  table.label_names = labels;
}

}  // namespace amalgam::labels
