#include "amalgam/scores/uncertainty/paired_tests.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/tail_probabilities.hpp"
#include "amalgam/scores/uncertainty/percentiles.hpp"
#include "amalgam/scores/uncertainty/power.hpp"

namespace amalgam::scores {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Named {
  PairedTest test;
  std::string_view name;
};
constexpr std::array kTests{Named{PairedTest::mcnemar, "mcnemar"},
                            Named{PairedTest::mcnemar_chi, "mcnemar-chi-squared"},
                            Named{PairedTest::sign, "sign"}, Named{PairedTest::mean, "mean"},
                            Named{PairedTest::bootstrap, "bootstrap"}};

// The parts of a sample: what each difference counts in the mean over tasks of means, and which
// unit it belongs to.
struct Layout {
  std::vector<double> weights;       // [differences], sum 1
  std::vector<double> centres;       // [differences]: its task's mean
  std::vector<std::uint32_t> units;  // [differences], numbered from 0
  std::size_t unit_count = 0;
  std::size_t tasks = 0;
  bool tasks_are_units = false;
  double mean = 0;
};

std::vector<std::uint32_t> numbered(const std::vector<std::uint32_t>& ids, std::size_t& count) {
  std::map<std::uint32_t, std::uint32_t> numbers;
  for (const std::uint32_t id : ids) numbers.emplace(id, 0);
  count = 0;
  for (auto& [id, number] : numbers) number = static_cast<std::uint32_t>(count++);
  std::vector<std::uint32_t> result;
  result.reserve(ids.size());
  for (const std::uint32_t id : ids) result.push_back(numbers[id]);
  return result;
}

Layout lay_out(const PairedSample& sample) {
  Layout layout;
  const std::vector<std::uint32_t> tasks = numbered(sample.tasks, layout.tasks);
  std::vector<double> sums(layout.tasks);
  std::vector<double> counts(layout.tasks);
  for (std::size_t i = 0; i < sample.size(); ++i) {
    sums[tasks[i]] += sample.differences[i];
    counts[tasks[i]] += 1;
  }
  for (std::size_t t = 0; t < layout.tasks; ++t) {
    sums[t] /= counts[t];
    layout.mean += sums[t] / static_cast<double>(layout.tasks);
  }
  // Differences that cancel on paper leave what rounding makes of them.
  double largest = 0;
  for (const double difference : sample.differences) {
    largest = std::max(largest, std::abs(difference));
  }
  if (std::abs(layout.mean) <= 1e-13 * largest) layout.mean = 0;
  layout.tasks_are_units =
      layout.tasks > 1 && std::ranges::any_of(counts, [](double count) { return count < 2; });
  for (std::size_t i = 0; i < sample.size(); ++i) {
    layout.weights.push_back(1 / (counts[tasks[i]] * static_cast<double>(layout.tasks)));
    layout.centres.push_back(layout.tasks_are_units ? layout.mean : sums[tasks[i]]);
  }
  if (layout.tasks_are_units) {
    layout.units = tasks;
    layout.unit_count = layout.tasks;
  } else if (!sample.clusters.empty()) {
    layout.units = numbered(sample.clusters, layout.unit_count);
  } else {
    layout.unit_count = sample.size();
    for (std::uint32_t i = 0; i < sample.size(); ++i) layout.units.push_back(i);
  }
  return layout;
}

ClusteredMean clustered_mean_of(const PairedSample& sample, const Layout& layout) {
  ClusteredMean result{
      .mean = layout.mean, .error = kNaN, .degrees = 1, .units = layout.unit_count};
  if (layout.unit_count < 2) return result;
  std::vector<double> sums(layout.unit_count);
  for (std::size_t i = 0; i < sample.size(); ++i) {
    sums[layout.units[i]] += layout.weights[i] * (sample.differences[i] - layout.centres[i]);
  }
  double squares = 0;
  for (const double sum : sums) squares += sum * sum;
  const auto units = static_cast<double>(layout.unit_count);
  const double fitted = layout.tasks_are_units ? 1 : static_cast<double>(layout.tasks);
  result.degrees = std::max(1.0, units - fitted);
  result.error = std::sqrt(squares * units / result.degrees);
  return result;
}

// Means of resamples.
class PairedBootstrap {
 public:
  PairedBootstrap(const PairedSample& sample, const Layout& layout)
      : sample_(sample), layout_(layout), by_unit_(layout.unit_count) {
    for (std::size_t i = 0; i < sample.size(); ++i) by_unit_[layout.units[i]].push_back(i);
    for (std::size_t i = 0; i < sample.size(); ++i) of_task_[sample.tasks[i]].push_back(i);
  }

