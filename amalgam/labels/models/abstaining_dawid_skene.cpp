#include "amalgam/labels/models/abstaining_dawid_skene.hpp"

#include <fmt/format.h>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/models/ascend.hpp"
#include "amalgam/labels/models/dawid_skene.hpp"

namespace amalgam::labels::models {
namespace {

// The rows as they are counted. Where abstentions are rows, those have the label number `classes`;
// where they are missing rows, `speaks` says which rows are the first of their worker and task.
struct Said {
  const AnnotationTable& table;
  std::size_t classes;
  std::span<const char> speaks;  // [rows], or empty
};

// log Pr(worker says l | truth k), [workers, l, k], l = classes being an abstention.
struct SaidLikelihood {
  const Said& said;
  std::span<const double> logs;

  template <int kClasses>
  void add(std::size_t row, double* log_likelihoods) const {
    const std::size_t count = kClasses > 0 ? kClasses : said.classes;
    const double* worker = logs.data() + said.table.workers[row] * (count + 1) * count;
    const double* label = worker + said.table.labels[row] * count;
    const double weight = said.table.weight(row);
    for (std::size_t k = 0; k < count; ++k) log_likelihoods[k] += weight * label[k];
    if (said.speaks.empty() || said.speaks[row] == 0) return;
    const double* silence = worker + count * count;
    for (std::size_t k = 0; k < count; ++k) log_likelihoods[k] -= silence[k];
  }
};

// How often each worker said l while the truth was k; of missing rows, how often he spoke at all.
struct SaidCounts {
  const Said* said = nullptr;
  std::vector<double> sums;  // [workers, classes + 1, classes]

  template <int kClasses>
  void absorb(std::size_t row, const double* posterior) {
    const std::size_t count = kClasses > 0 ? kClasses : said->classes;
    double* worker = sums.data() + said->table.workers[row] * (count + 1) * count;
    double* label = worker + said->table.labels[row] * count;
    const double weight = said->table.weight(row);
    for (std::size_t k = 0; k < count; ++k) label[k] += weight * posterior[k];
    if (said->speaks.empty() || said->speaks[row] == 0) return;
    double* spoke = worker + count * count;
    for (std::size_t k = 0; k < count; ++k) spoke[k] += posterior[k];
  }
  template <class Visit>
  void visit_numbers(Visit visit) {
    visit(std::span(sums));
  }
  void combine(SaidCounts&& right) {
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += right.sums[i];
  }
};

AnnotationTable with_abstentions_as_labels(const AnnotationTable& table) {
  AnnotationTable shown = table;
  bool any = false;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.weight(row) > 0) continue;
    any = true;
    shown.labels[row] = static_cast<Label>(table.label_count());
    shown.weights[row] = 1;
  }
  if (!any) {
    throw InputError(
        "abstentions=marked, but no annotation is an abstention; expected a label that says so "
        "(--abstain LABEL), or rows of weight 0");
  }
  return shown;
}

std::vector<char> first_rows(const AnnotationTable& table) {
  std::vector<char> first(table.rows(), 0);
  for (Task task = 0; task < table.task_count(); ++task) {
    const auto [begin, end] = table.rows_of(task);
    bool spoken = false;  // by the worker of the row
    for (std::size_t row = begin; row < end; ++row) {
      if (row > begin && table.workers[row] != table.workers[row - 1]) spoken = false;
      first[row] = !spoken && table.weight(row) > 0 ? 1 : 0;
      spoken = spoken || first[row] != 0;
    }
  }
  return first;
}

class Fit {
 public:
  Fit(const AnnotationTable& table, AbstentionKind kind, const FitContext& context)
      : table_(table),
        context_(context),
        is_missing_(kind == AbstentionKind::missing),
        shown_(is_missing_ ? AnnotationTable{} : with_abstentions_as_labels(table)),
        speaks_(is_missing_ ? first_rows(table) : std::vector<char>{}),
        classes_(table.label_count()),
        said_{is_missing_ ? table_ : shown_, classes_, speaks_},
        smoothing_{context.parameters.number("diagonal"),
                   context.parameters.number("off_diagonal")} {}

  LabelFit run() {
    fit_.posterior = vote_shares(table_, context_.parallel);
    clamp_to_gold(fit_.posterior, context_.gold);
    if (is_missing_) count_silent_tasks();
    EmPass<SaidCounts> votes = pass(false);
    Expected first{std::move(votes.counts.sums), std::move(votes.class_sums), votes.covered};
    Expected start = first;
    maximise(start);
    Convergence convergence(table_, context_, fit_);
    ascend(
        convergence, context_, true, std::move(first), [&] { return pass(true); },
        [&] { return log_density(); }, [&](Expected& expected) { maximise(expected); });
    share_posterior(said_.table, bytes(), context_, fit_.posterior);
    describe_workers();
    return std::move(fit_);
  }

 private:
  std::size_t square() const { return (classes_ + 1) * classes_; }
  std::size_t bytes() const { return table_.worker_count() * square() * sizeof(double); }

