#include "amalgam/labels/pairwise/comparison_state.hpp"

#include <algorithm>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/other_methods.hpp"

namespace amalgam::labels {
namespace {

constexpr std::string_view kCommand = "pairwise";
constexpr std::string_view kPlain = "bradley-terry";
constexpr double kLargestLogOdds = 1e6;

Parameters parameters_of(std::string_view method, std::span<const std::string> arguments) {
  const OtherMethod& info = find_other_method(kCommand, method);
  return parameters_from_arguments(info.name, info.parameters, arguments);
}

// For each name of `names` the number of it in `from`, or NaN.
std::vector<double> renumbered(const std::vector<double>& values, const StringPool& from,
                               const StringPool& names) {
  std::vector<double> result;
  if (values.empty()) return result;
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

std::vector<double> read_numbers(const ColumnReader& reader, const char* name, std::size_t count,
                                 double low, double high) {
  std::vector<double> values = reader.column<double>(name, DType::f64);
  reader.check(
      values.size() == count &&
          std::ranges::all_of(values, [&](double value) { return value >= low && value <= high; }),
      std::string("numbers '") + name + "'");
  return values;
}

}  // namespace

PairwiseFit fit_comparisons(std::string_view method, const ComparisonTable& table,
                            std::span<const std::string> parameters, const PairwisePoint* start) {
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
                                     .tolerance = tolerance,
                                     .start = start});
}

ComparisonState::ComparisonState(std::string method, std::vector<std::string> parameters)
    : head_{std::move(method), std::move(parameters)} {
  parameters_of(head_.method, head_.parameters);
}

ComparisonState::ComparisonState(const ColumnReader& reader)
    : head_(read_state_head(reader, kCommand)) {
  try {
    parameters_of(head_.method, head_.parameters);
  } catch (const InputError& error) {
    reader.fail(error.what());
  }
  table_ = read_table(reader);
  const std::size_t items = table_.item_names.size();
  if (head_.method == kPlain) {
    point_.items = read_numbers(reader, "point.items", items, 0, 1);
    return;
  }
  const auto log_odds = [&](const char* name, std::size_t count) {
    return read_numbers(reader, name, count, -kLargestLogOdds, kLargestLogOdds);
  };
  point_ = {log_odds("point.items", items), log_odds("point.skills", table_.worker_names.size()),
            log_odds("point.biases", table_.worker_names.size())};
}

PairwisePoint ComparisonState::known_of(const ComparisonTable& table) const {
  return {renumbered(point_.items, table_.item_names, table.item_names),
          renumbered(point_.skills, table_.worker_names, table.worker_names),
          renumbered(point_.biases, table_.worker_names, table.worker_names)};
}

PairwiseFit ComparisonState::absorb(const ComparisonTable& added) {
  ComparisonBuilder builder;
  builder.add(table_);
  builder.add(added);
  ComparisonTable all = builder.finish();
  if (all.rows.empty()) throw InputError("there is no comparison");
  const PairwisePoint known = known_of(all);
  PairwiseFit fit =
      fit_comparisons(head_.method, all, head_.parameters, table_.rows.empty() ? nullptr : &known);
  table_ = std::move(all);
  point_ = fit.point;
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
  for (const auto& [name, values] :
       {std::pair("point.items", &point_.items), std::pair("point.skills", &point_.skills),
        std::pair("point.biases", &point_.biases)}) {
    if (!values->empty()) set.columns.push_back(make_column(name, DType::f64, *values));
  }
  return set;
}

}  // namespace amalgam::labels
