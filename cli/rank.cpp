#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/data/text_output.hpp"
#include "amalgam/scores/uncertainty/bootstrap.hpp"
#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/rank_commands.hpp"
#include "cli/rank_options.hpp"
#include "cli/rank_output.hpp"
#include "cli/rank_page.hpp"

namespace amalgam::cli {
namespace {

struct RankOptions {
  ScoreOptions scores;
  MethodOptions method;
  std::size_t resamples = 0;
  std::string over = "instances";
  std::string tied_ranks = "min";
  double confidence = 0.95;
  std::string out;
  std::string html;
  std::string pairs;
  CommonOptions common;
};

Ranked rank(const RankOptions& options) {
  check_method(options.method);
  Ranked result;
  result.table = read_scores(options.scores, options.common, &result.notes);
  result.method = &method_of(options.method, result.table);
  result.context = context_of(options.method, *result.method, options.common);
  result.ranking = scores::rank_checked(*result.method, result.table, result.context);
  result.ranks = scores::ranks_of(result.ranking.scores, result.ranking.tie_tolerance);
  result.order = scores::order_of(result.ranks);
  result.tied_ranks = scores::tied_ranks_of_name(options.tied_ranks);
  result.shown_ranks = scores::tied_ranks(result.ranks, result.tied_ranks);
  std::vector<char> is_ranked;
  for (const double score : result.ranking.scores) is_ranked.push_back(std::isnan(score) ? 0 : 1);
  result.disagreement = scores::disagreement(result.table, result.ranks, is_ranked);
  if (options.resamples > 0) {
    Progress progress("resample", options.resamples, Progress::Unit::items,
                      options.common.progress_mode());
    const scores::BootstrapOptions bootstrap{.resamples = options.resamples,
                                             .over = scores::resample_unit_of_name(options.over),
                                             .confidence = options.confidence,
                                             .seed = options.common.seed,
                                             .parallel = options.common.parallel()};
    result.uncertainty =
        scores::bootstrap_ranking(*result.method, result.table, result.context, result.ranking,
                                  bootstrap, [&](std::size_t done) { progress.advance(done); });
  }
  result.warnings = result.notes.warnings;
  result.warnings.insert(result.warnings.end(), result.ranking.warnings.begin(),
                         result.ranking.warnings.end());
  if (result.uncertainty) {
    result.warnings.insert(result.warnings.end(), result.uncertainty->warnings.begin(),
                           result.uncertainty->warnings.end());
  }
  return result;
}

void write_html(const RankOptions& options, const Ranked& result) {
  RankPage page{.title = fmt::format("Ranking by {}", result.method->info().name),
                .provenance = {},
                .table = &result.table,
                .method = &result.method->info(),
                .missing = result.context.missing,
                .tied_ranks = result.tied_ranks,
                .ranking = &result.ranking,
                .uncertainty = result.uncertainty ? &*result.uncertainty : nullptr,
                .warnings = result.notes.warnings};
  page.provenance.push_back(fmt::format("amalgam {} rank --method {} --missing {}", AMALGAM_VERSION,
                                        result.method->info().name,
                                        scores::missing_name(result.context.missing)));
  for (const std::string& parameter : options.method.parameters) {
    page.provenance.back() += " -p " + parameter;
  }
  if (result.uncertainty) {
    page.provenance.back() +=
        fmt::format(" --bootstrap {} --over {} --confidence {} --seed {}", options.resamples,
                    options.over, options.confidence, options.common.seed);
  }
  for (const std::string& path : options.scores.paths) page.provenance.push_back(path);
  TextOutput out(options.html);
  out.write(rank_page(page));
  out.commit();
}

void run(const RankOptions& options) {
  check_outputs(options.scores.paths, {options.out, options.html, options.pairs});
  const auto outputs = {options.out, options.html, options.pairs};
  const auto to_standard_output = std::ranges::count(outputs, "-");
  if (to_standard_output + (options.common.json ? 1 : 0) > 1) {
    throw InputError("only one of --json and the outputs called - can have the standard output");
  }
  const Ranked result = rank(options);
  // Warnings of reading were shown when they were noticed.
  for (std::size_t at = result.notes.warnings.size(); at < result.warnings.size(); ++at) {
    log::warn("{}", result.warnings[at]);
  }
  if (!options.out.empty()) write_ranking(options.out, result);
  if (!options.pairs.empty()) write_pairs(options.pairs, result);
  if (!options.html.empty()) write_html(options, result);
  if (options.common.json) {
    print_json(ranking_json(result));
  } else if (to_standard_output == 0) {
    show_ranking(result);
  }
}

}  // namespace

void register_rank(CLI::App& root) {
  CLI::App* app = root.add_subcommand("rank", "Rank systems by many measurements.");
  app->footer(
      example("amalgam rank leaderboard.csv --method kemeny\n"
              "amalgam rank results.csv --long --task dataset --lower-is-better perplexity "
              "--bootstrap 1000\n"
              "amalgam rank battles.csv --battles --method bradley-terry --bootstrap 1000 --html "
              "page.html\n"
              "amalgam rank methods"));
  auto options = std::make_shared<RankOptions>();
  add_score_options(*app, options->scores);
  app->get_option("table")->required(false);
  add_method_options(*app, options->method);
  app->add_option("--bootstrap", options->resamples,
                  "Draw the measurements this many times, for intervals of ranks (1000 is a good "
                  "number)")
      ->check(whole_number() & CLI::Range(0, 1'000'000))
      ->type_name("N");
  app->add_option("--over", options->over,
                  "What is drawn: instances of each task (or comparisons), instances that several "
                  "tasks share (measures of one output), or tasks")
      ->check(CLI::IsMember({"instances", "shared-instances", "tasks"}))
      ->capture_default_str();
  app->add_option("--confidence", options->confidence, "Of the intervals")
      ->check(CLI::Range(0.5, 0.9999))
      ->capture_default_str();
  app->add_option("--tied-ranks", options->tied_ranks,
                  "Ranks of 5, 3, 3, 1: 1, 2, 2, 4 (min), 1, 2, 2, 3 (dense) or 1, 2.5, 2.5, 4 "
                  "(average); intervals of ranks are those of min")
      ->check(CLI::IsMember({"min", "dense", "average"}))
      ->capture_default_str();
  app->add_option("--out", options->out, "Write the ranking; - is the standard output")
      ->type_name("RANKING.csv");
  app->add_option("--html", options->html, "Write a page with drawings")->type_name("PAGE.html");
  app->add_option(
         "--pairs", options->pairs,
         "Write the votes on every pair of systems; with --bootstrap also how probably each "
         "is before the other, and whether they differ")
      ->type_name("PAIRS.csv");
  add_common_options(*app, options->common,
                     {Common::json, Common::quiet, Common::seed, Common::threads});
  register_rank_compare(*app);
  register_rank_methods(*app);
  register_rank_next(*app);
  register_rank_pool(*app);
  register_rank_significance(*app);
  register_rank_stability(*app);
  app->callback([app, options] {
    if (!app->get_subcommands().empty()) return;
    if (options->scores.paths.empty()) {
      throw InputError("amalgam rank: no table of measurements; see 'amalgam rank --help'");
    }
    run(*options);
  });
}

}  // namespace amalgam::cli
