#include "amalgam/labels/counting_state.hpp"

#include <algorithm>
#include <array>

#include "amalgam/core/error.hpp"

namespace amalgam::labels {

bool CountingState::is_method(std::string_view method) {
  constexpr std::array<std::string_view, 6> kMethods{
      "majority-vote", "standard", "softmax", "weighted-majority", "wawa", "zero-based-skill"};
  return std::ranges::find(kMethods, method) != kMethods.end();
}

CountingState::CountingState(const AnnotationTable& table, std::string method,
                             std::span<const std::string> parameters, const FitContext& context)
    : head_{std::move(method), {parameters.begin(), parameters.end()}},
      rows_(table),
      parallel_(context.parallel) {
  check();
  if (table.label_count() < 2) fit_labels(head_.method, table, head_.parameters, context);
}

CountingState::CountingState(const ColumnReader& reader)
    : head_(read_state_head(reader)), rows_(read_state_rows(reader)) {
  check();
}

void CountingState::check() const {
  if (!is_method(head_.method)) {
    throw InputError("method '{}' does more than count votes", head_.method);
  }
  const LabelModelInfo& info = find_label_model(head_.method).info();
  const Parameters values = parameters_from_arguments(info.name, info.parameters, head_.parameters);
  if (values.has("balance") && values.text("balance") == "gold") {
    throw InputError("a state cannot hold gold labels, which balance=gold needs");
  }
}

AbsorbReport CountingState::absorb(const AnnotationTable& added, const AbsorbOptions& /*options*/) {
  AbsorbReport report;
  report.tasks_updated = rows_.add(added, report).size();
  report.converged = true;
  return report;
}

RefineReport CountingState::refine(double /*tolerance*/, std::size_t /*max_sweeps*/,
                                   const Parallel& parallel) {
  parallel_ = parallel;
  return {.sweeps = 0, .converged = true, .largest_change = 0};
}

LabelState::Result CountingState::result(bool keep_evidence) const {
  FitContext context;
  context.parallel = parallel_;
  context.keep_evidence = keep_evidence;
  Result result{rows_.canonical().table, {}};
  result.fit = fit_labels(head_.method, result.table, head_.parameters, context);
  return result;
}

void CountingState::save(const std::filesystem::path& path) const {
  std::vector<Column> columns;
  add_state_rows(columns, rows_.numbered());
  write_column_file(path, columns, state_metadata(head_));
}

}  // namespace amalgam::labels
