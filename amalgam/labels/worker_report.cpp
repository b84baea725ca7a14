#include "amalgam/labels/worker_report.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "amalgam/core/averages.hpp"
#include "amalgam/core/multiple_testing.hpp"

namespace amalgam::labels {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kStandardDeviations = 3;
constexpr double kAboveChance = 2;   // standard deviations
constexpr double kCopyLevel = 0.01;  // of all pairs together
constexpr double kConstantShare = 0.95;
constexpr double kOthersShare = 0.8;
constexpr std::uint64_t kCopiedErrors = 3;

// The label that most of a task's other annotations have; kNoLabel for a tie or none.
Label majority_of_others(const AnnotationTable& table, std::size_t row) {
  const auto [begin, end] = table.rows_of(table.tasks[row]);
  std::vector<std::pair<Label, std::uint32_t>> counts;
  for (std::size_t other = begin; other < end; ++other) {
    if (table.workers[other] == table.workers[row]) continue;
    const auto found =
        std::ranges::find(counts, table.labels[other], &std::pair<Label, std::uint32_t>::first);
    if (found == counts.end()) {
      counts.emplace_back(table.labels[other], 1U);
    } else {
      ++found->second;
    }
  }
  Label most = kNoLabel;
  std::uint32_t votes = 0;
  for (const auto& [label, count] : counts) {
    if (count == votes) most = kNoLabel;
    if (count > votes) {
      votes = count;
      most = label;
    }
  }
  return most;
}

class Reporter {
 public:
  Reporter(const AnnotationTable& table, std::uint64_t fewest) : table_(table), fewest_(fewest) {
    rows_of_.resize(table.worker_count());
    for (std::size_t row = 0; row < table.rows(); ++row) {
      rows_of_[table.workers[row]].push_back(row);
      others_.push_back(majority_of_others(table, row));
    }
  }

  std::vector<WorkerReport> run() {
    std::vector<WorkerReport> reports;
    for (const std::vector<std::size_t>& rows : rows_of_) reports.push_back(report(rows));
    flag_agreement(reports);
    flag_copies(reports);
    flag_times(reports);
    return reports;
  }

 private:
  WorkerReport report(const std::vector<std::size_t>& rows) const {
    const std::size_t classes = table_.label_count();
    WorkerReport result;
    result.annotations = rows.size();
    std::vector<double> given(classes, 0);
    std::vector<double> expected(classes, 0);  // labels of the others
    std::vector<double> said(classes, 0);      // his, on the same tasks
    std::vector<double> confusion(classes * classes, 0.5);
    double right = 0;
    for (const std::size_t row : rows) {
      ++given[table_.labels[row]];
      if (others_[row] == kNoLabel) continue;
      ++result.compared;
      ++expected[others_[row]];
      ++said[table_.labels[row]];
      ++confusion[others_[row] * classes + table_.labels[row]];
      right += others_[row] == table_.labels[row] ? 1 : 0;
    }
    if (!rows.empty()) {
      const auto most = std::ranges::max_element(given);
      result.most_given = static_cast<Label>(most - given.begin());
      result.most_given_share = *most / static_cast<double>(rows.size());
    }
    const auto n = static_cast<double>(result.compared);
    result.agreement = n > 0 ? right / n : kNaN;
    for (std::size_t k = 0; n > 0 && k < classes; ++k) {
      result.chance += said[k] / n * (expected[k] / n);
    }
    const double spread = std::sqrt(n * result.chance * (1 - result.chance));
    if (spread > 0) result.z = (right - n * result.chance) / spread;
    result.spam_score = spam_score(confusion, expected);
    if (!table_.times.empty()) add_times(result, rows);
    return result;
  }

