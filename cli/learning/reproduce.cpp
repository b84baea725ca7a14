#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/progress.hpp"
#include "amalgam/data/text_output.hpp"
#include "amalgam/experiments/experiment.hpp"
#include "amalgam/experiments/report.hpp"
#include "amalgam/experiments/workshop.hpp"
#include "amalgam/learning/trainer.hpp"
#include "cli/common_options.hpp"
#include "cli/learning/commands.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

namespace fs = std::filesystem;
using namespace amalgam::experiments;  // NOLINT(google-build-using-namespace): the command's
                                       // subject

struct ReproduceOptions {
  std::vector<std::string> slugs;
  std::uint64_t seeds = 0;
  bool list = false;
  bool all = false;
  bool quick = false;
  std::string report;
  std::string cache;
  CommonOptions common;
};

// As other programs keep what can be made again.
fs::path default_cache() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets any
    return std::string(value == nullptr ? "" : value);
  };
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty()) {
    return fs::path(cache) / "amalgam";
  }
  if (const std::string home = variable("HOME"); !home.empty()) {
    return fs::path(home) / ".cache" / "amalgam";
  }
  return fs::temp_directory_path() / "amalgam-cache";
}

void list(bool json) {
  Json all = Json::array();
  Table table({{"slug"}, {"paper"}, {"what it claims"}});
  for (const Experiment* experiment : all_experiments()) {
    all.push_back({{"slug", experiment->slug},
                   {"title", experiment->title},
                   {"paper", experiment->paper},
                   {"question", experiment->question}});
    table.add_row({experiment->slug, experiment->paper, experiment->question});
  }
  if (json) {
    print_json({{"experiments", std::move(all)}});
  } else {
    print(table.text());
  }
}

void show(const Result& result) {
  const Experiment& experiment = *result.experiment;
  print(fmt::format("{}: {}\n{}\n\n", experiment.slug, experiment.paper, experiment.question));
  using Align = Table::Align;
  Table figures(
      {{experiment.unit}, {"mean", Align::right}, {"low", Align::right}, {"high", Align::right}});
  for (const Row& row : summarise(result)) {
    figures.add_row({row.name, fmt::format("{:.4f}", row.mean), fmt::format("{:.4f}", row.low),
                     fmt::format("{:.4f}", row.high)});
  }
  print(figures.text() + "\n");
  Table claims({{"claim"},
                {"measured", Align::right},
                {"95 % interval", Align::right},
                {"seeds", Align::right},
                {"holds"}});
  for (const JudgedClaim& one : result.claims) {
    claims.add_row({one.claim->text, fmt::format("{:+.4f}", one.measured),
                    fmt::format("{:+.4f} to {:+.4f}", one.interval.low, one.interval.high),
                    fmt::format("{} of {}", one.seeds_holding, result.seeds.size()),
                    one.holds ? "yes" : "no"});
  }
  print(claims.text());
  print(fmt::format("\nverdict: {} ({} of {} seeds hold by themselves; {:.0f} s)\n",
                    verdict_text(result.verdict), result.seeds_holding, result.seeds.size(),
                    result.seconds));
  if (!experiment.not_reproduced.empty()) {
    print(fmt::format("not reproduced at this scale: {}\n", experiment.not_reproduced));
  }
}

void run(const ReproduceOptions& options) {
  if (options.list) return list(options.common.json);
  std::vector<const Experiment*> chosen;
  for (const std::string& slug : options.slugs) chosen.push_back(&find_experiment(slug));
  if (options.all) chosen.assign(all_experiments().begin(), all_experiments().end());
  if (chosen.empty()) throw InputError("reproduce: which one? Give a slug, --all or --list");
  learning::set_threads(options.common.threads);
  log::set_level(log::Level::warning);  // what single merges tell would bury the result
  Workshop workshop({.cache = options.cache.empty() ? default_cache() : fs::path(options.cache),
                     .quick = options.quick});
  const std::uint64_t seeds = options.seeds > 0 ? options.seeds : options.quick ? 3 : 5;
  // Before the work, so that a place that cannot be written to is known before it too.
  if (!options.report.empty()) fs::create_directories(options.report);
  Json records = Json::array();
  for (const Experiment* experiment : chosen) {
    Progress progress(experiment->slug, seeds, Progress::Unit::items,
                      options.common.progress_mode());
    const Result result =
        reproduce(*experiment, workshop, seeds, [&](std::uint64_t) { progress.advance(1); });
    progress.finish();
    if (!options.report.empty()) {
      TextOutput page(fs::path(options.report) / (experiment->slug + ".html"));
      page.write(html_page(result));
      page.commit();
    }
    if (options.common.json) {
      records.push_back(as_json(result));
    } else {
      show(result);
    }
  }
  if (options.common.json) {
    print_json(records.size() == 1 ? records.front() : Json{{"experiments", std::move(records)}});
  }
}

}  // namespace

void register_reproduce(CLI::App& root) {
  CLI::App* command =
      root.add_subcommand("reproduce", "Run a paper's experiment and judge its claims.");
  command->footer(
      example("amalgam reproduce --list\n"
              "amalgam reproduce model-soups --quick\n"
              "amalgam reproduce model-soups --seeds 5 --report reports\n"
              "amalgam reproduce --all --json"));
  auto options = std::make_shared<ReproduceOptions>();
  command->add_option("slugs", options->slugs, "Experiments, by the slugs of --list")
      ->type_name("SLUG");
  command->add_flag("--list", options->list, "List the experiments");
  command->add_flag("--all", options->all, "Run all of them");
  command->add_flag("--quick", options->quick,
                    "Smaller sizes and 3 seeds, for a look: gives no verdict");
  command->add_option("--seeds", options->seeds, "How many seeds: 1, 2, ..., N (default 5)")
      ->check(whole_number())
      ->check(CLI::Range(1, 1000))
      ->type_name("N");
  command->add_option("--report", options->report, "Write SLUG.html into this folder")
      ->type_name("DIR");
  command
      ->add_option("--cache", options->cache,
                   "Where trained members are kept (default: amalgam in the user's cache)")
      ->type_name("DIR");
  options->common.threads = 1;
  add_common_options(*command, options->common, {Common::json, Common::quiet, Common::threads});
  command->get_option("--threads")
      ->description(
          "Threads to use (default 1, which is fastest for networks as small as these); the last "
          "bits"
          " may depend on it");
  command->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
