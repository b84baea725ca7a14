#include "amalgam/labels/whole_fit_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/labels/fit_columns.hpp"

namespace amalgam::labels {
namespace {

constexpr const char* kSeed = "amalgam.labels.seed";
constexpr const char* kUpdates = "amalgam.labels.updates";
constexpr const char* kGold = "gold";

// Methods whose fit is so quick that an update need not make it.
bool counts_votes(std::string_view method) {
  constexpr std::array<std::string_view, 6> kMethods{
      "majority-vote", "standard", "softmax", "weighted-majority", "wawa", "zero-based-skill"};
  return std::ranges::find(kMethods, method) != kMethods.end();
}

// Another seed for each update.
std::uint64_t seed_of(std::uint64_t seed, std::uint64_t updates) {
  if (updates == 0) return seed;
  RandomStream random(seed, fmt::format("label state update {}", updates));
  const std::uint64_t high = random.next();
  return high << 32U | random.next();
}

// For each name of `names` its number in `old`, or npos.
std::vector<std::uint32_t> numbers_in(const StringPool& old, const StringPool& names) {
  std::vector<std::uint32_t> numbers(names.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = old.find(names[i]);
  return numbers;
}

std::map<std::string, FitPoint::Numbers> renumbered(
    const std::map<std::string, FitPoint::Numbers>& point,
    const std::vector<std::uint32_t>& old_numbers) {
  std::map<std::string, FitPoint::Numbers> result;
  for (const auto& [name, part] : point) {
    FitPoint::Numbers& to = result[name];
    to.columns = part.columns;
    to.values.assign(old_numbers.size() * part.columns, std::numeric_limits<double>::quiet_NaN());
    for (std::size_t i = 0; i < old_numbers.size(); ++i) {
      if (old_numbers[i] == StringPool::npos) continue;
      const auto from =
          part.values.begin() + static_cast<std::ptrdiff_t>(old_numbers[i] * part.columns);
      std::copy_n(from, part.columns,
                  to.values.begin() + static_cast<std::ptrdiff_t>(i * part.columns));
    }
  }
  return result;
}

// How far the posterior of a task that both have moved the most.
double largest_change(const SoftLabels& before, const SoftLabels& after,
                      const std::vector<std::uint32_t>& old_tasks) {
  double largest = 0;
  for (std::size_t task = 0; task < after.items; ++task) {
    if (old_tasks[task] == StringPool::npos) continue;
    const std::span<const double> old = before.row(old_tasks[task]);
    const std::span<const double> now = after.row(task);
    for (std::size_t k = 0; k < after.classes; ++k) {
      largest = std::max(largest, std::abs(now[k] - old[k]));
    }
  }
  return largest;
}

AnnotationTable canonical_table(const AnnotationTable& table) {
  return KeptRows(table).canonical().table;
}

}  // namespace

WholeFitState::WholeFitState(const AnnotationTable& table, std::string method,
                             std::span<const std::string> parameters, const FitContext& context)
    : head_{std::move(method), {parameters.begin(), parameters.end()}},
      table_(table),
      seed_(context.seed),
      parallel_(context.parallel) {
  table_.times.clear();
  if (context.gold != nullptr) gold_ = *context.gold;
  FitContext whole = context;
  whole.keep_evidence = keeps_evidence();
  whole.keep_point = true;
  fit_ = fit_labels(head_.method, table_, head_.parameters, whole);
}

WholeFitState::WholeFitState(const ColumnReader& reader) : head_(read_state_head(reader)) {
  const AnnotationTable rows = read_state_rows(reader);
  table_ = canonical_table(rows);
  seed_ = reader.number(kSeed);
  updates_ = reader.number(kUpdates);
  const bool needs_gold = reader.checked([&] {
    const LabelModelInfo& info = find_label_model(head_.method).info();
    parameters_from_arguments(info.name, info.parameters, head_.parameters);
    return info.needs_gold;
  });
  const bool in_order =
      rows.task_names == table_.task_names && rows.worker_names == table_.worker_names;
  if (reader.has_column(kGold)) {
    reader.check(in_order, "gold labels");
    gold_.labels = reader.column<std::uint16_t>(kGold, DType::u16);
    reader.check(gold_.labels.size() == table_.task_count(), "gold labels");
    for (const Label label : gold_.labels) {
      reader.check(label == kNoLabel || label < table_.label_count(), "gold labels");
    }
  }
  if (needs_gold) reader.check(!gold_.labels.empty(), "gold labels");
  if (reader.columns_from("point.").empty()) return;
  reader.check(in_order, "fit");
  fit_ = read_fit(reader, table_);
}

LabelFit WholeFitState::fitted(const AnnotationTable& table, const GoldLabels& gold,
                               const FitPoint* start) const {
  FitContext context;
  context.seed = seed_of(seed_, start == nullptr ? 0 : updates_ + 1);
  context.parallel = parallel_;
  context.gold = gold.labels.empty() ? nullptr : &gold;
  context.start = start;
  context.keep_evidence = keeps_evidence();
  context.keep_point = true;
  return fit_labels(head_.method, table, head_.parameters, context);
}

AbsorbReport WholeFitState::absorb(const AnnotationTable& added, const AbsorbOptions& options) {
  AbsorbReport report;
  KeptRows rows(table_);
  report.tasks_updated = rows.add(added, report).size();
  report.converged = true;
  AnnotationTable table = rows.canonical().table;
  const std::vector<std::uint32_t> old_tasks = numbers_in(table_.task_names, table.task_names);
  GoldLabels gold = gold_with(table, old_tasks, options);
  parallel_ = options.parallel;
  if (counts_votes(head_.method)) {
    table_ = std::move(table);
    gold_ = std::move(gold);
    fit_.reset();
    return report;
  }
  FitPoint start;
  if (goes_on()) {
    start = {renumbered(fit_->point.workers, numbers_in(table_.worker_names, table.worker_names)),
             renumbered(fit_->point.tasks, old_tasks), fit_->point.where};
  }
  LabelFit fit = fitted(table, gold, goes_on() ? &start : nullptr);
  report.fits_everything = true;
  report.sweeps = fit.iterations;
  report.converged = fit.converged || never_converges();
  report.tasks_updated = table.task_count();
  report.workers_updated = table.worker_count();
  report.largest_change = fit_ ? largest_change(fit_->posterior, fit.posterior, old_tasks)
                               : std::numeric_limits<double>::quiet_NaN();
  updates_ += goes_on() ? 1 : 0;
  table_ = std::move(table);
  gold_ = std::move(gold);
  fit_ = std::move(fit);
  return report;
}

GoldLabels WholeFitState::gold_with(const AnnotationTable& table,
                                    const std::vector<std::uint32_t>& old_tasks,
                                    const AbsorbOptions& options) const {
  GoldLabels gold;
  if (gold_.labels.empty() && !options.gold) return gold;
  gold.labels.assign(table.task_count(), kNoLabel);
  for (std::size_t task = 0; task < old_tasks.size(); ++task) {
    if (gold_.labels.empty() || old_tasks[task] == StringPool::npos) continue;
    gold.labels[task] = gold_.labels[old_tasks[task]];
  }
  if (!options.gold) return gold;
  const LabelModelInfo& info = find_label_model(head_.method).info();
  if ((!info.uses_gold && !info.needs_gold) || !holds_gold(head_.method)) {
    throw InputError("a state of '{}' cannot hold gold labels as known", info.name);
  }
  const GoldLabels more = options.gold(table);
  for (std::size_t task = 0; task < more.labels.size(); ++task) {
    if (more.labels[task] != kNoLabel) gold.labels.at(task) = more.labels[task];
  }
  return gold;
}

bool WholeFitState::never_converges() const {
  const LabelModelInfo& info = find_label_model(head_.method).info();
  const Parameters values = parameters_from_arguments(info.name, info.parameters, head_.parameters);
  return values.has("tolerance") && values.number("tolerance") < 0;
}

RefineReport WholeFitState::refine(double /*tolerance*/, std::size_t /*max_sweeps*/,
                                   const Parallel& parallel) {
  parallel_ = parallel;
  RefineReport report{
      .sweeps = fit_ ? fit_->iterations : 0, .converged = true, .largest_change = 0};
  if (!goes_on() || updates_ == 0) return report;
  LabelFit fit = fitted(table_, gold_, nullptr);
  std::vector<std::uint32_t> same(table_.task_count());
  for (std::size_t task = 0; task < same.size(); ++task) {
    same[task] = static_cast<std::uint32_t>(task);
  }
  report = {.sweeps = fit.iterations,
            .converged = fit.converged || never_converges(),
            .largest_change = largest_change(fit_->posterior, fit.posterior, same)};
  updates_ = 0;
  fit_ = std::move(fit);
  return report;
}

AnnotationTable WholeFitState::table() const { return table_; }

LabelState::Result WholeFitState::result(bool keep_evidence) const {
  if (keep_evidence && !keeps_evidence()) {
    throw InputError(
        "a state to which abstentions say something cannot label new tasks; aggregate the new "
        "annotations with those that are there");
  }
  Result result{table_, fit_ ? *fit_ : fitted(table_, gold_, nullptr)};
  if (!keep_evidence) result.fit.evidence = {};
  result.fit.point = {};
  return result;
}

ColumnSet WholeFitState::columns() const {
  ColumnSet set{.columns = {}, .metadata = state_metadata(head_)};
  add_state_rows(set.columns, KeptRows(table_).numbered());
  if (!gold_.labels.empty()) set.columns.push_back(make_column(kGold, DType::u16, gold_.labels));
  if (goes_on()) add_fit(set.columns, *fit_);
  set.metadata[kSeed] = fmt::to_string(seed_);
  set.metadata[kUpdates] = fmt::to_string(updates_);
  return set;
}

}  // namespace amalgam::labels
