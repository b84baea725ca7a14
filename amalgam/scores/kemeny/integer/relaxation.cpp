#include "amalgam/scores/kemeny/integer/relaxation.hpp"

#include <ClpSimplex.hpp>
#include <CoinPackedMatrix.hpp>
#include <CoinWarmStartBasis.hpp>
#include <algorithm>
#include <cmath>
#include <limits>

namespace amalgam::scores::kemeny::integer {
namespace {

constexpr double kViolation = 1e-6;

// Spreads triples of equal violation over all systems.
std::uint64_t scatter(std::uint64_t value) {
  value *= 0x9e3779b97f4a7c15ULL;
  return value ^ (value >> 32U);
}

}  // namespace

CoinPackedVector Columns::row(const Triple& triple) const {
  const int indices[] = {of(triple.i, triple.j), of(triple.j, triple.k), of(triple.i, triple.k)};
  const double values[] = {1, 1, -1};
  return {3, indices, values};
}

std::vector<Triple> violated_triples(const Columns& columns, const double* x, std::size_t most) {
  struct Found {
    double violation;
    std::uint64_t place;
    Triple triple;
  };
  std::vector<Found> found;
  const int n = columns.systems();
  for (int i = 0; i < n; ++i) {
    for (int j = i + 1; j < n; ++j) {
      const double ij = x[columns.of(i, j)];
      for (int k = j + 1; k < n; ++k) {
        const double activity = ij + x[columns.of(j, k)] - x[columns.of(i, k)];
        const double violation = std::max(activity - 1, -activity);
        if (violation <= kViolation) continue;
        const auto number = (static_cast<std::uint64_t>(i) * n + j) * n + k;
        found.push_back({violation, scatter(number), {i, j, k}});
      }
    }
  }
  const std::size_t count = std::min(most, found.size());
  std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(count), found.end(),
                    [](const Found& a, const Found& b) {
                      if (a.violation > b.violation + kViolation) return true;
                      if (b.violation > a.violation + kViolation) return false;
                      return a.place < b.place;
                    });
  std::vector<Triple> triples;
  for (std::size_t at = 0; at < count; ++at) triples.push_back(found[at].triple);
  return triples;
}

double Budget::seconds_left() const {
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
  return work_.seconds - spent.count();
}

Relaxation::Relaxation(const AmalgamLinearOrdering& work) : columns_(work.systems) {
  const int n = work.systems;
  const int count = columns_.count();
  std::vector<double> objective(count);
  std::vector<double> lower(count, 0);
  std::vector<double> upper(count, 1);
  for (int i = 0; i < n; ++i) {
    for (int j = i + 1; j < n; ++j) {
      const double lead = work.leads[i * n + j];
      objective[columns_.of(i, j)] = -lead;
      constant_ += std::max(0.0, lead);
      if (work.known == nullptr) continue;
      if (work.known[i * n + j] != 0) lower[columns_.of(i, j)] = 1;
      if (work.known[j * n + i] != 0) upper[columns_.of(i, j)] = 0;
    }
  }
  solver_.messageHandler()->setLogLevel(0);
  solver_.getModelPtr()->setLogLevel(0);
  solver_.setHintParam(OsiDoReducePrint, true, OsiHintTry);
  CoinPackedMatrix empty(false, 0, 0);
  empty.setDimensions(0, count);
  solver_.loadProblem(empty, lower.data(), upper.data(), objective.data(), nullptr, nullptr);
}

std::uint64_t Relaxation::key(const Triple& triple) const {
  const auto n = static_cast<std::uint64_t>(columns_.systems());
  return (static_cast<std::uint64_t>(triple.i) * n + triple.j) * n + triple.k;
}

int Relaxation::add(const std::vector<Triple>& triples) {
  std::vector<CoinPackedVector> rows;
  for (const Triple& triple : triples) {
    if (!present_.insert(key(triple)).second) continue;
    rows.push_back(columns_.row(triple));
    rows_.push_back(triple);
  }
  std::vector<const CoinPackedVectorBase*> pointers;
  for (const CoinPackedVector& row : rows) pointers.push_back(&row);
  const std::vector<double> low(rows.size(), 0);
  const std::vector<double> high(rows.size(), 1);
  const int count = static_cast<int>(rows.size());
  if (count > 0) solver_.addRows(count, pointers.data(), low.data(), high.data());
  cuts_ += count;
  return count;
}

// Rows far from both of their ends make every further solution slower.
void Relaxation::drop_slack_rows() {
  if (rows_.size() < static_cast<std::size_t>(2 * columns_.count())) return;
  const double* activity = solver_.getRowActivity();
  const double* price = solver_.getRowPrice();
  std::vector<int> dropped;
  std::vector<Triple> kept;
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    const bool slack = activity[row] > 0.1 && activity[row] < 0.9 && std::abs(price[row]) < 1e-9;
    if (slack) {
      dropped.push_back(static_cast<int>(row));
      present_.erase(key(rows_[row]));
    } else {
      kept.push_back(rows_[row]);
    }
  }
  if (dropped.empty()) return;
  solver_.deleteRows(static_cast<int>(dropped.size()), dropped.data());
  rows_ = std::move(kept);
}

void Relaxation::tighten(const Budget& budget) {
  const auto most = static_cast<std::size_t>(columns_.count());
  for (bool first = true; !budget.is_spent(); first = false) {
    solver_.getModelPtr()->setMaximumWallSeconds(std::max(0.01, budget.seconds_left()));
    if (first) {
      solver_.initialSolve();
    } else {
      solver_.resolve();
    }
    if (!solver_.isProvenOptimal()) return;
    const std::vector<Triple> violated = violated_triples(columns_, solver_.getColSolution(), most);
    if (!violated.empty()) drop_slack_rows();
    if (add(violated) == 0) return;
  }
}

double Relaxation::bounds(double* with_pair) const {
  const int n = columns_.systems();
  std::vector<double> reduced(columns_.count());
  std::vector<double> low(columns_.count());
  std::vector<double> high(columns_.count());
  for (int column = 0; column < columns_.count(); ++column) {
    reduced[column] = solver_.getObjCoefficients()[column];
    low[column] = solver_.getColLower()[column];
    high[column] = solver_.getColUpper()[column];
  }
  double bound = constant_;
  // Any prices give a bound; without a solution there are none.
  const double* price = solver_.getRowPrice();
  for (std::size_t row = 0; price != nullptr && row < rows_.size(); ++row) {
    const double y = price[row];
    if (!std::isfinite(y)) continue;
    bound += std::min(y, 0.0);
    reduced[columns_.of(rows_[row].i, rows_[row].j)] -= y;
    reduced[columns_.of(rows_[row].j, rows_[row].k)] -= y;
    reduced[columns_.of(rows_[row].i, rows_[row].k)] += y;
  }
  for (int column = 0; column < columns_.count(); ++column) {
    bound += std::min(reduced[column] * low[column], reduced[column] * high[column]);
  }
  constexpr double kImpossible = std::numeric_limits<double>::infinity();
  for (int i = 0; i < n; ++i) {
    for (int j = i + 1; j < n; ++j) {
      const int column = columns_.of(i, j);
      const double least = std::min(reduced[column] * low[column], reduced[column] * high[column]);
      with_pair[i * n + j] = high[column] < 1 ? kImpossible : bound + reduced[column] - least;
      with_pair[j * n + i] = low[column] > 0 ? kImpossible : bound - least;
    }
  }
  return bound;
}

}  // namespace amalgam::scores::kemeny::integer
