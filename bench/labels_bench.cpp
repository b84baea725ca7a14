// Dawid-Skene on a table of annotations against one pass over its 10 bytes per annotation by one
// thread, both in one run; and the whole fit with its memory.
//
//   labels_bench [--annotations 10000000] [--tasks 1000000] [--workers 10000] [--classes 5]
//                [--threads 2] [--runs 5] [--added 1000]
//
// With --pairs only the methods that compare pairs of workers, on such a table:
//   labels_bench --pairs --annotations 200000 --tasks 20000 --workers 5000 --classes 2
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "amalgam/core/averages.hpp"
#include "amalgam/core/parallel.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/labels/incremental.hpp"
#include "amalgam/labels/label_model.hpp"
#include "amalgam/labels/models/dawid_skene.hpp"
#include "bench/timing.hpp"

namespace amalgam::bench {
namespace {

using labels::AnnotationBuilder;
using labels::AnnotationTable;
using labels::Label;

struct Options {
  std::size_t annotations = 10'000'000;
  std::size_t tasks = 1'000'000;
  std::size_t workers = 10'000;
  std::size_t classes = 5;
  std::size_t threads = available_threads();
  std::size_t runs = 5;
  std::size_t added = 1000;
  double settled = 1e-8;
  std::size_t sweeps = 3000;
  double spread = labels::AbsorbOptions{}.spread;
  bool pairs = false;
};

double seconds_of(const auto& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double resident_gigabytes() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / 1e9;
}

// Annotations in random order by the first `annotators` of the workers, who are right with a
// probability of their own between 0.4 and 0.95.
AnnotationBuilder random_annotations(const Options& options, std::size_t count,
                                     std::size_t annotators, std::string_view what) {
  RandomStream random(1, "labels bench");
  std::vector<double> skill(options.workers);
  for (double& s : skill) s = 0.4 + 0.55 * random.uniform();
  std::vector<Label> truth(options.tasks);
  for (Label& label : truth) label = static_cast<Label>(random.below(options.classes));

  RandomStream draws(1, what);
  AnnotationBuilder builder;
  for (std::size_t k = 0; k < options.classes; ++k) builder.label(fmt::to_string(k));
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t t = draws.below(options.tasks);
    const std::size_t w = draws.below(annotators);
    const bool right = draws.uniform() < skill[w];
    builder.add(builder.task(fmt::format("task{}", t)), builder.worker(fmt::format("worker{}", w)),
                right ? truth[t] : static_cast<Label>(draws.below(options.classes)));
  }
  return builder;
}

// Reads the three columns once; the sum keeps the loop alive.
std::uint64_t stream(const AnnotationTable& table) {
  std::uint64_t sum = 0;
  for (const labels::Task task : table.tasks) sum += task;
  for (const labels::Worker worker : table.workers) sum += worker;
  for (const Label label : table.labels) sum += label;
  return sum;
}

// New annotations of tasks that are there by few workers, absorbed and compared with global sweeps
// from the same state.
void absorb(const Options& options, const AnnotationTable& table, const labels::FitContext& context,
            double fit_seconds, double fit_processor) {
  const AnnotationTable added =
      random_annotations(options, options.added, 20, "added").finish("added");
  labels::IncrementalFit local(table, "dawid-skene", {}, context);
  labels::RefineReport settled;
  const double settling = seconds_of(
      [&] { settled = local.refine(options.settled, options.sweeps, context.parallel); });
  fmt::print("the fit goes on until no posterior changes by {:.0e}: {:.4f} s, {} sweeps\n",
             options.settled, settling, settled.sweeps);
  const labels::IncrementalFit start = local;
  labels::IncrementalFit full = local;
  labels::AbsorbReport report;
  std::vector<double> times;
  std::vector<double> processor_times;
  for (std::size_t r = 0; r < options.runs; ++r) {
    local = start;
    const double before = processor_seconds();
    times.push_back(seconds_of([&] { report = local.absorb(added, {.spread = options.spread}); }));
    processor_times.push_back(processor_seconds() - before);
  }
  const double seconds = median_of(times);
  const double processor = median_of(processor_times);
  fmt::print(
      "absorbing {} annotations of 20 workers {:7.4f} s ({:.2f} % of the first fit), of processors "
      "{:.4f} s ({:.2f} %): {} sweeps, {} tasks, {} workers, largest change {:.1e}, stale mass "
      "{:.2e}\n",
      report.annotations, seconds, 100 * seconds / fit_seconds, processor,
      100 * processor / fit_processor, report.sweeps, report.tasks_updated, report.workers_updated,
      report.largest_change, report.stale_mass);
  full.absorb(added, {.spread = options.spread});
  labels::RefineReport refined;
  const double refining =
      seconds_of([&] { refined = full.refine(1e-10, options.sweeps, context.parallel); });
  std::size_t near = 0;
  double largest = 0;
  for (std::size_t task = 0; task < full.task_count(); ++task) {
    const auto a = local.posterior(static_cast<labels::Task>(task));
    const auto b = full.posterior(static_cast<labels::Task>(task));
    double difference = 0;
    for (std::size_t k = 0; k < a.size(); ++k) {
      difference = std::max(difference, std::abs(a[k] - b[k]));
    }
    near += difference <= 1e-3 ? 1 : 0;
    largest = std::max(largest, difference);
  }
  fmt::print(
      "global sweeps to 1e-10                {:8.4f} s, {} sweeps; {:.4f} % of tasks are within "
      "1e-3 of it, the largest difference is {:.2e}\n",
      refining, refined.sweeps,
      100 * static_cast<double>(near) / static_cast<double>(full.task_count()), largest);
}

// Whole fits of the methods that begin with how often pairs of workers agree.
void fit_pairs(const Options& options) {
  const AnnotationTable table =
      random_annotations(options, options.annotations, options.workers, "rows").finish("bench");
  fmt::print("{} annotations, {} tasks, {} workers, {} classes, {} threads\n", table.rows(),
             table.task_count(), table.worker_count(), table.label_count(), options.threads);
  for (const char* method : {"m-msr", "flying-squid", "weaver"}) {
    if (table.label_count() > labels::find_label_model(method).info().most_classes) continue;
    labels::FitContext context;
    context.parallel = {options.threads, Runner::tbb};
    std::vector<double> times;
    std::size_t iterations = 0;
    for (std::size_t r = 0; r < options.runs; ++r) {
      times.push_back(seconds_of(
          [&] { iterations = labels::fit_labels(method, table, {}, context).iterations; }));
    }
    fmt::print("{:<38}{:8.4f} s, {} iterations, peak memory so far {:.2f} GB\n", method,
               median_of(times), iterations, resident_gigabytes());
  }
}

void run(const Options& options) {
  AnnotationBuilder builder =
      random_annotations(options, options.annotations, options.workers, "rows");
  AnnotationTable table;
  const double sorting = seconds_of([&] { table = builder.finish("bench"); });
  labels::FitContext context = default_context(labels::find_label_model("dawid-skene"));
  context.parallel = {options.threads, Runner::tbb};

  // One iteration: expectation and counts in one pass, then the maximisation.
  using namespace labels::models;
  labels::SoftLabels posterior = vote_shares(table, context.parallel);
  const std::size_t classes = table.label_count();
  const std::size_t numbers = table.worker_count() * classes * classes;
  std::vector<double> log_prior(classes, -portable_log(static_cast<double>(classes)));
  std::vector<double> logs;
  const auto iterate = [&](bool expect) {
    auto pass = em_pass(
        table, log_prior, ConfusionLikelihood{table, classes, logs},
        [&] {
          return ConfusionCounts{&table, classes, std::vector<double>(numbers, 0)};
        },
        numbers * sizeof(double), context, posterior, expect);
    logs = std::move(pass.counts.sums);
    normalise_confusion(logs, classes, {}, context.parallel);
  };
  iterate(false);

  std::vector<double> streams;
  std::vector<double> iterations;
  std::uint64_t sum = 0;
  for (std::size_t r = 0; r < options.runs; ++r) {
    streams.push_back(seconds_of([&] { sum += stream(table); }));
    iterations.push_back(seconds_of([&] { iterate(true); }));
  }
  const double floor = median_of(streams);
  const double iteration = median_of(iterations);
  fmt::print("{} annotations, {} tasks, {} workers, {} classes, {} threads (checksum {})\n",
             table.rows(), table.task_count(), table.worker_count(), classes, options.threads,
             sum % 1000);
  fmt::print("one pass over the table, one thread   {:8.4f} s  {:.1f} GB/s\n", floor,
             10e-9 * static_cast<double>(table.rows()) / floor);
  fmt::print("one iteration                         {:8.4f} s  {:.1f} x the pass\n", iteration,
             iteration / floor);
  fmt::print("sorting the table and one iteration   {:8.4f} s  {:.1f} x the pass\n",
             sorting + iteration, (sorting + iteration) / floor);
  const double before = processor_seconds();
  const double fit = seconds_of([&] {
    const labels::LabelFit result = labels::fit_labels("dawid-skene", table, {}, context);
    fmt::print("whole fit: {} iterations, converged: {}\n", result.iterations, result.converged);
  });
  const double processor = processor_seconds() - before;
  fmt::print(
      "whole fit                             {:8.4f} s, of processors {:.4f} s, peak memory "
      "{:.2f} GB\n",
      fit, processor, resident_gigabytes());
  if (options.added > 0) absorb(options, table, context, fit, processor);
}

}  // namespace
}  // namespace amalgam::bench

