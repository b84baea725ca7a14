#include "amalgam/labels/pairwise/bradley_terry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/interrupt.hpp"

namespace amalgam::labels {
namespace {

// How many items are reached from the first, along edges from losers to winners or back.
std::size_t reached_items(const ComparisonTable& table, bool forward) {
  const std::size_t items = table.item_names.size();
  std::vector<std::vector<std::uint32_t>> next(items);
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    const std::uint32_t from = forward ? table.loser(row) : table.winner(row);
    next[from].push_back(forward ? table.winner(row) : table.loser(row));
  }
  std::vector<bool> seen(items, false);
  std::vector<std::uint32_t> open{0};
  seen[0] = true;
  std::size_t count = 1;
  while (!open.empty()) {
    const std::uint32_t item = open.back();
    open.pop_back();
    for (const std::uint32_t other : next[item]) {
      if (seen[other]) continue;
      seen[other] = true;
      open.push_back(other);
      ++count;
    }
  }
  return count;
}

void warn_if_undetermined(const ComparisonTable& table, PairwiseFit& fit) {
  const std::size_t items = table.item_names.size();
  if (reached_items(table, true) == items && reached_items(table, false) == items) return;
  fit.warnings.emplace_back(
      "some items never win, or never lose, against all others: their scores are not determined "
      "(a prior above 0 determines them)");
}

void divide_by_sum(std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  for (double& value : values) value /= sum;
}

std::vector<double> first_scores(std::size_t items, std::span<const double> start) {
  const double equal = 1.0 / static_cast<double>(items);
  std::vector<double> scores(items, equal);
  if (start.empty()) return scores;
  for (std::size_t i = 0; i < items; ++i) {
    if (start[i] > 0) scores[i] = start[i];
  }
  divide_by_sum(scores);
  return scores;
}

}  // namespace

PairwiseFit bradley_terry(const ComparisonTable& table, const BradleyTerryOptions& options) {
  const std::size_t items = table.item_names.size();
  const double equal = 1.0 / static_cast<double>(items);
  PairwiseFit fit;
  if (options.prior == 0) warn_if_undetermined(table, fit);
  std::vector<double> wins(items, options.prior);
  for (std::size_t row = 0; row < table.rows.size(); ++row) wins[table.winner(row)] += 1;
  fit.scores = first_scores(items, options.start);
  while (!fit.converged && fit.iterations < options.iterations) {
    check_interrupt();
    std::vector<double> below(items);
    for (std::size_t i = 0; i < items; ++i) {
      below[i] = options.prior > 0 ? 2 * options.prior / (fit.scores[i] + equal) : 0;
    }
    for (const Comparison& row : table.rows) {
      const double share = 1 / (fit.scores[row.left] + fit.scores[row.right]);
      below[row.left] += share;
      below[row.right] += share;
    }
    std::vector<double> next(items);
    for (std::size_t i = 0; i < items; ++i) next[i] = below[i] > 0 ? wins[i] / below[i] : 0;
    divide_by_sum(next);
    double change = 0;
    for (std::size_t i = 0; i < items; ++i) {
      change = std::max(change, std::abs(next[i] - fit.scores[i]));
    }
    fit.scores = std::move(next);
    ++fit.iterations;
    fit.converged = change <= options.tolerance;
  }
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    const double won = fit.scores[table.winner(row)];
    fit.log_likelihood += portable_log(won / (won + fit.scores[table.loser(row)]));
  }
  return fit;
}

}  // namespace amalgam::labels
