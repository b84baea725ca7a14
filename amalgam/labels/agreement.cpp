#include "amalgam/labels/agreement.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam::labels {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kMostMetricLabels = 4096;

// How often each label was given on one task, labels increasing.
using Counts = std::vector<std::pair<Label, double>>;

Counts counts_of(const AnnotationTable& table, Task task) {
  const auto [begin, end] = table.rows_of(task);
  Counts counts;
  for (std::size_t row = begin; row < end; ++row) counts.emplace_back(table.labels[row], 1.0);
  std::ranges::sort(counts);
  std::size_t kept = 0;
  for (const auto& [label, one] : counts) {
    if (kept > 0 && counts[kept - 1].first == label) {
      counts[kept - 1].second += one;
    } else {
      counts[kept++] = {label, one};
    }
  }
  counts.resize(kept);
  return counts;
}

double total(const Counts& counts) {
  double sum = 0;
  for (const auto& [label, count] : counts) sum += count;
  return sum;
}

// The tasks with at least two annotations, as counts.
std::vector<Counts> pairable(const AnnotationTable& table) {
  std::vector<Counts> units;
  for (std::size_t task = 0; task < table.task_count(); ++task) {
    const auto [begin, end] = table.rows_of(static_cast<Task>(task));
    if (end - begin >= 2) units.push_back(counts_of(table, static_cast<Task>(task)));
  }
  return units;
}

// Squared distances of labels, given how many annotations each label has.
class Distances {
 public:
  Distances(const AnnotationTable& table, LabelMetric metric) : metric_(metric) {
    if (metric == LabelMetric::nominal) return;
    if (table.label_count() > kMostMetricLabels) {
      throw InputError("{} labels are too many for this metric; expected at most {}",
                       table.label_count(), kMostMetricLabels);
    }
    for (std::size_t k = 0; metric == LabelMetric::interval && k < table.label_count(); ++k) {
      const std::string_view name = table.label_names[k];
      double value = 0;
      const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), value);
      if (error != std::errc{} || end != name.data() + name.size() || !std::isfinite(value)) {
        throw InputError("the label '{}' is no number, which the interval metric needs",
                         printable(name));
      }
      values_.push_back(value);
    }
  }

  void set_totals(std::span<const double> totals) {
    before_.assign(1, 0);
    for (const double count : totals) before_.push_back(before_.back() + count);
  }

  double operator()(std::size_t a, std::size_t b) const {
    if (a == b) return 0;
    if (metric_ == LabelMetric::nominal) return 1;
    if (metric_ == LabelMetric::interval)
      return (values_[a] - values_[b]) * (values_[a] - values_[b]);
    if (a > b) std::swap(a, b);
    // All annotations from a to b, of a and b themselves half.
    const double first = before_[a + 1] - before_[a];
    const double last = before_[b + 1] - before_[b];
    const double between = before_[b + 1] - before_[a] - (first + last) / 2;
    return between * between;
  }

 private:
  LabelMetric metric_;
  std::vector<double> values_;
  std::vector<double> before_;  // annotations of the labels below
};

double nominal_expected(std::span<const double> totals, double n) {
  double same = 0;
  for (const double count : totals) same += count * (count - 1);
  return 1 - same / (n * (n - 1));
}

// 1 - observed / expected disagreement of the units at `indices`.
double alpha_of(const std::vector<Counts>& units, std::span<const std::uint32_t> indices,
                std::size_t labels, Distances& distances, bool nominal) {
  std::vector<double> totals(labels, 0);
  double n = 0;
  for (const std::uint32_t i : indices) {
    for (const auto& [label, count] : units[i]) totals[label] += count;
    n += total(units[i]);
  }
  distances.set_totals(totals);
  double observed = 0;
  for (const std::uint32_t i : indices) {
    const double m = total(units[i]);
    double apart = 0;
    for (const auto& [a, count_a] : units[i]) {
      for (const auto& [b, count_b] : units[i]) apart += count_a * count_b * distances(a, b);
    }
    observed += apart / (m - 1);
  }
  observed /= n;
  double expected = 0;
  if (nominal) {
    expected = nominal_expected(totals, n);
  } else {
    for (std::size_t a = 0; a < labels; ++a) {
      for (std::size_t b = 0; b < labels; ++b) expected += totals[a] * totals[b] * distances(a, b);
    }
    expected /= n * (n - 1);
  }
  return expected > 0 ? 1 - observed / expected : kNaN;
}

double kappa_of(double observed, double expected) {
  return expected < 1 ? (observed - expected) / (1 - expected) : kNaN;
}

}  // namespace

