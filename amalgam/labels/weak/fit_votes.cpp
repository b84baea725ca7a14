#include "amalgam/labels/weak/fit_votes.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/state_rows.hpp"

namespace amalgam::labels {
namespace {

constexpr std::string_view kCommand = "weak";
constexpr const char* kVotes = "votes.";
constexpr const char* kBalance = "balance";

std::vector<double> checked_balance(std::span<const double> balance, std::size_t classes) {
  if (balance.empty()) return std::vector<double>(classes, 1 / static_cast<double>(classes));
  if (balance.size() != classes) {
    throw InputError("a balance of {} classes, but the votes have {}", balance.size(), classes);
  }
  std::vector<double> shares(balance.begin(), balance.end());
  for (const double share : shares) {
    if (!(share > 0) || !std::isfinite(share)) {
      throw InputError("a class balance of {}; expected numbers above 0", share);
    }
  }
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share /= sum;
  return shares;
}

std::vector<std::string> with_balance(std::string_view method, std::span<const double> balance,
                                      std::span<const std::string> parameters) {
  std::vector<std::string> all(parameters.begin(), parameters.end());
  const auto& known = find_label_model(method).info().parameters;
  const bool takes_it = std::ranges::find(known, "balance", &ParameterInfo::name) != known.end();
  const bool has_it =
      std::ranges::any_of(all, [](const std::string& one) { return one.starts_with("balance="); });
  if (takes_it && !has_it && !balance.empty()) {
    all.push_back(fmt::format("balance={}", fmt::join(balance, ",")));
  }
  return all;
}

// Items without a vote.
void set_uncovered(SoftLabels& posterior, const AnnotationTable& table,
                   std::span<const double> shares) {
  for (std::size_t task = 0; task < table.task_count(); ++task) {
    const auto [begin, end] = table.rows_of(static_cast<Task>(task));
    if (begin == end) std::ranges::copy(shares, posterior.row(task).begin());
  }
}

}  // namespace

LabelFit fit_votes(std::string_view method, const AnnotationTable& table,
                   std::span<const double> balance, std::span<const std::string> parameters,
                   const FitContext& context) {
  const std::vector<double> shares = checked_balance(balance, table.label_count());
  LabelFit fit;
  if (table.rows() > 0) {
    fit = fit_labels(method, table, with_balance(method, balance, parameters), context);
  } else {
    find_label_model(method);
    fit.posterior = SoftLabels(table.task_count(), table.label_count());
    fit.prior = shares;
    fit.warnings.push_back("no labelling function votes on any item: all have the class balance");
  }
  if (!balance.empty() || table.rows() == 0) set_uncovered(fit.posterior, table, shares);
  return fit;
}

VoteState::VoteState(std::string_view method, const AnnotationTable& table,
                     std::span<const double> balance, std::span<const std::string> parameters,
                     const FitContext& context)
    : classes_(table.label_count()) {
  if (!balance.empty()) balance_ = checked_balance(balance, table.label_count());
  if (table.rows() == 0) throw InputError("no labelling function votes on any item: no state");
  state_ = make_label_state(table, std::string(method), with_balance(method, balance, parameters),
                            context);
  settled_ = refine(context.parallel);
}

VoteState::VoteState(const ColumnReader& reader) {
  read_state_head(reader, kCommand);
  state_ = load_label_state(reader.part(kVotes));
  classes_ = reader.part(kVotes).names("labels").size();
  if (!reader.has_column(kBalance)) return;
  balance_ = reader.column<double>(kBalance, DType::f64);
  double sum = 0;
  for (const double share : balance_) {
    reader.check(share > 0 && share <= 1, kBalance);
    sum += share;
  }
  reader.check(balance_.size() == classes_ && std::abs(sum - 1) < 1e-9, kBalance);
}

AbsorbReport VoteState::absorb(const AnnotationTable& added, const AbsorbOptions& options) {
  check_new_answers(state_->table(), added);
  return state_->absorb(added, options);
}

RefineReport VoteState::refine(const Parallel& parallel) {
  return state_->refine(kSettled, kSettlingSweeps, parallel);
}

LabelState::Result VoteState::result(bool keep_evidence) const {
  LabelState::Result result = state_->result(keep_evidence);
  if (!balance_.empty()) set_uncovered(result.fit.posterior, result.table, balance_);
  return result;
}

ColumnSet VoteState::columns() const {
  ColumnSet set{.columns = {}, .metadata = state_metadata({state_->method()}, kCommand)};
  if (!balance_.empty()) set.columns.push_back(make_column(kBalance, DType::f64, balance_));
  set.add_part(kVotes, state_->columns());
  return set;
}

bool is_vote_state(const ColumnReader& reader) { return state_command(reader) == kCommand; }

}  // namespace amalgam::labels
