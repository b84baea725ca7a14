#include "amalgam/scores/files/measurements.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/letter_case.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/table_cells.hpp"

namespace amalgam::scores {
namespace {

constexpr std::size_t kMostWarnings = 50;
constexpr double kLargestWeight = 1e30;

std::vector<std::string> texts_of(const StringPool& names) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < names.size(); ++i) texts.emplace_back(names[i]);
  return texts;
}

// Brings rows of `width` values into an order; nothing if there are none.
template <class Value>
void reorder(std::vector<Value>& values, const std::vector<std::size_t>& order, std::size_t width) {
  if (values.empty()) return;
  std::vector<Value> result;
  result.reserve(values.size());
  for (const std::size_t row : order) {
    for (std::size_t i = 0; i < width; ++i) result.push_back(values[row * width + i]);
  }
  values = std::move(result);
}

// Whether one of the words of a name, between what are no letters, is one of these, in any case.
bool has_word(std::string_view name, std::span<const std::string_view> words) {
  std::string word;
  const auto is_known = [&] { return std::ranges::find(words, word) != words.end(); };
  for (const char c : name) {
    const char lower = lower_case(c);
    if (lower >= 'a' && lower <= 'z') {
      word += lower;
    } else {
      if (is_known()) return true;
      word.clear();
    }
  }
  return is_known();
}

// The range of the values of a task, as measured.
struct Range {
  std::size_t rows = 0;
  bool binary = true;
  bool compares = false;             // some ballot has several systems
  bool differs = false;              // within some ballot
  double largest_share = 0;          // of values in (0, 1]
  double smallest_above = INFINITY;  // of values above 1
  double largest = -INFINITY;
  bool negative = false;

  void add(double value) {
    ++rows;
    binary = binary && (value == 0 || value == 1);
    negative = negative || value < 0;
    largest = std::max(largest, value);
    if (value > 1) {
      smallest_above = std::min(smallest_above, value);
    } else if (value > 0) {
      largest_share = std::max(largest_share, value);
    }
  }
  // Shares and per cent in one task: nothing between 1 and a multiple of all shares, and nothing
  // beyond 100.
  bool is_mixed() const {
    return !negative && !binary && largest_share > 0.05 && largest_share < 1 && largest > 1 &&
           smallest_above >= 10 * largest_share && smallest_above >= 5 && largest <= 100;
  }
};

std::vector<Range> ranges_of(const ScoreTable& table) {
  std::vector<Range> ranges(table.task_count());
  for (std::size_t b = 0; b < table.ballot_count(); ++b) {
    const Task task = table.ballot_tasks[b];
    const double sign = table.task_infos[task].higher_is_better ? 1 : -1;
    const ScoreTable::Ballot ballot = table.ballot(b);
    Range& range = ranges[task];
    range.compares = range.compares || ballot.values.size() > 1;
    for (const double value : ballot.values) {
      range.add(sign * value);
      range.differs = range.differs || value != ballot.values.front();
    }
  }
  return ranges;
}

}  // namespace

bool Measurements::is_good_name(std::string_view name) { return !name.empty() && is_utf8(name); }

void Measurements::refuse_name(std::string_view name, std::string_view what,
                               const std::string& place) {
  if (name.empty()) throw InputError("{}: the name of the {} is empty", place, what);
  throw InputError("{}: the name of the {}, '{}', is not UTF-8", place, what, printable(name));
}

void Measurements::say_direction(Task task, bool higher, const std::string& place) {
  Statement& statement = statements_[task];
  if (!statement.higher) {
    statement.higher = higher;
    statement.direction_place = place;
  } else if (*statement.higher != higher) {
    throw InputError(
        "{}: of task '{}' it says that {} is better, but {} says that {} is; choose with "
        "--lower-is-better or --higher-is-better",
        place, printable(task_names_[task]), higher ? "higher" : "lower", statement.direction_place,
        higher ? "lower" : "higher");
  }
}