  double draw(RandomStream& random) const {
    if (sample_.clusters.empty() && !layout_.tasks_are_units) return draw_within_tasks(random);
    std::map<std::uint32_t, std::pair<double, double>> tasks;  // sum, count
    for (std::size_t unit = 0; unit < by_unit_.size(); ++unit) {
      for (const std::size_t i : by_unit_[random.below(by_unit_.size())]) {
        auto& [sum, count] = tasks[sample_.tasks[i]];
        sum += sample_.differences[i];
        count += 1;
      }
    }
    if (layout_.tasks_are_units) return mean_of_drawn_tasks(tasks);
    double mean = 0;
    for (const auto& [task, drawn] : tasks) mean += drawn.first / drawn.second;
    return mean / static_cast<double>(tasks.size());
  }

 private:
  double draw_within_tasks(RandomStream& random) const {
    double mean = 0;
    for (const auto& [task, members] : of_task_) {
      double sum = 0;
      for (std::size_t k = 0; k < members.size(); ++k) {
        sum += sample_.differences[members[random.below(members.size())]];
      }
      mean += sum / static_cast<double>(members.size());
    }
    return mean / static_cast<double>(of_task_.size());
  }

  // A task that was drawn twice counts twice.
  double mean_of_drawn_tasks(
      const std::map<std::uint32_t, std::pair<double, double>>& tasks) const {
    double mean = 0;
    for (const auto& [task, drawn] : tasks) {
      mean += drawn.first / static_cast<double>(of_task_.at(task).size());
    }
    return mean / static_cast<double>(layout_.tasks);
  }

  const PairedSample& sample_;
  const Layout& layout_;
  std::vector<std::vector<std::size_t>> by_unit_;
  std::map<std::uint32_t, std::vector<std::size_t>> of_task_;
};

void run_bootstrap(const PairedSample& sample, const Layout& layout,
                   const PairedTestOptions& options, PairedResult& result) {
  if (options.resamples == 0) throw InputError("paired bootstrap: 0 resamples; expected some");
  const PairedBootstrap bootstrap(sample, layout);
  RandomStream random(options.seed, "paired bootstrap");
  std::vector<double> means(options.resamples);
  double farther = 0;
  for (double& mean : means) {
    mean = bootstrap.draw(random);
    // Means that are equal on paper differ by rounding.
    const double least = std::abs(layout.mean) * (1 - 1e-12);
    farther += std::abs(mean - layout.mean) >= least ? 1 : 0;
  }
  const auto count = static_cast<double>(options.resamples);
  result.p = (farther + 1) / (count + 1);
  std::ranges::sort(means);
  const auto [low, high] = percentile_interval(means, options.confidence);
  result.interval = {low, high};
}

bool of_signs(PairedTest test) {
  return test == PairedTest::sign || test == PairedTest::mcnemar || test == PairedTest::mcnemar_chi;
}

// Bonett and Price's interval, which holds its confidence near 0, 1 and in small samples: Wald's
// with one win and one loss more.
Interval interval_of_signs(const PairedResult& result, double confidence) {
  const double pairs = static_cast<double>(result.pairs) + 2;
  const double wins = (static_cast<double>(result.wins) + 1) / pairs;
  const double losses = (static_cast<double>(result.losses) + 1) / pairs;
  const double centre = wins - losses;
  const double reach = normal_quantile(1 - (1 - confidence) / 2) *
                       std::sqrt((wins + losses - centre * centre) / pairs);
  return {std::max(-1.0, centre - reach), std::min(1.0, centre + reach)};
}

void add_power(const PairedSample& sample, const ClusteredMean& mean,
               const PairedTestOptions& options, PairedResult& result) {
  const double level = 1 - options.confidence;
  const auto pairs = static_cast<double>(sample.size());
  if (of_signs(options.test)) {
    const double discordant = static_cast<double>(result.wins + result.losses) / pairs;
    result.detectable = detectable_accuracy(pairs, discordant, level, options.power);
    const double effect = static_cast<double>(result.wins) - static_cast<double>(result.losses);
    result.pairs_needed = pairs_for_accuracy(effect / pairs, discordant, level, options.power);
    return;
  }
  const double deviation = mean.error * std::sqrt(pairs);
  result.detectable = detectable_mean(pairs, deviation, level, options.power);
  result.pairs_needed = pairs_for_mean(mean.mean, deviation, level, options.power);
}

void check(const PairedTestOptions& options) {
  if (!(options.confidence > 0 && options.confidence < 1)) {
    throw InputError("paired test: confidence {}; expected a number between 0 and 1",
                     options.confidence);
  }
  if (!(options.power > 0 && options.power < 1)) {
    throw InputError("paired test: power {}; expected a number between 0 and 1", options.power);
  }
}

PairedSample signs_of(PairedSample sample) {
  for (double& difference : sample.differences) {
    difference = difference > 0 ? 1 : (difference < 0 ? -1 : 0);
  }
  sample.tasks.assign(sample.size(), 0);  // every win counts the same
  return sample;
}

}  // namespace