Agreement agreement(const AnnotationTable& table, LabelMetric metric, std::size_t resamples,
                    std::uint64_t seed) {
  const std::vector<Counts> units = pairable(table);
  if (units.empty()) {
    throw InputError("no task has two annotations: there is no agreement to speak of");
  }
  Agreement result;
  result.tasks = units.size();
  std::vector<double> totals(table.label_count(), 0);
  double n = 0;
  for (const Counts& unit : units) {
    const double m = total(unit);
    n += m;
    double same = 0;
    for (const auto& [label, count] : unit) {
      totals[label] += count;
      same += count * (count - 1);
    }
    result.observed += same / (m * (m - 1));
  }
  result.annotations = static_cast<std::uint64_t>(n);
  result.observed /= static_cast<double>(units.size());
  double expected = 0;
  for (const double count : totals) expected += count / n * (count / n);
  result.fleiss_kappa = kappa_of(result.observed, expected);

  Distances distances(table, metric);
  std::vector<std::uint32_t> all(units.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint32_t>(i);
  const auto alpha = [&](std::span<const std::uint32_t> indices) {
    return alpha_of(units, indices, table.label_count(), distances, metric == LabelMetric::nominal);
  };
  result.alpha = alpha(all);
  if (resamples > 0 && std::isfinite(result.alpha)) {
    result.alpha_interval = bootstrap_interval(units.size(), resamples, seed, alpha);
  }
  return result;
}

std::vector<LabelAgreement> label_agreement(const AnnotationTable& table) {
  const std::size_t labels = table.label_count();
  std::vector<LabelAgreement> result(labels);
  for (const Label label : table.labels) ++result[label].annotations;
  std::vector<double> agreeing(labels, 0);  // annotations' share of agreeing partners
  std::vector<double> with_partner(labels, 0);
  std::vector<double> unlike(labels, 0);  // pairs of which one has the label and the other not
  const std::vector<Counts> units = pairable(table);
  double annotations = 0;
  for (const Counts& unit : units) {
    const double m = total(unit);
    annotations += m;
    for (const auto& [label, count] : unit) {
      agreeing[label] += count * (count - 1) / (m - 1);
      with_partner[label] += count;
      unlike[label] += 2 * count * (m - count) / (m * (m - 1));
    }
  }
  for (std::size_t k = 0; k < labels; ++k) {
    result[k].prevalence =
        static_cast<double>(result[k].annotations) / static_cast<double>(table.rows());
    result[k].specific = with_partner[k] > 0 ? agreeing[k] / with_partner[k] : kNaN;
    const double share = annotations > 0 ? with_partner[k] / annotations : 0;
    const double observed = 1 - unlike[k] / static_cast<double>(units.size());
    result[k].kappa =
        units.empty() ? kNaN : kappa_of(observed, share * share + (1 - share) * (1 - share));
  }
  return result;
}

std::vector<PairAgreement> pair_agreement(const AnnotationTable& table, std::uint64_t fewest_tasks,
                                          std::size_t most_pairs) {
  // Calls `body(first, second, label of first, label of second)` for each pair of each task.
  const auto each_pair = [&](const auto& body) {
    for (std::size_t task = 0; task < table.task_count(); ++task) {
      const auto [begin, end] = table.rows_of(static_cast<Task>(task));
      for (std::size_t a = begin; a < end; ++a) {
        if (a > begin && table.workers[a] == table.workers[a - 1]) continue;
        for (std::size_t b = a + 1; b < end; ++b) {
          if (table.workers[b] == table.workers[b - 1]) continue;
          body(table.workers[a], table.workers[b], table.labels[a], table.labels[b]);
        }
      }
    }
  };
  const auto key = [](Worker a, Worker b) { return std::uint64_t{a} << 32U | b; };
  std::unordered_map<std::uint64_t, std::uint64_t> common;
  each_pair([&](Worker a, Worker b, Label, Label) {
    ++common[key(a, b)];
    if (common.size() > most_pairs) {
      throw InputError(
          "more than {} pairs of annotators have tasks in common; agreement of pairs "
          "is for fewer annotators",
          most_pairs);
    }
  });
  std::erase_if(common, [&](const auto& entry) { return entry.second < fewest_tasks; });

  struct Table {
    std::uint64_t agree = 0;
    std::unordered_map<Label, std::uint64_t> first;
    std::unordered_map<Label, std::uint64_t> second;
  };
  std::unordered_map<std::uint64_t, Table> tables;
  each_pair([&](Worker a, Worker b, Label label_a, Label label_b) {
    if (!common.contains(key(a, b))) return;
    Table& counts = tables[key(a, b)];
    counts.agree += label_a == label_b ? 1 : 0;
    ++counts.first[label_a];
    ++counts.second[label_b];
  });
  std::vector<PairAgreement> pairs;
  for (const auto& [pair, counts] : tables) {
    const auto n = static_cast<double>(common[pair]);
    double expected = 0;
    for (std::size_t k = 0; k < table.label_count(); ++k) {
      const auto a = counts.first.find(static_cast<Label>(k));
      const auto b = counts.second.find(static_cast<Label>(k));
      if (a == counts.first.end() || b == counts.second.end()) continue;
      expected += static_cast<double>(a->second) / n * static_cast<double>(b->second) / n;
    }
    const double observed = static_cast<double>(counts.agree) / n;
    pairs.push_back({static_cast<Worker>(pair >> 32U), static_cast<Worker>(pair), common[pair],
                     observed, kappa_of(observed, expected)});
  }
  std::ranges::sort(pairs, {}, [&](const PairAgreement& p) { return key(p.first, p.second); });
  return pairs;
}

std::vector<double> vote_entropy(const AnnotationTable& table) {
  constexpr double kBitsPerNat = 1.44269504088896340736;
  std::vector<double> entropies(table.task_count(), 0);
  for (std::size_t task = 0; task < entropies.size(); ++task) {
    const Counts counts = counts_of(table, static_cast<Task>(task));
    const double n = total(counts);
    for (const auto& [label, count] : counts) {
      entropies[task] -= count / n * portable_log(count / n) * kBitsPerNat;
    }
  }
  return entropies;
}

}  // namespace amalgam::labels
