#include "amalgam/weights/learned/merge_study.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <set>

#include "amalgam/core/averages.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/data/shuffle.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"
#include "amalgam/weights/learned/parameter_search.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::Network;

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

double accuracy(Network& network, const Dataset& data) {
  return learning::predict_logits(network, data)
      .argmax(-1)
      .eq(data.labels)
      .to(torch::kDouble)
      .mean()
      .item<double>();
}

std::vector<double> accuracies(Network& network, const std::vector<Dataset>& tasks) {
  std::vector<double> all;
  all.reserve(tasks.size());
  for (const Dataset& task : tasks) all.push_back(accuracy(network, task));
  return all;
}

// What is relative to nothing has no value.
double relative_or_nothing(std::span<const double> scores, std::span<const double> references) {
  if (references.empty() || std::ranges::count(references, 0.0) > 0) return kNothing;
  return normalised_mean(scores, references);
}

template <class Value>
std::vector<Value> chosen_of(const std::vector<Value>& all, const std::vector<std::size_t>& which) {
  std::vector<Value> some;
  some.reserve(which.size());
  for (const std::size_t i : which) some.push_back(all.at(i));
  return some;
}

class Study {
 public:
  Study(const StudySetting& setting, const StudyOptions& options)
      : setting_(setting), options_(options) {
    check();
    base_ = as_source(learning::state_of(*setting.network), "base");
    own_.reserve(setting.experts.size());
    for (std::size_t i = 0; i < setting.experts.size(); ++i) {
      experts_.push_back(as_source(setting.experts[i], fmt::format("expert {}", i + 1)));
      own_.push_back(
          accuracy(*learning::network_with(*setting.network, setting.experts[i]), setting.test[i]));
    }
    base_held_out_ = accuracies(*setting.network, setting.held_out);
    warn_of_zero(own_, "the expert itself");
    warn_of_zero(base_held_out_, "held out: the base");
  }

  std::vector<StudyRow> run() {
    std::vector<StudyRow> rows;
    for (const std::size_t count : options_.counts) {
      for (const std::vector<std::size_t>& experts : subsets(count)) {
        for (const StudyMethod& method : options_.methods) rows.push_back(row(method, experts));
      }
    }
    return rows;
  }

 private:
  void check() const {
    const std::size_t experts = setting_.experts.size();
    if (experts == 0 || setting_.validation.size() != experts || setting_.test.size() != experts) {
      throw InputError(
          "a study of {} experts with {} validation and {} test sets; expected one of"
          " each per expert",
          experts, setting_.validation.size(), setting_.test.size());
    }
    for (const std::size_t count : options_.counts) {
      if (count == 0 || count > experts) {
        throw InputError("a study that merges {} of {} experts", count, experts);
      }
    }
    if (options_.methods.empty() || options_.subsets == 0) {
      throw InputError("a study without methods or subsets");
    }
  }

  static void warn_of_zero(const std::vector<double>& scores, const char* whose) {
    for (std::size_t i = 0; i < scores.size(); ++i) {
      if (scores[i] > 0) continue;
      log::warn("{} gets no example of task {} right; relative scores are left out", whose, i + 1);
    }
  }

  std::vector<std::vector<std::size_t>> subsets(std::size_t count) const {
    std::set<std::vector<std::size_t>> drawn;
    const std::size_t all = setting_.experts.size();
    // Small sets of experts have few subsets: try a while, then be content.
    for (std::size_t draw = 0; draw < 100 * options_.subsets; ++draw) {
      auto order = shuffled_indices(all, setting_.seed, fmt::format("subset {} {}", count, draw));
      order.resize(count);
      std::ranges::sort(order);
      drawn.insert(order);
      if (drawn.size() == options_.subsets) break;
    }
    return {drawn.begin(), drawn.end()};
  }

  std::shared_ptr<Network> merged(const StudyMethod& method,
                                  const std::vector<std::size_t>& experts,
                                  const std::vector<std::string>& more) const {
    MemoryMerge merge{.method = method.rule,
                      .base = method.with_base ? base_ : nullptr,
                      .members = chosen_of(experts_, experts),
                      .parameters = method.parameters,
                      .files = {}};
    merge.parameters.insert(merge.parameters.end(), more.begin(), more.end());
    return learning::load_network(*merge_in_memory(merge), setting_.network->description());
  }

