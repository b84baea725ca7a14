#include "amalgam/scores/studies/decision_study.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/multiple_testing.hpp"
#include "amalgam/core/tail_probabilities.hpp"
#include "amalgam/scores/studies/randomness_tests.hpp"

namespace amalgam::scores {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kFewestExpected = 5;
constexpr std::uint64_t kFewestTransitions = 40;  // for approximations
// Answers times permutations: a second or two.
constexpr std::uint64_t kMostPermuted = 100'000'000;
constexpr std::uint64_t kFewestLagPairs = 30;
constexpr std::uint64_t kEntropySegment = 128;  // NIST: m < log2(n) - 5, with m = 2
constexpr std::size_t kMostPaired = 6;

void check(const DecisionOptions& options) {
  if (!(options.level > 0 && options.level < 1)) {
    throw InputError("a level of significance of {}; expected one between 0 and 1", options.level);
  }
  if (!(options.margin > 0 && options.margin < 0.5)) {
    throw InputError("a margin of {}; expected one between 0 and 0.5", options.margin);
  }
  if (!(options.human_rate > 0 && options.human_rate < 1)) {
    throw InputError("a switch rate of people of {}; expected one between 0 and 1",
                     options.human_rate);
  }
}

bool is_constant(const DecisionCounts& counts) {
  return counts.yes() == 0 || counts.yes() == counts.valid();
}

Proportion first_answers(const DecisionCounts& counts) {
  Proportion found;
  for (const SeriesTally& series : counts.series()) {
    if (series.first == kInvalid) continue;
    ++found.trials;
    found.successes += series.first == kYes ? 1 : 0;
  }
  return found;
}

// How many answers a series has on average, over those that tell of order.
std::uint64_t mean_length(const DecisionCounts& counts) {
  std::uint64_t answers = 0;
  std::uint64_t series = 0;
  for (const SeriesTally& one : counts.series()) {
    if (one.valid + one.invalid < DecisionCounts::kFewestInSeries) continue;
    answers += one.valid;
    ++series;
  }
  return series == 0 ? 0 : (answers + series / 2) / series;
}

class GroupTests {
 public:
  GroupTests(DecisionFindings& findings, const DecisionGroup& group,
             const PermutationOptions& permutation)
      : found_(findings), group_(group), permutation_(permutation) {}

  void make() {
    const DecisionCounts& counts = found_.counts;
    const Proportion yes{counts.yes(), counts.valid()};
    if (yes.trials == 0) return;
    add("uniform", exact(fair_coins_two_sided(yes.successes, yes.trials), found_.share.z));
    if (found_.first_answers.trials >= DecisionCounts::kFewestInSeries) {
      const Proportion& first = found_.first_answers;
      add("first answers uniform",
          exact(fair_coins_two_sided(first.successes, first.trials), uniformity(first).z));
    }
    add_orders();
    add("runs", is_small_ ? found_.recency.exact_runs : found_.recency.runs.result);
    add("repeats after longer runs", found_.recency.trend);
    add("switches as people do", found_.recency.vs_human);
    add_spread();
    // A constant source is not random in ways that these would have to find out.
    if (is_constant(counts) || found_.temperature == 0.0) return;
    add_fair_tests();
  }

 private:
  static TestResult exact(double p, double statistic) {
    return {.statistic = statistic, .p = p, .exact = true};
  }

  void add(std::string name, const TestResult& test, bool rough = false) {
    if (test.defined()) found_.tests.push_back({std::move(name), test, rough});
  }

  void add_orders() {
    for (std::size_t order = 1; order <= 3; ++order) {
      const OrderTest test = order_test(found_.counts, order);
      const bool is_small = test.least_expected < kFewestExpected ||
                            found_.counts.positions(order) < kFewestTransitions;
      if (order == 1) {
        is_small_ = is_small;
        add("order 1", is_small ? found_.recency.exact_runs : test.g_squared);
      } else if (is_small && may_permute()) {
        add(fmt::format("order {}", order), permuted(order));
      } else {
        add(fmt::format("order {}", order), test.g_squared, is_small);
      }
    }
    if (is_small_ && found_.recency.exact_runs.defined()) {
      found_.notes.emplace_back(
          "few transitions of some kind: independence is tested by the exact runs test");
    }
  }

