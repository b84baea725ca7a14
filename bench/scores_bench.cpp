// What rankings cost against the floors of their work: one function for each measurement, in one
// run. Measurements are named on the command line; without names all are made.
//
//   scores_bench [kendall] [battles-csv] [kemeny] [bradley-terry] [plackett-luce] [--items 1000000]
//   [--battles 1000000] [--systems 129]
//                [--runs 5] [--threads 2]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "amalgam/core/averages.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/parallel.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/rank_correlation.hpp"
#include "amalgam/data/shared_data.hpp"
#include "amalgam/scores/files/score_files.hpp"
#include "amalgam/scores/kemeny/kemeny.hpp"
#include "amalgam/scores/rank_aggregator.hpp"
#include "amalgam/scores/strength/plackett_luce.hpp"
#include "amalgam/scores/uncertainty/bootstrap.hpp"

namespace amalgam::bench {
namespace {

struct Options {
  std::vector<std::string> measurements;
  std::size_t items = 1'000'000;
  std::size_t battles = 1'000'000;
  std::size_t systems = 129;
  std::size_t choices = 10'000'000;
  std::size_t runs = 5;
  std::size_t threads = available_threads();
};

double seconds_of(const auto& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Kendall's tau of random scores against one sort of as many numbers, both in one thread.
void kendall(const Options& options) {
  RandomStream random(1, "kendall bench");
  std::vector<double> x(options.items);
  std::vector<double> y(options.items);
  for (double& value : x) value = random.uniform();
  for (double& value : y) value = random.uniform();
  std::vector<double> sorts;
  std::vector<double> taus;
  double tau = 0;
  for (std::size_t run = 0; run < options.runs; ++run) {
    std::vector<double> sorted = x;
    sorts.push_back(seconds_of([&] { std::ranges::sort(sorted); }));
    taus.push_back(seconds_of([&] { tau = kendall_tau_b(x, y); }));
  }
  const double floor = median_of(sorts);
  fmt::print("kendall: {} items, tau {:.2e}\n", options.items, tau);
  fmt::print("  one sort                            {:8.4f} s\n", floor);
  fmt::print("  Kendall's tau-b                     {:8.4f} s  {:.2f} x the sort\n",
             median_of(taus), median_of(taus) / floor);
}

// Random battles of systems with names of common length.
std::filesystem::path write_battles(const Options& options) {
  std::filesystem::path path = std::filesystem::temp_directory_path() / "scores_bench.csv";
  RandomStream random(1, "battles bench");
  constexpr std::array<const char*, 4> kWinners{"model_a", "model_b", "tie", "tie (bothbad)"};
  std::ofstream file(path, std::ios::binary);
  file << "model_a,model_b,winner\n";
  for (std::size_t i = 0; i < options.battles; ++i) {
    const std::size_t a = random.below(options.systems);
    const std::size_t b = (a + 1 + random.below(options.systems - 1)) % options.systems;
    const std::size_t winner = random.below(10);
    file << fmt::format("organisation-model-{}b-chat,organisation-model-{}b-chat,{}\n", a, b,
                        kWinners[winner < 8 ? winner % 2 : winner - 6]);
  }
  return path;
}

// Reading battles from separated values against reading the bytes of the file.
void battles_csv(const Options& options) {
  const std::filesystem::path path = write_battles(options);
  std::vector<double> bytes_read;
  std::vector<double> tables;
  std::vector<char> buffer(1U << 18U);
  std::size_t read = 0;
  for (std::size_t run = 0; run < options.runs; ++run) {
    bytes_read.push_back(seconds_of([&] {
      std::ifstream file(path, std::ios::binary);
      while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size())).gcount() > 0) {
      }
    }));
    tables.push_back(
        seconds_of([&] { read = scores::read_scores({path}, {}).comparisons.size(); }));
  }
  const auto size = static_cast<double>(std::filesystem::file_size(path));
  fmt::print("battles-csv: {} battles of {} systems, {:.1f} MB\n", read, options.systems,
             size / 1e6);
  fmt::print("  the file's bytes                    {:8.4f} s\n", median_of(bytes_read));
  fmt::print(
      "  table of comparisons                {:8.4f} s  {:.0f} MB/s, {:.1f} million rows/s\n",
      median_of(tables), size / 1e6 / median_of(tables),
      static_cast<double>(read) / 1e6 / median_of(tables));
  std::filesystem::remove(path);
}

void print_kemeny(const Options& options, const std::string& what, const scores::PairTable& pairs) {
  std::vector<double> seconds;
  scores::kemeny::KemenyOrder solved;
  for (std::size_t run = 0; run < options.runs; ++run) {
    seconds.push_back(seconds_of([&] { solved = scores::kemeny::kemeny_order(pairs); }));
  }
  const scores::Certificate& proof = solved.certificate;
  fmt::print("  {:<36}{:8.4f} s  cost {:g}, {}; largest component {}, {} cuts, {} nodes\n", what,
             median_of(seconds), proof.objective,
             proof.optimal ? "proven" : fmt::format("bound {:g}", proof.bound),
             solved.largest_component, solved.cuts, solved.nodes);
}