  StudyRow row(const StudyMethod& method, const std::vector<std::size_t>& experts) const {
    std::vector<std::vector<std::string>> points{{}};
    if (!method.searched.empty()) {
      points.clear();
      for (const double value : method.values) {
        points.push_back({fmt::format("{}={}", method.searched, value)});
      }
    }
    std::size_t best = 0;
    if (points.size() > 1) {
      best =
          search_parameters(
              points,
              [&](const std::vector<std::string>& more) { return merged(method, experts, more); },
              chosen_of(setting_.validation, experts), SearchFigure::accuracy,
              [&](const SearchTrial&) { tell(); })
              .best;
    }
    const auto network = merged(method, experts, points.at(best));
    const auto held_in = accuracies(*network, chosen_of(setting_.test, experts));
    const auto held_out = accuracies(*network, setting_.held_out);
    tell();
    return {.base = setting_.base,
            .size = setting_.size,
            .seed = setting_.seed,
            .method = method.name,
            .experts = experts,
            .chosen = method.searched.empty() ? kNothing : method.values.at(best),
            .held_in = relative_or_nothing(held_in, chosen_of(own_, experts)),
            .held_out = relative_or_nothing(held_out, base_held_out_),
            .held_in_raw = mean_of(held_in),
            .held_out_raw = held_out.empty() ? kNothing : mean_of(held_out)};
  }

  void tell() const {
    if (options_.after_merge) options_.after_merge();
  }

  const StudySetting& setting_;
  const StudyOptions& options_;
  SourcePointer base_;
  std::vector<SourcePointer> experts_;
  std::vector<double> own_;
  std::vector<double> base_held_out_;
};

using BySeed = std::map<std::uint64_t, std::vector<double>>;

StudyFinding finding(std::string text, const BySeed& values) {
  std::vector<double> means;
  for (const auto& [seed, all] : values) means.push_back(mean_of(all));
  StudyFinding result{.text = std::move(text), .estimate = mean_of(means), .interval = {}};
  result.interval = {result.estimate, result.estimate};
  if (means.size() < 2) return result;
  result.interval =
      bootstrap_interval(means.size(), 10'000, 0, [&](std::span<const std::uint32_t> indices) {
        double sum = 0;
        for (const std::uint32_t i : indices) sum += means[i];
        return sum / static_cast<double>(indices.size());
      });
  return result;
}

// What the rows have in common, apart from one thing.
template <class Key>
std::map<Key, std::vector<const StudyRow*>> grouped(const std::vector<StudyRow>& rows,
                                                    Key (*key)(const StudyRow&)) {
  std::map<Key, std::vector<const StudyRow*>> groups;
  for (const StudyRow& row : rows) groups[key(row)].push_back(&row);
  return groups;
}

double mean_held_in(const std::vector<const StudyRow*>& rows) {
  double sum = 0;
  for (const StudyRow* row : rows) sum += row->held_in;
  return sum / static_cast<double>(rows.size());
}

// The mean difference of held-in scores between base `base` and `reference`, all else equal.
void add_base_effects(const std::vector<StudyRow>& rows, std::vector<StudyFinding>& findings) {
  const auto by_base = grouped<std::string>(rows, [](const StudyRow& row) { return row.base; });
  if (by_base.size() < 2) return;
  const auto worst = std::ranges::min_element(
      by_base, {}, [](const auto& group) { return mean_held_in(group.second); });
  for (const auto& [base, mine] : by_base) {
    if (base == worst->first) continue;
    BySeed differences;
    for (const StudyRow* row : mine) {
      for (const StudyRow* other : worst->second) {
        if (row->seed == other->seed && row->size == other->size && row->method == other->method &&
            row->experts == other->experts) {
          differences[row->seed].push_back(row->held_in - other->held_in);
        }
      }
    }
    if (!differences.empty()) {
      findings.push_back(
          finding(fmt::format("base '{}' above base '{}'", base, worst->first), differences));
    }
  }
}

// Least squares of the held-in score on log2(size).
double slope(const std::vector<const StudyRow*>& rows) {
  double x = 0;
  double y = 0;
  for (const StudyRow* row : rows) {
    x += std::log2(row->size);
    y += row->held_in;
  }
  const auto count = static_cast<double>(rows.size());
  double xx = 0;
  double xy = 0;
  for (const StudyRow* row : rows) {
    const double dx = std::log2(row->size) - x / count;
    xx += dx * dx;
    xy += dx * (row->held_in - y / count);
  }
  return xy / xx;
}