  // Tasks on which all workers abstain, without gold: they all have the same posterior.
  void count_silent_tasks() {
    for (Task task = 0; task < table_.task_count(); ++task) {
      if (context_.gold != nullptr && context_.gold->labels[task] != kNoLabel) continue;
      const auto [begin, end] = table_.rows_of(task);
      bool speaks = false;
      for (std::size_t row = begin; row < end; ++row) speaks = speaks || table_.weight(row) > 0;
      silent_tasks_ += speaks ? 0 : 1;
    }
  }

  EmPass<SaidCounts> pass(bool expect) {
    const auto make_counts = [&] {
      return SaidCounts{&said_, std::vector<double>(table_.worker_count() * square(), 0)};
    };
    EmPass<SaidCounts> result =
        em_pass(said_.table, start_, SaidLikelihood{said_, logs_}, make_counts, bytes(), context_,
                fit_.posterior, expect, Posteriors::own);
    if (!is_missing_) return result;
    add_silent_tasks(expect, result);
    for (std::size_t w = 0; w < table_.worker_count(); ++w) {
      double* const spoke = &result.counts.sums[w * square() + classes_ * classes_];
      for (std::size_t k = 0; k < classes_; ++k) {
        spoke[k] = std::max(0.0, result.class_sums[k] - spoke[k]);
      }
    }
    return result;
  }

  // What em_pass leaves out, as its tasks without rows say nothing.
  void add_silent_tasks(bool expect, EmPass<SaidCounts>& result) const {
    std::vector<double> posterior(classes_, 1.0 / static_cast<double>(classes_));
    if (expect) {
      posterior = start_;
      result.log_likelihood += silent_tasks_ * softmax_in_place(posterior.data(), classes_);
    }
    result.covered += silent_tasks_;
    for (std::size_t k = 0; k < classes_; ++k) {
      result.class_sums[k] += silent_tasks_ * posterior[k];
    }
  }

  void maximise(Expected& expected) {
    fit_.prior = std::move(expected.class_sums);
    for (double& p : fit_.prior) p /= expected.covered;
    logs_ = std::move(expected.counts);
    for (std::size_t w = 0; w < table_.worker_count(); ++w) {
      normalise_worker(&logs_[w * square()], classes_, smoothing_, classes_ + 1);
    }
    start_ = log_of(fit_.prior);
    for (std::size_t w = 0; is_missing_ && w < table_.worker_count(); ++w) {
      const double* const silence = &logs_[w * square() + classes_ * classes_];
      for (std::size_t k = 0; k < classes_; ++k) start_[k] += silence[k];
    }
  }

  double log_density() const {
    double sum = 0;
    for (std::size_t i = 0; i < logs_.size(); ++i) {
      const bool right = i % square() / classes_ == i % classes_;
      sum += (right ? smoothing_.diagonal : smoothing_.off_diagonal) * logs_[i];
    }
    return sum;
  }

  void describe_workers() {
    std::vector<double> spoken;  // [workers, said, true], given that the worker speaks
    std::vector<double> abstains;
    for (std::size_t w = 0; w < table_.worker_count(); ++w) {
      const double* const worker = &logs_[w * square()];
      for (std::size_t i = 0; i < classes_ * classes_; ++i)
        spoken.push_back(portable_exp(worker[i]));
      normalise_worker(spoken.data() + w * classes_ * classes_, classes_, {});
      for (std::size_t k = 0; k < classes_; ++k) {
        abstains.push_back(portable_exp(worker[classes_ * classes_ + k]));
      }
    }
    fit_.confusion = confusion_of(spoken, classes_);
    fit_.skills = skills_of(spoken, fit_.prior);
    for (std::size_t k = 0; k < classes_; ++k) {
      std::vector<double>& column =
          fit_.worker_columns[fmt::format("abstains:{}", table_.label_names[k])];
      for (std::size_t w = 0; w < table_.worker_count(); ++w) {
        column.push_back(abstains[w * classes_ + k]);
      }
    }
  }

  const AnnotationTable& table_;
  const FitContext& context_;
  const bool is_missing_;
  const AnnotationTable shown_;
  const std::vector<char> speaks_;
  const std::size_t classes_;
  const Said said_;
  const ConfusionPrior smoothing_;
  double silent_tasks_ = 0;
  LabelFit fit_;
  std::vector<double> logs_;   // [workers, classes + 1, classes]
  std::vector<double> start_;  // [classes], the log-prior, and what is said where nobody speaks
};

}  // namespace

LabelFit fit_abstaining_dawid_skene(const AnnotationTable& table, AbstentionKind kind,
                                    const FitContext& context) {
  if (context.initial_confusion != nullptr) {
    throw InputError(
        "initial confusion matrices do not say how often workers abstain; leave them out, or take "
        "abstentions=ignored");
  }
  if (context.keep_evidence) {
    throw InputError(
        "a model for new tasks cannot hold that abstentions say something; leave it out (--model), "
        "or take abstentions=ignored");
  }
  check_confusion_size(table);
  return Fit(table, kind, context).run();
}

}  // namespace amalgam::labels::models