  // Over the labels that the others gave: the mean squared distance between what the worker says
  // for one and for another.
  double spam_score(std::span<const double> confusion, std::span<const double> expected) const {
    const std::size_t classes = table_.label_count();
    std::vector<std::size_t> seen;
    for (std::size_t k = 0; k < classes; ++k) {
      if (expected[k] > 0) seen.push_back(k);
    }
    if (seen.size() < 2) return 0;
    double sum = 0;
    for (std::size_t i = 0; i < seen.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        for (std::size_t l = 0; l < classes; ++l) {
          const auto share = [&](std::size_t k) {
            return confusion[k * classes + l] / (expected[k] + 0.5 * static_cast<double>(classes));
          };
          const double apart = share(seen[i]) - share(seen[j]);
          sum += apart * apart;
        }
      }
    }
    const auto count = static_cast<double>(seen.size());
    return sum / (count * (count - 1));
  }

  void add_times(WorkerReport& result, std::vector<std::size_t> rows) const {
    std::ranges::stable_sort(rows, {}, [&](std::size_t row) { return table_.times[row]; });
    std::vector<double> gaps;
    for (std::size_t i = 1; i < rows.size(); ++i) {
      gaps.push_back(static_cast<double>(table_.times[rows[i]] - table_.times[rows[i - 1]]));
    }
    if (!gaps.empty()) result.median_seconds = median_of(gaps);
    std::vector<double> right;
    for (const std::size_t row : rows) {
      if (others_[row] == kNoLabel) continue;
      right.push_back(others_[row] == table_.labels[row] ? 1 : 0);
    }
    if (right.size() < fewest_ || right.size() < 3) return;
    const std::size_t third = right.size() / 3;
    const auto mean = [](auto begin, auto end) {
      return std::accumulate(begin, end, 0.0) / static_cast<double>(end - begin);
    };
    WorkerReport::Drift drift;
    drift.first = mean(right.begin(), right.begin() + static_cast<std::ptrdiff_t>(third));
    drift.last = mean(right.end() - static_cast<std::ptrdiff_t>(third), right.end());
    const auto n = static_cast<double>(right.size());
    const double middle = (n - 1) / 2;
    const double all = mean(right.begin(), right.end());
    double covariance = 0;
    for (std::size_t i = 0; i < right.size(); ++i) {
      covariance += (static_cast<double>(i) - middle) * (right[i] - all);
    }
    const double order_spread = n * (n * n - 1) / 12;
    const double spread = n * all * (1 - all);
    if (spread > 0) {
      drift.z = covariance / std::sqrt(order_spread * spread) * std::sqrt(n - 1);
      drift.p = std::erfc(std::abs(drift.z) / std::sqrt(2.0));
    }
    result.drift = drift;
  }

  void flag_agreement(std::vector<WorkerReport>& reports) const {
    std::vector<double> agreements;
    for (const WorkerReport& report : reports) {
      if (report.compared >= fewest_) agreements.push_back(report.agreement);
    }
    const double typical = median_of(agreements);
    for (std::size_t w = 0; w < reports.size(); ++w) {
      WorkerReport& report = reports[w];
      if (report.annotations < fewest_) continue;
      if (report.most_given_share >= kConstantShare &&
          share_of_others(rows_of_[w], report.most_given) < kOthersShare) {
        report.flags.emplace_back("constant");
      }
      if (report.compared < fewest_) continue;
      const auto n = static_cast<double>(report.compared);
      const double below = std::sqrt(n / (typical * (1 - typical))) * (typical - report.agreement);
      if (report.z <= -kStandardDeviations) {
        report.flags.emplace_back("adversarial");
      } else if (report.z < kAboveChance && below >= kStandardDeviations) {
        report.flags.emplace_back("random");
      }
    }
  }

  // On which share of these rows' tasks the others' majority is `label`.
  double share_of_others(const std::vector<std::size_t>& rows, Label label) const {
    double same = 0;
    double all = 0;
    for (const std::size_t row : rows) {
      if (others_[row] == kNoLabel) continue;
      all += 1;
      same += others_[row] == label ? 1 : 0;
    }
    return all > 0 ? same / all : 1;
  }