  bool may_permute() const {
    return permutation_.permutations > 0 &&
           found_.counts.valid() <= kMostPermuted / permutation_.permutations;
  }

  TestResult permuted(std::size_t order) {
    std::vector<AnswerSegment> segments;
    for (const DecisionSeries& series : group_.series) append_segments(series.answers, segments);
    const TestResult test = order_permutation_test(
        segments, order, fmt::format("decisions/{}", group_.name), permutation_);
    if (test.defined()) {
      found_.notes.push_back(
          fmt::format("few patterns of some kind: order {} is tested by {} permutations", order,
                      permutation_.permutations));
    }
    return test;
  }

  void add_spread() {
    std::vector<Proportion> series;
    double least = std::numeric_limits<double>::infinity();
    const double share = found_.share.yes.share();
    for (const SeriesTally& one : found_.counts.series()) {
      if (one.valid == 0) continue;
      series.push_back({one.yes, one.valid});
      least = std::min(least, static_cast<double>(one.valid) * std::min(share, 1 - share));
    }
    if (series.size() > 1) {
      add("spread across series", homogeneity_test(series), least < kFewestExpected);
    }
  }

  void add_fair_tests() {
    const DecisionCounts& counts = found_.counts;
    const std::uint64_t segments = counts.cyclic_segments();
    if (segments > 0) {
      add("fair: serial, 2 answers",
          serial_test(counts.psi_squared(2), counts.psi_squared(1), 0, 2, segments).first);
      const SerialTest serial = serial_test(counts.psi_squared(3), counts.psi_squared(2),
                                            counts.psi_squared(1), 3, segments);
      add("fair: serial, 3 answers", serial.first);
      add("fair: serial, second difference", serial.second);
    }
    const bool long_segments = std::ranges::all_of(
        counts.segments(),
        [](const SegmentTally& segment) { return segment.size >= kEntropySegment; });
    if (segments > 0 && long_segments) {
      const double statistic = counts.entropy_statistic(2);
      const double degrees = 4 * static_cast<double>(segments);
      add("fair: approximate entropy, 2 answers",
          {.statistic = statistic, .degrees = degrees, .p = chi_squared_above(statistic, degrees)});
    }
    add("fair: longest run", longest_run_test(counts.segments()));
    // One sequence, and not far from 1/2: else it is not defined.
    if (counts.segments().size() == 1) add("fair: runs", nist_runs_test(counts.segments()[0]));
  }