void add_size_effect(const std::vector<StudyRow>& rows, std::vector<StudyFinding>& findings) {
  const auto sizes = grouped<double>(rows, [](const StudyRow& row) { return row.size; });
  if (sizes.size() < 2 || sizes.begin()->first <= 0) return;
  BySeed slopes;
  for (const auto& [seed, group] :
       grouped<std::uint64_t>(rows, [](const StudyRow& row) { return row.seed; })) {
    slopes[seed].push_back(slope(group));
  }
  findings.push_back(finding("per doubling of the size", slopes));
}

void add_count_effect(const std::vector<StudyRow>& rows, std::vector<StudyFinding>& findings) {
  const auto counts =
      grouped<std::size_t>(rows, [](const StudyRow& row) { return row.experts.size(); });
  if (counts.size() < 2) return;
  const auto& [fewest, few] = *counts.begin();
  const auto& [most, many] = *counts.rbegin();
  BySeed drops;
  for (const StudyRow* row : few) {
    for (const StudyRow* other : many) {
      if (row->seed == other->seed && row->size == other->size && row->method == other->method &&
          row->base == other->base) {
        drops[row->seed].push_back(other->held_in - row->held_in);
      }
    }
  }
  if (!drops.empty()) {
    findings.push_back(finding(fmt::format("from {} experts to {}", fewest, most), drops));
  }
}

void add_spreads(const std::vector<StudyRow>& rows, std::vector<StudyFinding>& findings) {
  using Key = std::tuple<double, std::uint64_t, std::string, std::vector<std::size_t>>;
  std::map<double, BySeed> by_size;
  for (const auto& [key, group] : grouped<Key>(rows, [](const StudyRow& row) {
         return Key{row.size, row.seed, row.base, row.experts};
       })) {
    if (group.size() < 2) continue;
    const auto [least, most] =
        std::ranges::minmax(group, {}, [](const StudyRow* row) { return row->held_in; });
    by_size[std::get<0>(key)][std::get<1>(key)].push_back(most->held_in - least->held_in);
  }
  for (const auto& [size, spreads] : by_size) {
    findings.push_back(
        finding(fmt::format("best method above the worst at size {}", size), spreads));
  }
}

void add_held_out(const std::vector<StudyRow>& rows, std::vector<StudyFinding>& findings) {
  BySeed better;
  for (const StudyRow& row : rows) {
    if (!std::isnan(row.held_out)) better[row.seed].push_back(row.held_out > 1 ? 1 : 0);
  }
  if (!better.empty()) {
    findings.push_back(finding("share of merges above their base on held-out tasks", better));
  }
}

}  // namespace

std::vector<StudyMethod> standard_study_methods() {
  std::vector<double> scales;
  for (int step = 1; step <= 10; ++step) scales.push_back(step / 10.0);
  return {{.name = "average",
           .rule = "linear",
           .parameters = {"weight=1"},
           .with_base = false,
           .searched = {},
           .values = {}},
          {.name = "task arithmetic",
           .rule = "task_arithmetic",
           .parameters = {"weight=1"},
           .searched = "lambda",
           .values = scales},
          {.name = "TIES",
           .rule = "ties",
           .parameters = {"weight=1", "density=0.2", "dialect=paper"},
           .searched = "lambda",
           .values = scales},
          {.name = "DARE-TIES",
           .rule = "dare_ties",
           .parameters = {"weight=1", "density=0.1", "dialect=paper"},
           .searched = "lambda",
           .values = scales}};
}

double normalised_mean(std::span<const double> scores, std::span<const double> references) {
  if (scores.size() != references.size() || scores.empty()) {
    throw InputError("{} scores and {} references; expected as many, at least one", scores.size(),
                     references.size());
  }
  double sum = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (!(references[i] > 0)) {
      throw InputError("a reference score of {}; expected one above 0", references[i]);
    }
    sum += scores[i] / references[i];
  }
  return sum / static_cast<double>(scores.size());
}

std::vector<StudyRow> study_merges(const StudySetting& setting, const StudyOptions& options) {
  return Study(setting, options).run();
}

std::vector<StudyFinding> study_findings(const std::vector<StudyRow>& all) {
  std::vector<StudyFinding> findings;
  std::vector<StudyRow> rows;
  std::ranges::copy_if(all, std::back_inserter(rows),
                       [](const StudyRow& row) { return std::isfinite(row.held_in); });
  if (rows.empty()) return findings;
  add_base_effects(rows, findings);
  add_size_effect(rows, findings);
  add_count_effect(rows, findings);
  add_spreads(rows, findings);
  add_held_out(rows, findings);
  return findings;
}

}  // namespace amalgam::learned