  void flag_copies(std::vector<WorkerReport>& reports) const {
    struct Pair {
      std::uint64_t common = 0;
      std::uint64_t different = 0;
      std::uint64_t errors = 0;
    };
    // Only pairs that erred together can be flagged: far fewer than all pairs.
    std::unordered_map<std::uint64_t, Pair> pairs;
    const auto each_pair = [&](const auto& body) {
      for (std::size_t task = 0; task < table_.task_count(); ++task) {
        const auto [begin, end] = table_.rows_of(static_cast<Task>(task));
        for (std::size_t a = begin; a < end; ++a) {
          for (std::size_t b = a + 1; b < end; ++b) {
            if (table_.workers[a] == table_.workers[b]) continue;
            body(std::uint64_t{table_.workers[a]} << 32U | table_.workers[b], a, b);
          }
        }
      }
    };
    const auto errs = [&](std::size_t row) {
      return others_[row] != kNoLabel && others_[row] != table_.labels[row];
    };
    each_pair([&](std::uint64_t pair, std::size_t a, std::size_t b) {
      if (table_.labels[a] == table_.labels[b] && errs(a) && errs(b)) ++pairs[pair].errors;
    });
    const auto judged = static_cast<std::uint64_t>(std::ranges::count_if(
        reports, [&](const WorkerReport& report) { return report.annotations >= fewest_; }));
    const std::uint64_t all_pairs = judged * judged / 2;
    std::erase_if(pairs, [](const auto& entry) { return entry.second.errors < kCopiedErrors; });
    if (pairs.empty()) return;
    each_pair([&](std::uint64_t pair, std::size_t a, std::size_t b) {
      const auto found = pairs.find(pair);
      if (found == pairs.end()) return;
      ++found->second.common;
      found->second.different += table_.labels[a] != table_.labels[b] ? 1 : 0;
    });
    std::vector<std::uint64_t> flagged;
    for (const auto& [pair, counts] : pairs) {
      if (counts.common < fewest_ || counts.different > 0) continue;
      // The probability that two who work alone always agree, given how often each is right.
      const double a = reports[pair >> 32U].agreement;
      const double b = reports[pair & 0xFFFFFFFFU].agreement;
      const double once = a * b + (1 - a) * (1 - b) / static_cast<double>(table_.label_count() - 1);
      const double always = std::pow(once, static_cast<double>(counts.common));
      if (always * static_cast<double>(all_pairs) < kCopyLevel) flagged.push_back(pair);
    }
    std::ranges::sort(flagged);
    for (const std::uint64_t pair : flagged) {
      const auto a = static_cast<Worker>(pair >> 32U);
      const auto b = static_cast<Worker>(pair);
      reports[a].flags.push_back("copies " + std::string(table_.worker_names[b]));
      reports[b].flags.push_back("copies " + std::string(table_.worker_names[a]));
    }
  }

  void flag_times(std::vector<WorkerReport>& reports) const {
    std::vector<double> medians;
    std::vector<std::pair<WorkerReport*, double*>> tested;  // with the p-value of their drift
    std::vector<double> p_values;
    for (WorkerReport& report : reports) {
      if (report.annotations < fewest_) continue;
      if (report.median_seconds) medians.push_back(*report.median_seconds);
      if (!report.drift) continue;
      tested.emplace_back(&report, &report.drift->p);
      p_values.push_back(report.drift->p);
    }
    const double typical = median_of(medians);
    for (WorkerReport& report : reports) {
      if (report.annotations < fewest_ || !report.median_seconds) continue;
      if (*report.median_seconds < typical / 4) report.flags.emplace_back("fast");
    }
    const std::vector<double> adjusted = holm(p_values);
    for (std::size_t i = 0; i < tested.size(); ++i) {
      const auto& [report, p] = tested[i];
      *p = adjusted[i];
      if (adjusted[i] < 0.05) report->flags.emplace_back("drifts");
    }
  }

  const AnnotationTable& table_;
  std::uint64_t fewest_;
  std::vector<std::vector<std::size_t>> rows_of_;  // by worker
  std::vector<Label> others_;                      // majority of the others, by row
};

}  // namespace

std::vector<WorkerReport> worker_reports(const AnnotationTable& table, std::uint64_t fewest) {
  return Reporter(table, std::max<std::uint64_t>(1, fewest)).run();
}

}  // namespace amalgam::labels
