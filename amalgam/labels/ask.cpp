#include "amalgam/labels/ask.hpp"

#include <algorithm>
#include <queue>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam::labels {
namespace {

// What a worker's own annotations are weighed against.
constexpr double kTypicalAnnotations = 20;

constexpr double kBitsPerNat = 1.44269504088896340736;

double entropy(std::span<const double> probabilities) {
  double sum = 0;
  for (const double p : probabilities) {
    if (p > 0) sum -= p * portable_log(p);
  }
  return sum * kBitsPerNat;
}

double margin(std::span<const double> probabilities) {
  double most = 0;
  double second = 0;
  for (const double p : probabilities) {
    if (p > most) {
      second = most;
      most = p;
    } else {
      second = std::max(second, p);
    }
  }
  return 1 - (most - second);
}

std::vector<double> coin_confusion(std::size_t classes, double skill) {
  const double right = std::clamp(skill, 0.0, 1.0);
  std::vector<double> confusion(classes * classes, (1 - right) / static_cast<double>(classes - 1));
  for (std::size_t k = 0; k < classes; ++k) confusion[k * classes + k] = right;
  return confusion;
}

// Goes through the multisets of `left` further annotations from label `first` on.
// joint[k] = Pr(k, annotations so far); `orders`: in how many orders these can come.
double remaining_entropy(std::vector<double>& joint, std::span<const double> confusion,
                         std::size_t first, std::size_t left, double orders) {
  const std::size_t classes = joint.size();
  if (left == 0) {
    double total = 0;
    for (const double p : joint) total += p;
    if (!(total > 0)) return 0;
    std::vector<double> posterior = joint;
    for (double& p : posterior) p /= total;
    return orders * total * entropy(posterior);
  }
  double sum = 0;
  for (std::size_t label = first; label < classes; ++label) {
    std::vector<double> next = joint;
    double ways = orders;
    for (std::size_t times = 1; times <= left; ++times) {
      for (std::size_t k = 0; k < classes; ++k) next[k] *= confusion[k * classes + label];
      ways *= static_cast<double>(left - times + 1) / static_cast<double>(times);
      // The others come from later labels; the last label takes what is left.
      if (times == left) {
        sum += remaining_entropy(next, confusion, classes, 0, ways);
      } else if (label + 1 < classes) {
        sum += remaining_entropy(next, confusion, label + 1, left - times, ways);
      }
    }
  }
  return sum;
}

// The best worker for a task among those who have not annotated it.
std::optional<Question> best_worker(const AnnotationTable& table, Task task,
                                    std::span<const double> probabilities,
                                    const std::vector<std::vector<double>>& confusions) {
  const auto [begin, end] = table.rows_of(task);
  std::optional<Question> best;
  std::size_t row = begin;
  for (std::size_t w = 0; w < table.worker_count(); ++w) {
    while (row < end && table.workers[row] < w) ++row;
    if (row < end && table.workers[row] == w) continue;
    const double value = expected_information(probabilities, confusions[w]);
    if (!best || value > best->value) best = Question{task, value, static_cast<Worker>(w)};
  }
  return best;
}

}  // namespace

std::vector<double> worker_confusion(const AnnotationTable& table, const LabelFit& fit,
                                     Worker worker) {
  const std::size_t classes = table.label_count();
  if (!fit.confusion.empty()) {
    const auto begin =
        fit.confusion.begin() + static_cast<std::ptrdiff_t>(worker * classes * classes);
    return {begin, begin + static_cast<std::ptrdiff_t>(classes * classes)};
  }
  if (!fit.skills.empty()) return coin_confusion(classes, fit.skills[worker]);
  const HardLabels labels = hard_labels(fit.posterior);
  double right = 0;
  double all = 0;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.workers[row] != worker) continue;
    all += table.weight(row);
    if (table.labels[row] == labels.labels[table.tasks[row]]) right += table.weight(row);
  }
  return coin_confusion(classes, all > 0 ? right / all : 1.0 / static_cast<double>(classes));
}

std::vector<double> typical_confusion(const AnnotationTable& table, const LabelFit& fit) {
  const std::size_t classes = table.label_count();
  if (fit.confusion.empty() && fit.skills.empty()) {
    const HardLabels labels = hard_labels(fit.posterior);
    double right = 0;
    double all = 0;
    for (std::size_t row = 0; row < table.rows(); ++row) {
      all += table.weight(row);
      if (table.labels[row] == labels.labels[table.tasks[row]]) right += table.weight(row);
    }
    return coin_confusion(classes, right / all);
  }
  std::vector<double> weights(table.worker_count(), 0);
  double all = 0;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    weights[table.workers[row]] += table.weight(row);
    all += table.weight(row);
  }
  std::vector<double> mean(classes * classes, 0);
  for (std::size_t w = 0; w < table.worker_count(); ++w) {
    const std::vector<double> one = worker_confusion(table, fit, static_cast<Worker>(w));
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += weights[w] / all * one[i];
  }
  return mean;
}