// Exact Kemeny orders: independent votes, which are the hardest, and a leaderboard.
void kemeny(const Options& options) {
  fmt::print("kemeny: one thread\n");
  RandomStream random(1, "kemeny bench");
  constexpr std::size_t kTasks = 7;
  for (const std::size_t systems : {15, 20, 40, 60}) {
    std::vector<double> values(systems * kTasks);
    for (double& value : values) value = random.uniform();
    print_kemeny(options, fmt::format("{} systems, {} random orders", systems, kTasks),
                 scores::count_pairs(scores::make_score_table(values, systems, kTasks),
                                     scores::Missing::observed));
  }
  try {
    const scores::ScoreTable glue =
        scores::read_scores({shared_data("scores/glue_leaderboard.csv")}, {});
    print_kemeny(options, "GLUE, 105 systems, 14 tasks",
                 scores::count_pairs(glue, scores::Missing::observed));
  } catch (const InputError& error) {
    fmt::print("  GLUE: {}\n", error.what());
  }
}

// Bradley-Terry of battles in a file, and bootstraps of it.
void bradley_terry(const Options& options) {
  const std::filesystem::path path = write_battles(options);
  const scores::RankAggregator& method = scores::find_rank_aggregator("bradley-terry");
  scores::RankContext context = scores::rank_context(method);
  context.parallel = {options.threads};
  std::vector<double> reading;
  std::vector<double> counting;
  std::vector<double> fitting;
  std::vector<double> ranking_all;
  std::vector<double> resampling;
  for (std::size_t run = 0; run < options.runs; ++run) {
    scores::ScoreTable table;
    reading.push_back(seconds_of([&] { table = scores::read_scores({path}, {}); }));
    scores::PairTable pairs;
    counting.push_back(seconds_of(
        [&] { pairs = scores::count_pairs(table, context.missing, {}, context.parallel); }));
    const auto& rule = dynamic_cast<const scores::PairwiseRule&>(method);
    fitting.push_back(seconds_of([&] { rule.rank_pairs(pairs, table.systems, context); }));
    scores::Ranking ranking;
    ranking_all.push_back(seconds_of([&] { ranking = method.rank(table, context); }));
    resampling.push_back(seconds_of([&] {
      scores::bootstrap_ranking(method, table, context, ranking,
                                {.resamples = 1000, .parallel = context.parallel});
    }));
  }
  fmt::print("bradley-terry: {} battles of {} systems, {} threads\n", options.battles,
             options.systems, options.threads);
  fmt::print("  reading the file                    {:8.4f} s\n", median_of(reading));
  fmt::print("  counting pairs                      {:8.4f} s\n", median_of(counting));
  fmt::print("  the fit                             {:8.4f} s\n", median_of(fitting));
  fmt::print("  counting, fit and standard errors   {:8.4f} s\n", median_of(ranking_all));
  fmt::print("  1,000 bootstraps                    {:8.4f} s\n", median_of(resampling));
  std::filesystem::remove(path);
}

// Ballots of `size` values each of `systems` systems, `values` in all.
scores::ScoreTable random_ballots(std::size_t systems, std::size_t size, std::size_t values) {
  RandomStream random(1, "ballots bench");
  scores::ScoreBuilder builder;
  const scores::Task task = builder.task("task");
  for (std::size_t i = 0; i < systems; ++i) builder.system(std::to_string(i));
  for (std::size_t ballot = 0; ballot < values / size; ++ballot) {
    const scores::Instance instance = builder.instance(std::to_string(ballot));
    // Neighbours from a random place on: distinct, and linked with all others by other ballots.
    const std::size_t first = random.below(systems);
    for (std::size_t k = 0; k < size; ++k) {
      builder.add(static_cast<scores::System>((first + k * 7) % systems), task, instance,
                  random.uniform());
    }
  }
  return builder.finish("bench");
}