  DecisionFindings& found_;
  const DecisionGroup& group_;
  const PermutationOptions& permutation_;
  bool is_small_ = false;
};

void add_votes(DecisionFindings& found) {
  const auto lags = autocorrelations(found.counts);
  for (std::size_t lag = 1; lag <= lags.size(); ++lag) {
    if (found.counts.positions(lag) < kFewestLagPairs || std::isnan(lags[lag - 1])) break;
    found.autocorrelations.push_back(lags[lag - 1]);
  }
  found.votes = mean_length(found.counts);
  found.effective_votes = found.votes == 0 || found.autocorrelations.empty()
                              ? kNaN
                              : effective_votes(found.votes, found.autocorrelations);
}

void add_notes(DecisionFindings& found) {
  const DecisionCounts& counts = found.counts;
  const auto note = [&](std::string text) { found.notes.push_back(std::move(text)); };
  if (counts.invalid() > 0) {
    note(fmt::format("{} of {} answers are invalid{}; they count as neither and break series",
                     counts.invalid(), counts.invalid() + counts.valid(),
                     found.missing > 0 ? fmt::format(" ({} missing)", found.missing) : ""));
  }
  if (found.short_series > 0) {
    note(fmt::format("{} of {} series have fewer answers than were asked for", found.short_series,
                     found.asking_series));
  }
  if (counts.valid() > 0 && is_constant(counts)) {
    note("degenerate: all answers are the same, so that nothing can be said of their order");
  } else if (found.recency.transitions == 0) {
    note("no series has answers in a row: nothing can be said of their order");
  }
}

DecisionFindings findings_of(const DecisionGroup& group, const DecisionOptions& options) {
  DecisionFindings found{.name = group.name, .temperature = group.temperature};
  found.counts = count_decisions(group);
  found.missing = group.missing;
  for (const DecisionSeries& series : group.series) {
    if (!series.asked) continue;
    ++found.asking_series;
    if (series.answers.size() < *series.asked) ++found.short_series;
  }
  found.share = uniformity({found.counts.yes(), found.counts.valid()});
  found.first_answers = first_answers(found.counts);
  found.transitions = transition_matrix(found.counts);
  found.order = choose_order(found.counts);
  found.recency = negative_recency(found.counts, options.human_rate);
  add_votes(found);
  GroupTests(found, group, options.permutation).make();
  add_notes(found);
  return found;
}

void decide(DecisionFindings& found, const DecisionOptions& options) {
  const auto rejects = [&](std::string_view name) {
    const NamedTest* test = found.find(name);
    return test != nullptr && test->rejects(options.level);
  };
  const double low = 0.5 - options.margin;
  const double high = 0.5 + options.margin;
  if (rejects("uniform")) {
    found.uniform = Verdict::no;
  } else if (found.share.interval.low >= low && found.share.interval.high <= high) {
    found.uniform = Verdict::yes;
  }
  // In a fair source a switch rate off by the margin is an autocorrelation of twice that.
  const Interval& lag1 = found.recency.lag1_interval;
  const double most = 2 * options.margin;
  if (rejects("order 1") || rejects("order 2") || rejects("order 3") || rejects("runs")) {
    found.memoryless = Verdict::no;
  } else if (!found.order.bic.empty() && found.order.order == 0 && lag1.low >= -most &&
             lag1.high <= most) {
    found.memoryless = Verdict::yes;
  }
  if (found.recency.lag1 < 0 && rejects("runs")) {
    found.negative_recency = Verdict::yes;
  } else if (lag1.low >= -most) {
    found.negative_recency = Verdict::no;
  }
}

DecisionComparison compare(const DecisionFindings& first, const DecisionFindings& second) {
  DecisionComparison comparison{.groups = {first.name, second.name}};
  const auto add = [&](const char* name, const TestResult& test) {
    if (test.defined()) comparison.tests.push_back({name, test});
  };
  const TestResult z = two_proportion_test(first.share.yes, second.share.yes);
  if (z.defined()) {
    add("same share of yes", {.statistic = z.statistic,
                              .p = fisher_exact_test(first.share.yes, second.share.yes),
                              .exact = true});
  }
  add("same transitions", same_transitions_test(first.transitions, second.transitions));
  return comparison;
}

void add_comparisons(DecisionReport& report) {
  const auto& groups = report.groups;
  if (groups.size() < 2) return;
  if (groups.size() > 2) {
    DecisionComparison all;
    std::vector<Proportion> shares;
    for (const DecisionFindings& found : groups) {
      all.groups.push_back(found.name);
      shares.push_back(found.share.yes);
    }
    const TestResult test = homogeneity_test(shares);
    if (test.defined()) all.tests.push_back({"same share of yes", test});
    report.comparisons.push_back(std::move(all));
  }
  const bool all_pairs = groups.size() <= kMostPaired;
  if (!all_pairs) {
    report.warnings.push_back(fmt::format("{} groups: each is compared with the first ('{}') only",
                                          groups.size(), groups.front().name));
  }
  for (std::size_t i = 0; i < (all_pairs ? groups.size() : 1); ++i) {
    for (std::size_t j = i + 1; j < groups.size(); ++j) {
      report.comparisons.push_back(compare(groups[i], groups[j]));
    }
  }
}

void add_corpus(DecisionReport& report, const Proportion& corpus) {
  for (const DecisionFindings& found : report.groups) {
    const TestResult z = two_proportion_test(found.share.yes, corpus);
    if (!z.defined()) continue;
    report.comparisons.push_back({{found.name, "corpus"}, {{"same share of yes", z}}});
  }
}

void add_temperatures(DecisionReport& report, const DecisionData& data) {
  std::map<std::string, std::vector<TemperaturePoint>> settings;
  for (std::size_t g = 0; g < data.size(); ++g) {
    const Proportion& yes = report.groups[g].share.yes;
    if (data[g].temperature.value_or(0) <= 0 || yes.trials == 0) continue;
    settings[data[g].setting].push_back({*data[g].temperature, yes});
  }
  for (auto& [setting, points] : settings) {
    if (points.size() < 2) continue;
    std::ranges::sort(points, {}, &TemperaturePoint::temperature);
    TemperatureFinding found{.setting = setting, .points = points, .fit = fit_temperature(points)};
    found.offset = {"offset of the temperature response is 0", found.fit.offset_test};
    found.misfit = {"softmax over temperatures fits", found.fit.softmax_misfit};
    report.temperatures.push_back(std::move(found));
  }
}

// Every test of the report that counts.
std::vector<NamedTest*> tests_of(DecisionReport& report) {
  std::vector<NamedTest*> tests;
  for (DecisionFindings& found : report.groups) {
    for (NamedTest& test : found.tests) tests.push_back(&test);
  }
  for (DecisionComparison& comparison : report.comparisons) {
    for (NamedTest& test : comparison.tests) tests.push_back(&test);
  }
  for (TemperatureFinding& found : report.temperatures) {
    tests.push_back(&found.offset);
    tests.push_back(&found.misfit);
  }
  return tests;
}

void adjust(DecisionReport& report) {
  const std::vector<NamedTest*> tests = tests_of(report);
  std::vector<double> p;
  for (const NamedTest* test : tests) p.push_back(test->rough ? kNaN : test->test.p);
  report.tests = static_cast<std::size_t>(
      std::ranges::count_if(p, [](double value) { return !std::isnan(value); }));
  const std::vector<double> adjusted = holm(p);
  for (std::size_t i = 0; i < tests.size(); ++i) tests[i]->adjusted_p = adjusted[i];
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::yes:
      return "yes";
    case Verdict::no:
      return "no";
    case Verdict::undecided:
      return "undecided";
  }
  return "";
}