int main(int argc, char** argv) {
  amalgam::bench::Options options;
  CLI::App app("Dawid-Skene against one pass over its annotations.");
  app.add_option("--annotations", options.annotations, "Annotations")->capture_default_str();
  app.add_option("--tasks", options.tasks, "Tasks")->capture_default_str();
  app.add_option("--workers", options.workers, "Workers")->capture_default_str();
  app.add_option("--classes", options.classes, "Labels")->capture_default_str();
  app.add_option("--threads", options.threads, "Threads")->capture_default_str();
  app.add_option("--runs", options.runs, "Interleaved runs; the median counts")
      ->capture_default_str();
  app.add_option("--added", options.added, "Annotations that come later")->capture_default_str();
  app.add_option("--settled", options.settled, "Largest change of the fit that they come to")
      ->capture_default_str();
  app.add_option("--sweeps", options.sweeps, "Most global sweeps")->capture_default_str();
  app.add_option("--spread", options.spread, "See AbsorbOptions")->capture_default_str();
  app.add_flag("--pairs", options.pairs, "The methods that compare pairs of workers instead");
  CLI11_PARSE(app, argc, argv);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  if (options.pairs) {
    amalgam::bench::fit_pairs(options);
  } else {
    amalgam::bench::run(options);
  }
  return 0;
}
