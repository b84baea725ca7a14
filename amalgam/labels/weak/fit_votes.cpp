#include "amalgam/labels/weak/fit_votes.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "amalgam/core/error.hpp"

namespace amalgam::labels {
namespace {

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
  for (std::size_t task = 0; task < table.task_count(); ++task) {
    const auto [begin, end] = table.rows_of(static_cast<Task>(task));
    if (begin != end || (balance.empty() && table.rows() > 0)) continue;
    std::ranges::copy(shares, fit.posterior.row(task).begin());
  }
  return fit;
}

}  // namespace amalgam::labels