std::vector<std::vector<double>> assignable_confusions(const AnnotationTable& table,
                                                       const LabelFit& fit) {
  const std::vector<double> typical = typical_confusion(table, fit);
  std::vector<double> weights(table.worker_count(), 0);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    weights[table.workers[row]] += table.weight(row);
  }
  std::vector<std::vector<double>> confusions;
  for (std::size_t w = 0; w < table.worker_count(); ++w) {
    std::vector<double> own = worker_confusion(table, fit, static_cast<Worker>(w));
    const double trust = weights[w] / (weights[w] + kTypicalAnnotations);
    for (std::size_t i = 0; i < own.size(); ++i) {
      own[i] = trust * own[i] + (1 - trust) * typical[i];
    }
    confusions.push_back(std::move(own));
  }
  return confusions;
}

double expected_information(std::span<const double> probabilities,
                            std::span<const double> confusion, std::size_t count) {
  std::vector<double> joint(probabilities.begin(), probabilities.end());
  const double after = remaining_entropy(joint, confusion, 0, count, 1);
  return std::max(0.0, entropy(probabilities) - after);
}

std::vector<Question> ask_next(const AnnotationTable& table, const LabelFit& fit,
                               const AskOptions& options, const Parallel& parallel) {
  if (options.budget == 0) throw InputError("the budget is 0; expected at least 1 annotation");
  if (options.most_per_task < 1 || options.most_per_task > 8) {
    throw InputError("{} annotations per task; expected 1 to 8", options.most_per_task);
  }
  if (options.most_per_task > 1 && (options.by != AskBy::information || options.choose_workers)) {
    throw InputError(
        "several annotations of one task need the measure 'information', and cannot "
        "be assigned to workers");
  }
  const std::size_t tasks = table.task_count();
  std::vector<std::optional<Question>> first(tasks);
  const std::vector<double> typical = typical_confusion(table, fit);
  std::vector<std::vector<double>> confusions;
  if (options.choose_workers) confusions = assignable_confusions(table, fit);
  constexpr std::size_t kAtATime = 1024;
  parallel_for(parallel, (tasks + kAtATime - 1) / kAtATime, [&](std::size_t block, std::size_t) {
    for (std::size_t t = block * kAtATime; t < std::min(tasks, (block + 1) * kAtATime); ++t) {
      const auto task = static_cast<Task>(t);
      const std::span<const double> probabilities = fit.posterior.row(task);
      if (options.choose_workers) {
        first[t] = best_worker(table, task, probabilities, confusions);
        if (first[t] && options.by == AskBy::entropy) first[t]->value = entropy(probabilities);
        if (first[t] && options.by == AskBy::margin) first[t]->value = margin(probabilities);
        continue;
      }
      const double value = options.by == AskBy::information
                               ? expected_information(probabilities, typical)
                           : options.by == AskBy::entropy ? entropy(probabilities)
                                                          : margin(probabilities);
      first[t] = Question{task, value};
    }
  });

  // The next annotation of each task waits in a queue; taking one puts the one after it there.
  struct Waiting {
    Question question;
    std::size_t number;  // of the task's annotations that are asked for
    double total;        // information of all of them
  };
  const auto later = [](const Waiting& a, const Waiting& b) {
    if (a.question.value != b.question.value) return a.question.value < b.question.value;
    return a.question.task > b.question.task;
  };
  std::priority_queue<Waiting, std::vector<Waiting>, decltype(later)> queue(later);
  for (const std::optional<Question>& question : first) {
    if (question) queue.push({*question, 1, question->value});
  }
  std::vector<Question> asked;
  while (asked.size() < options.budget && !queue.empty()) {
    Waiting next = queue.top();
    queue.pop();
    asked.push_back(next.question);
    if (next.number == options.most_per_task) continue;
    ++next.number;
    const double total =
        expected_information(fit.posterior.row(next.question.task), typical, next.number);
    next.question.value = std::max(0.0, total - next.total);
    next.total = total;
    queue.push(next);
  }
  return asked;
}

}  // namespace amalgam::labels
