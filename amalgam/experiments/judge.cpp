#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <numeric>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/multiple_testing.hpp"
#include "amalgam/experiments/experiment.hpp"

namespace amalgam::experiments {
namespace {

constexpr double kLevel = 0.05;

double figure_of(const Figures& figures, const std::string& name) {
  const auto found = figures.find(name);
  if (found == figures.end()) throw Error("experiment: no figure '{}'", name);
  return found->second;
}

struct Sample {
  double mean = 0;
  double error = 0;  // standard error of the mean
  double freedom = 0;
};

Sample describe(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  Sample sample{.mean = std::accumulate(values.begin(), values.end(), 0.0) / n};
  double squares = 0;
  for (const double value : values) squares += (value - sample.mean) * (value - sample.mean);
  if (values.size() > 1) sample.error = std::sqrt(squares / (n - 1) / n);
  sample.freedom = n - 1;
  return sample;
}

// P(T >= (mean - bound) / error): small where the mean is plainly above the bound. Without spread
// (equal values) the answer is plain.
double p_above(const Sample& sample, double bound) {
  if (sample.freedom < 1) return 1;
  if (sample.error == 0) return sample.mean > bound ? 0 : 1;
  const boost::math::students_t distribution(sample.freedom);
  return cdf(complement(distribution, (sample.mean - bound) / sample.error));
}

double p_below(const Sample& sample, double bound) {
  return p_above({-sample.mean, sample.error, sample.freedom}, -bound);
}

Interval interval_of(const Sample& sample) {
  if (sample.freedom < 1 || sample.error == 0) return {sample.mean, sample.mean};
  const double reach = quantile(boost::math::students_t(sample.freedom), 0.975) * sample.error;
  return {sample.mean - reach, sample.mean + reach};
}

bool holds_once(const Claim& claim, double difference) {
  return claim.kind == Claim::Kind::within ? std::abs(difference) <= claim.margin
                                           : difference >= claim.margin;
}

void adjust(const std::vector<JudgedClaim*>& claims) {
  std::vector<double> p_values;
  p_values.reserve(claims.size());
  for (const JudgedClaim* claim : claims) p_values.push_back(claim->p);
  const std::vector<double> adjusted = holm(p_values);
  for (std::size_t k = 0; k < claims.size(); ++k) claims[k]->adjusted_p = adjusted[k];
}

}  // namespace

std::function<double(const Figures&)> difference(std::string left, std::string right) {
  return [left = std::move(left), right = std::move(right)](const Figures& figures) {
    return figure_of(figures, left) - figure_of(figures, right);
  };
}

std::function<double(const Figures&)> figure(std::string name) {
  return [name = std::move(name)](const Figures& figures) { return figure_of(figures, name); };
}

std::vector<JudgedClaim> judge(const std::vector<Claim>& claims,
                               const std::vector<Figures>& seeds) {
  if (seeds.empty()) throw Error("judging claims: no seeds");
  std::vector<JudgedClaim> judged;
  judged.reserve(claims.size());
  for (const Claim& claim : claims) {
    std::vector<double> differences;
    differences.reserve(seeds.size());
    for (const Figures& figures : seeds) differences.push_back(claim.difference(figures));
    const Sample sample = describe(differences);
    JudgedClaim one{.claim = &claim, .measured = sample.mean, .interval = interval_of(sample)};
    one.seeds_holding = static_cast<std::size_t>(std::ranges::count_if(
        differences, [&](double difference) { return holds_once(claim, difference); }));
    switch (claim.kind) {
      case Claim::Kind::at_least:
        one.p = p_above(sample, claim.margin);
        break;
      case Claim::Kind::within:
        one.p = std::max(p_above(sample, -claim.margin), p_below(sample, claim.margin));
        break;
      case Claim::Kind::always:
        one.p = one.seeds_holding == seeds.size() ? 0 : 1;
        break;
    }
    one.adjusted_p = one.p;
    judged.push_back(one);
  }
  std::vector<JudgedClaim*> primary;
  for (JudgedClaim& one : judged) {
    if (one.claim->primary) primary.push_back(&one);
  }
  adjust(primary);
  for (JudgedClaim& one : judged) one.holds = one.adjusted_p < kLevel;
  return judged;
}

std::string_view verdict_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::shown:
      return "shown";
    case Verdict::not_shown:
      return "not shown";
    case Verdict::quick:
      break;
  }
  return "quick";
}

}  // namespace amalgam::experiments