void Measurements::say_kind(Task task, ScoreKind kind, const std::string& place) {
  Statement& statement = statements_[task];
  if (!statement.kind) {
    statement.kind = kind;
    statement.kind_place = place;
  } else if (*statement.kind != kind) {
    throw InputError("{}: task '{}' is {} here, but {} at {}; expected one scale for a task", place,
                     printable(task_names_[task]), score_kind_name(kind),
                     score_kind_name(*statement.kind), statement.kind_place);
  }
}

void Measurements::say_weight(Task task, double weight, const std::string& place) {
  Statement& statement = statements_[task];
  if (!statement.weight) {
    statement.weight = weight;
    statement.weight_place = place;
  } else if (*statement.weight != weight) {
    throw InputError(
        "{}: task '{}' has weight {} here, but {} at {}; expected one weight for a task", place,
        printable(task_names_[task]), weight, *statement.weight, statement.weight_place);
  }
}

void Measurements::warn(std::string warning) {
  if (notes_.warnings.size() < kMostWarnings) {
    notes_.warnings.push_back(std::move(warning));
  } else if (notes_.warnings.size() == kMostWarnings) {
    notes_.warnings.emplace_back("there are more warnings, which are not shown");
  }
}

void Measurements::leave_out(std::string what) {
  if (std::ranges::find(notes_.left_out, what) == notes_.left_out.end()) {
    notes_.left_out.push_back(std::move(what));
  }
}

Task Measurements::known_task(const std::string& name, std::string_view option) const {
  const Task task = task_names_.find(name);
  if (task == StringPool::npos) {
    const std::vector<std::string> names = texts_of(task_names_);
    throw InputError("{}: there is no task '{}'{}; the tasks are {}", option, printable(name),
                     did_you_mean(name, names), printable(join(names, ", "), 400));
  }
  return task;
}

void Measurements::apply_format() {
  std::vector<std::optional<bool>> asked(statements_.size());
  const auto ask = [&](const std::vector<std::string>& names, bool higher,
                       std::string_view option) {
    for (const std::string& name : names) {
      std::optional<bool>& one = asked[known_task(name, option)];
      if (one && *one != higher) {
        throw InputError("task '{}' is in --lower-is-better and in --higher-is-better",
                         printable(name));
      }
      one = higher;
    }
  };
  ask(format_.lower_is_better, false, "--lower-is-better");
  ask(format_.higher_is_better, true, "--higher-is-better");
  for (Task task = 0; task < statements_.size(); ++task) {
    Statement& statement = statements_[task];
    const std::string name = printable(task_names_[task]);
    if (asked[task]) {
      if (statement.higher && *statement.higher != *asked[task]) {
        warn(fmt::format("{}: of task '{}' it says that {} is better; the command line counts",
                         statement.direction_place, name, *statement.higher ? "higher" : "lower"));
      }
      statement.higher = asked[task];
    } else if (!statement.higher && sounds_lower_is_better(task_names_[task])) {
      warn(
          fmt::format("task '{}' sounds as if lower were better, but counts as higher is better; "
                      "say --lower-is-better or --higher-is-better",
                      name));
    }
    TaskInfo& info = builder_.info(task);
    info.higher_is_better = statement.higher.value_or(true);
    info.weight = statement.weight.value_or(1);
    info.kind = statement.kind.value_or(ScoreKind::cardinal);
  }
  for (const auto& [name, weight] : format_.weights) {
    if (!is_weight(weight)) {
      throw InputError("--task-weight: task '{}' has weight {}; expected a number from 0 to {:g}",
                       printable(name), weight, kLargestWeight);
    }
    builder_.info(known_task(name, "--task-weight")).weight = weight;
  }
  for (const auto& [name, kind] : format_.kinds) {
    const Task task = known_task(name, "--kind");
    statements_[task].kind = kind;
    builder_.info(task).kind = kind;
  }
}