std::string_view paired_test_name(PairedTest test) {
  for (const Named& named : kTests) {
    if (named.test == test) return named.name;
  }
  return "";
}

PairedTest paired_test_of_name(std::string_view name) {
  std::string names;
  for (const Named& named : kTests) {
    if (named.name == name) return named.test;
    names += (names.empty() ? "" : ", ") + std::string(named.name);
  }
  throw InputError("no paired test '{}'; expected one of {}", name, names);
}

double mcnemar_exact(std::uint64_t wins, std::uint64_t losses) {
  return fair_coins_two_sided(wins, wins + losses);
}

ChiSquared mcnemar_chi_squared(std::uint64_t wins, std::uint64_t losses) {
  const std::uint64_t apart = wins > losses ? wins - losses : losses - wins;
  if (apart <= 1) return {0, 1};
  const double reach = static_cast<double>(apart) - 1;
  const double statistic = reach * reach / static_cast<double>(wins + losses);
  return {statistic, chi_squared_above(statistic, 1)};
}

ClusteredMean clustered_mean(const PairedSample& sample) {
  return clustered_mean_of(sample, lay_out(sample));
}

PairedResult compare_pair(const PairedSample& given, const PairedTestOptions& options) {
  check(options);
  PairedResult result{.pairs = given.size(),
                      .difference = kNaN,
                      .interval = {kNaN, kNaN},
                      .p = kNaN,
                      .detectable = kNaN,
                      .pairs_needed = kNaN};
  for (const double difference : given.differences) {
    result.wins += difference > 0 ? 1 : 0;
    result.losses += difference < 0 ? 1 : 0;
    result.ties += difference == 0 ? 1 : 0;
  }
  if (given.size() == 0) return result;
  const PairedSample signs = of_signs(options.test) ? signs_of(given) : PairedSample{};
  const PairedSample& sample = of_signs(options.test) ? signs : given;
  const Layout layout = lay_out(sample);
  const ClusteredMean mean = clustered_mean_of(sample, layout);
  result.units = mean.units;
  result.difference = mean.mean;
  if (!std::isnan(mean.error)) {
    const double reach =
        student_quantile(1 - (1 - options.confidence) / 2, mean.degrees) * mean.error;
    result.interval = {mean.mean - reach, mean.mean + reach};
    add_power(sample, mean, options, result);
  }
  if (of_signs(options.test)) result.interval = interval_of_signs(result, options.confidence);
  switch (options.test) {
    case PairedTest::sign:
    case PairedTest::mcnemar:
      result.p = mcnemar_exact(result.wins, result.losses);
      break;
    case PairedTest::mcnemar_chi:
      result.p = mcnemar_chi_squared(result.wins, result.losses).p;
      break;
    case PairedTest::mean:
      // Without any spread the answer is plain.
      if (mean.error == 0) {
        result.p = mean.mean == 0 ? 1 : 0;
      } else {
        result.p = student_two_sided(mean.mean / mean.error, mean.degrees);
      }
      break;
    case PairedTest::bootstrap:
      if (mean.units >= 2) run_bootstrap(sample, layout, options, result);
      break;
  }
  return result;
}

}  // namespace amalgam::scores
