#include "amalgam/scores/strength/stationary.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam::scores {
namespace {

// ln of the sum of e^values.
double log_sum(std::span<const double> values) {
  const double most = *std::ranges::max_element(values);
  if (!std::isfinite(most)) throw Error("a Markov chain of comparisons is not irreducible");
  double sum = 0;
  for (const double value : values) sum += portable_exp(value - most);
  return most + portable_log(sum);
}

}  // namespace

std::vector<double> log_stationary_distribution(std::vector<double> rates, std::size_t states) {
  const auto row = [&](std::size_t i) { return rates.data() + i * states; };
  // Takes the last state away: who went there goes on to where it leads.
  for (std::size_t last = states; last-- > 1;) {
    double leaving = 0;
    for (std::size_t j = 0; j < last; ++j) leaving += row(last)[j];
    if (!(leaving > 0)) throw Error("a Markov chain of comparisons is not irreducible");
    for (std::size_t i = 0; i < last; ++i) {
      const double through = row(i)[last] / leaving;
      row(i)[last] = through;
      if (through == 0.0) continue;
      for (std::size_t j = 0; j < last; ++j) row(i)[j] += through * row(last)[j];
    }
  }
  // Each state's probability from those before it, as logarithms.
  std::vector<double> logs(states);
  std::vector<double> terms(states);
  for (std::size_t last = 1; last < states; ++last) {
    for (std::size_t i = 0; i < last; ++i) terms[i] = logs[i] + portable_log(row(i)[last]);
    logs[last] = log_sum(std::span(terms).first(last));
  }
  const double total = log_sum(logs);
  for (double& value : logs) value -= total;
  return logs;
}

}  // namespace amalgam::scores
