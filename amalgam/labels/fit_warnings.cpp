#include "amalgam/labels/fit_warnings.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "amalgam/core/utf8.hpp"
#include "amalgam/labels/models/votes.hpp"

namespace amalgam::labels {
namespace {

constexpr std::uint64_t kFewestOfWorker = 3;
constexpr std::uint64_t kFewestOfLabel = 5;

void warn_of_workers(const AnnotationTable& table, LabelFit& fit) {
  if (fit.skills.empty()) return;
  std::vector<std::uint64_t> annotations(table.worker_count(), 0);
  for (const Worker worker : table.workers) ++annotations[worker];
  const auto few = std::ranges::count_if(annotations, [](auto n) { return n < kFewestOfWorker; });
  if (few == 0) return;
  fit.warnings.push_back(
      fmt::format("{} of {} workers have fewer than {} annotations: their skills mean little", few,
                  annotations.size(), kFewestOfWorker));
}

void warn_of_labels(const AnnotationTable& table, LabelFit& fit) {
  std::vector<std::uint64_t> annotations(table.label_count(), 0);
  for (const Label label : table.labels) ++annotations[label];
  for (std::size_t k = 0; k < annotations.size(); ++k) {
    if (annotations[k] >= kFewestOfLabel) continue;
    fit.warnings.push_back(
        fmt::format("label '{}' has only {} annotations: too few to learn how it is confused",
                    printable(table.label_names[k]), annotations[k]));
  }
}

// What a method made of tasks whose votes have several labels should have several labels too.
void warn_of_collapse(const AnnotationTable& table, LabelFit& fit) {
  const std::vector<Label> labels = hard_labels(fit.posterior).labels;
  if (labels.size() < 2) return;
  const auto all_equal = [](const std::vector<Label>& one) {
    return std::ranges::all_of(one, [&](Label label) { return label == one.front(); });
  };
  if (!all_equal(labels)) return;
  const std::vector<Label> votes = hard_labels(models::vote_sums(table, {}, {})).labels;
  if (all_equal(votes)) return;
  fit.warnings.push_back(
      fmt::format("all {} tasks got the label '{}', though the majorities differ: the method "
                  "collapsed to one class",
                  labels.size(), printable(table.label_names[labels.front()])));
}

void warn_of_switched_labels(LabelFit& fit, std::size_t workers, std::size_t classes) {
  if (fit.confusion.empty()) return;
  double sum = 0;
  for (std::size_t w = 0; w < workers; ++w) {
    for (std::size_t k = 0; k < classes; ++k) {
      sum += fit.confusion[(w * classes + k) * classes + k];
    }
  }
  fit.mean_diagonal = sum / static_cast<double>(workers * classes);
  const double chance = 1.0 / static_cast<double>(classes);
  if (*fit.mean_diagonal >= chance) return;
  fit.warnings.push_back(
      fmt::format("workers are estimated to be right with probability {:.3f} in the mean, below "
                  "chance ({:.3f}): labels may be switched, which only gold labels can tell",
                  *fit.mean_diagonal, chance));
}

}  // namespace

void add_warnings(const AnnotationTable& table, LabelFit& fit) {
  warn_of_workers(table, fit);
  warn_of_labels(table, fit);
  warn_of_collapse(table, fit);
  warn_of_switched_labels(fit, table.worker_count(), table.label_count());
}

}  // namespace amalgam::labels