// One pass of Plackett-Luce's iterations over ballots against one that only looks up and adds the
// strength of every value's system; and the same of comparisons, which are counted once.
void plackett_luce(const Options& options) {
  constexpr std::size_t kSystems = 1'000;
  constexpr std::size_t kBallotSize = 10;
  const scores::Choices choices =
      scores::choices_of(random_ballots(kSystems, kBallotSize, options.choices));
  std::vector<double> weights(kSystems);
  RandomStream random(1, "weights bench");
  for (double& weight : weights) weight = 0.5 + random.uniform();
  std::vector<double> streams;
  std::vector<double> passes;
  std::vector<double> sinks;
  for (std::size_t run = 0; run < options.runs; ++run) {
    double sum = 0;
    streams.push_back(seconds_of([&] {
      for (const std::uint32_t entry : choices.entries) {
        sum += weights[scores::Choices::system_of(entry)];
      }
    }));
    passes.push_back(seconds_of(
        [&] { sinks.push_back(sum + scores::choice_exposure(choices, weights, {1}).front()); }));
  }
  fmt::print("plackett-luce: {} values of {} systems in ballots of {}, one thread\n",
             choices.entries.size(), kSystems, kBallotSize);
  fmt::print("  a pass that adds up strengths       {:8.4f} s\n", median_of(streams));
  fmt::print("  a pass of the method                {:8.4f} s  {:.2f} x\n", median_of(passes),
             median_of(passes) / median_of(streams));

  std::vector<double> strengths(kSystems);
  for (double& strength : strengths) strength = random.normal();
  scores::Comparisons comparisons;
  for (std::size_t row = 0; row < options.choices; ++row) {
    const auto first = static_cast<scores::System>(random.below(kSystems));
    const auto second =
        static_cast<scores::System>((first + 1 + random.below(kSystems - 1)) % kSystems);
    comparisons.first.push_back(first);
    comparisons.second.push_back(second);
    comparisons.outcomes.push_back(
        random.uniform() < 1 / (1 + std::exp(strengths[second] - strengths[first])) ? 1 : -1);
  }
  scores::ScoreTable table;
  for (std::size_t i = 0; i < kSystems; ++i) table.systems.add(std::to_string(i));
  table.comparisons = std::move(comparisons);
  std::vector<double> row_passes;
  std::vector<double> counted;
  std::vector<double> pair_passes;
  for (std::size_t run = 0; run < options.runs; ++run) {
    double sum = 0;
    row_passes.push_back(seconds_of([&] {
      for (std::size_t row = 0; row < table.comparisons.size(); ++row) {
        sum += table.comparisons.outcomes[row] *
               (weights[table.comparisons.first[row]] + weights[table.comparisons.second[row]]);
      }
    }));
    scores::Choices pairs;
    counted.push_back(seconds_of([&] { pairs = scores::choices_of(table); }));
    pair_passes.push_back(seconds_of(
        [&] { sinks.push_back(sum + scores::choice_exposure(pairs, weights, {1}).front()); }));
  }
  fmt::print("plackett-luce: {} comparisons of {} systems, one thread\n", table.comparisons.size(),
             kSystems);
  fmt::print("  a pass that adds up strengths       {:8.4f} s\n", median_of(row_passes));
  fmt::print("  counting, once                      {:8.4f} s  {:.2f} x\n", median_of(counted),
             median_of(counted) / median_of(row_passes));
  fmt::print("  a pass of the method                {:8.4f} s  {:.2f} x\n", median_of(pair_passes),
             median_of(pair_passes) / median_of(row_passes));
  const scores::RankAggregator& method = scores::find_rank_aggregator("plackett-luce");
  scores::Ranking ranking;
  const double whole =
      seconds_of([&] { ranking = method.rank(table, scores::rank_context(method)); });
  fmt::print("  ranking with standard errors        {:8.4f} s  ({} iterations)\n", whole,
             ranking.figures.at("iterations"));
}

struct Measurement {
  const char* name;
  void (*run)(const Options&);
};
constexpr std::array kMeasurements{
    Measurement{"kendall", kendall}, Measurement{"battles-csv", battles_csv},
    Measurement{"kemeny", kemeny}, Measurement{"bradley-terry", bradley_terry},
    Measurement{"plackett-luce", plackett_luce}};

}  // namespace
}  // namespace amalgam::bench

int main(int argc, char** argv) {
  using amalgam::bench::kMeasurements;
  amalgam::bench::Options options;
  CLI::App app("Rankings against the floors of their work.");
  std::vector<std::string> names;
  for (const auto& measurement : kMeasurements) names.emplace_back(measurement.name);
  app.add_option("measurement", options.measurements, "Only these measurements")
      ->check(CLI::IsMember(names));
  app.add_option("--items", options.items, "Items that are ordered")->capture_default_str();
  app.add_option("--battles", options.battles, "Comparisons")->capture_default_str();
  app.add_option("--choices", options.choices, "Values and comparisons of plackett-luce")
      ->capture_default_str();
  app.add_option("--systems", options.systems, "Systems")->capture_default_str();
  app.add_option("--runs", options.runs, "Interleaved runs; the median counts")
      ->capture_default_str();
  app.add_option("--threads", options.threads, "Threads")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  for (const auto& measurement : kMeasurements) {
    const auto& asked = options.measurements;
    if (asked.empty() || std::ranges::find(asked, measurement.name) != asked.end()) {
      measurement.run(options);
    }
  }
  return 0;
}
