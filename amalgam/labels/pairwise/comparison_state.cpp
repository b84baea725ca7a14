#include "amalgam/labels/pairwise/comparison_state.hpp"

#include <algorithm>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/other_methods.hpp"

namespace amalgam::labels {
namespace {

constexpr std::string_view kCommand = "pairwise";
constexpr std::string_view kPlain = "bradley-terry";
constexpr const char* kScores = "scores";

Parameters parameters_of(std::string_view method, std::span<const std::string> arguments) {
  const OtherMethod& info = find_other_method(kCommand, method);
  return parameters_from_arguments(info.name, info.parameters, arguments);
}

// The values of the same names in another order; NaN for new ones.
std::vector<double> renumbered(const std::vector<double>& values, const StringPool& from,
                               const StringPool& names) {
  std::vector<double> result;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::uint32_t old = from.find(names[i]);
    result.push_back(old == StringPool::npos ? std::numeric_limits<double>::quiet_NaN()
                                             : values[old]);
  }
  return result;
}

ComparisonTable read_table(const ColumnReader& reader) {
  ComparisonTable table;
  table.item_names = reader.names("items");
  table.worker_names = reader.names("workers");
  const auto workers = reader.column<std::uint32_t>("rows.workers", DType::u32);
  const auto left = reader.column<std::uint32_t>("rows.left", DType::u32);
  const auto right = reader.column<std::uint32_t>("rows.right", DType::u32);
  const auto left_won = reader.column<std::uint8_t>("rows.left_won", DType::u8);
  reader.check(!workers.empty() && left.size() == workers.size() &&
                   right.size() == workers.size() && left_won.size() == workers.size(),
               "rows");
  const std::size_t items = table.item_names.size();
  for (std::size_t row = 0; row < workers.size(); ++row) {
    reader.check(workers[row] < table.worker_names.size() && left[row] < items &&
                     right[row] < items && left[row] != right[row] && left_won[row] <= 1,
                 "rows");
    table.rows.push_back({workers[row], left[row], right[row], left_won[row] == 1});
  }
  reader.check(std::ranges::is_sorted(table.rows) &&
                   std::ranges::is_sorted(table.item_names.canonical_order()) &&
                   std::ranges::is_sorted(table.worker_names.canonical_order()),
               "rows");
  return table;
}

}  // namespace

PairwiseFit fit_comparisons(std::string_view method, const ComparisonTable& table,
                            std::span<const std::string> parameters,
                            std::span<const double> start) {
  const Parameters values = parameters_of(method, parameters);
  const auto iterations = static_cast<std::size_t>(values.number("iterations"));
  const double tolerance = values.number("tolerance");
  if (method == kPlain) {
    return bradley_terry(table, {.iterations = iterations,
                                 .tolerance = tolerance,
                                 .prior = values.number("prior"),
                                 .start = start});
  }
  return noisy_bradley_terry(table, {.iterations = iterations,
                                     .regularisation = values.number("regularisation"),
                                     .tolerance = tolerance});
}

ComparisonState::ComparisonState(std::string method, std::vector<std::string> parameters)
    : head_{std::move(method), std::move(parameters)} {
  parameters_of(head_.method, head_.parameters);
}

ComparisonState::ComparisonState(const ColumnReader& reader)
    : head_(read_state_head(reader, kCommand)) {
  reader.checked([&] { return parameters_of(head_.method, head_.parameters); });
  table_ = read_table(reader);
  if (head_.method != kPlain) return;
  scores_ = reader.column<double>(kScores, DType::f64);
  reader.check(scores_.size() == table_.item_names.size() &&
                   std::ranges::all_of(scores_, [](double s) { return s >= 0 && s <= 1; }),
               kScores);
}

PairwiseFit ComparisonState::absorb(const ComparisonTable& added) {
  ComparisonBuilder builder;
  builder.add(table_);
  builder.add(added);
  ComparisonTable all = builder.finish();
  if (all.rows.empty()) throw InputError("there is no comparison");
  std::vector<double> start;
  if (!scores_.empty()) start = renumbered(scores_, table_.item_names, all.item_names);
  PairwiseFit fit = fit_comparisons(head_.method, all, head_.parameters, start);
  table_ = std::move(all);
  if (head_.method == kPlain) scores_ = fit.scores;
  return fit;
}

ColumnSet ComparisonState::columns() const {
  ColumnSet set{.columns = {}, .metadata = state_metadata(head_, kCommand)};
  add_names(set.columns, "items", table_.item_names);
  add_names(set.columns, "workers", table_.worker_names);
  const auto add = [&]<class T>(const char* name, DType dtype, auto member, T /*of values*/) {
    std::vector<T> values;
    for (const Comparison& row : table_.rows) values.push_back(static_cast<T>(row.*member));
    set.columns.push_back(make_column(name, dtype, values));
  };
  add("rows.workers", DType::u32, &Comparison::worker, std::uint32_t{});
  add("rows.left", DType::u32, &Comparison::left, std::uint32_t{});
  add("rows.right", DType::u32, &Comparison::right, std::uint32_t{});
  add("rows.left_won", DType::u8, &Comparison::left_won, std::uint8_t{});
  if (!scores_.empty()) set.columns.push_back(make_column(kScores, DType::f64, scores_));
  return set;
}

}  // namespace amalgam::labels