ScoreTable Measurements::finish(const std::string& where) {
  apply_format();
  sort_comparisons();
  const std::size_t rows = builder_.rows();
  ScoreTable table = builder_.finish(where, format_.repeats);
  notes_.repeats += rows - table.rows();
  look_at_tasks(table);
  look_at_systems(table);
  return table;
}

void Measurements::sort_comparisons() {
  Comparisons& all = builder_.comparisons();
  const std::vector<double>& times = comparison_times_;
  const bool known = times.size() == all.size() &&
                     std::ranges::none_of(times, [](double time) { return std::isnan(time); });
  if (!known || std::ranges::is_sorted(times)) return;
  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t row) { return times[row]; });
  reorder(all.first, order, 1);
  reorder(all.second, order, 1);
  reorder(all.outcomes, order, 1);
  reorder(all.weights, order, 1);
  reorder(all.clusters, order, 1);
  reorder(all.covariates, order, all.covariate_names.size());
}

void Measurements::look_at_tasks(ScoreTable& table) {
  const std::vector<Range> ranges = ranges_of(table);
  const bool has_instances = table.has_instances();
  for (Task task = 0; task < table.task_count(); ++task) {
    const Range& range = ranges[task];
    const std::string name = printable(table.tasks[task]);
    if (range.rows == 0) {
      warn(fmt::format("task '{}' has no value", name));
      continue;
    }
    const Statement& statement = statements_[task_names_.find(table.tasks[task])];
    if (has_instances && range.binary && !statement.kind) {
      table.task_infos[task].kind = ScoreKind::binary;
    }
    if (!range.compares) {
      warn(fmt::format("task '{}' compares no systems: each of its values stands alone", name));
    } else if (!range.differs) {
      warn(fmt::format("task '{}' distinguishes no systems: all have the same value", name));
    }
    if (range.is_mixed()) {
      warn(
          fmt::format("task '{}' has values up to {:.4g} and others from {:.4g} to {:.4g}; are "
                      "shares and per cent mixed?",
                      name, range.largest_share, range.smallest_above, range.largest));
    }
  }
}

void Measurements::look_at_systems(const ScoreTable& table) {
  std::vector<bool> measured(table.system_count());
  for (const System system : table.row_systems) measured[system] = true;
  for (const System system : table.comparisons.first) measured[system] = true;
  for (const System system : table.comparisons.second) measured[system] = true;
  std::vector<std::string> without;
  for (System system = 0; system < table.system_count(); ++system) {
    if (!measured[system]) without.push_back("'" + printable(table.systems[system]) + "'");
  }
  if (without.empty()) return;
  warn(fmt::format("nothing was measured of {}", printable(join(without, ", "), 300)));
}

bool sounds_lower_is_better(std::string_view name) {
  constexpr std::array<std::string_view, 22> kWords{
      "loss",    "perplexity", "ppl",    "error", "errors", "err", "wer",     "cer",
      "mse",     "rmse",       "mae",    "nll",   "brier",  "ece", "latency", "runtime",
      "seconds", "toxicity",   "regret", "fid",   "bpb",    "bpc"};
  return has_word(name, kWords) || name.find("per_byte") != std::string_view::npos;
}

bool sounds_like_no_task(std::string_view name) {
  constexpr std::array<std::string_view, 16> kWords{
      "params", "parameters", "size",   "likes", "downloads", "year", "date",  "id",
      "stderr", "std",        "stddev", "se",    "count",     "cost", "index", "votes"};
  return has_word(name, kWords);
}

bool is_weight(double weight) {
  return weight >= 0 && weight <= kLargestWeight;  // false for NaN
}

double weight_of_text(std::string_view text, const std::string& place) {
  const std::optional<double> weight = cell_number(text);
  if (!weight || !is_weight(*weight)) {
    throw InputError("{}: the weight is '{}'; expected a number from 0 to {:g}", place,
                     printable(text), kLargestWeight);
  }
  return *weight;
}

}  // namespace amalgam::scores