Uniformity uniformity(const Proportion& yes) {
  Uniformity found{.yes = yes};
  if (yes.trials == 0) {
    found.interval = {0, 1};
    found.z = found.total_variation = found.entropy = kNaN;
    return found;
  }
  const double p = yes.share();
  const auto bits = [](double q) {
    constexpr double kLog2 = 6.93147180559945309417e-01;
    return q > 0 ? -q * portable_log(q) / kLog2 : 0.0;
  };
  found.interval = wilson_interval(yes.successes, yes.trials);
  found.z = frequency_test(yes).statistic;
  found.total_variation = std::abs(p - 0.5);
  found.entropy = bits(p) + bits(1 - p);
  return found;
}

const NamedTest* DecisionFindings::find(std::string_view test) const {
  const auto found = std::ranges::find(tests, test, &NamedTest::name);
  return found == tests.end() ? nullptr : &*found;
}

DecisionCounts count_decisions(const DecisionGroup& group) {
  DecisionCounts counts;
  for (const DecisionSeries& series : group.series) counts.add_series(series.answers);
  return counts;
}

DecisionReport study_decisions(const DecisionData& data, const DecisionOptions& options,
                               const std::optional<Proportion>& corpus) {
  check(options);
  DecisionReport report;
  for (const DecisionGroup& group : data) report.groups.push_back(findings_of(group, options));
  add_comparisons(report);
  if (corpus) add_corpus(report, *corpus);
  add_temperatures(report, data);
  adjust(report);
  for (DecisionFindings& found : report.groups) decide(found, options);
  return report;
}

}  // namespace amalgam::scores
