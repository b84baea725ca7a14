#include "cli/rank_pool.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/scores/pool/pool_addition.hpp"
#include "amalgam/scores/pool/pool_import.hpp"
#include "amalgam/scores/pool/sample_pool.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"
#include "cli/rank_commands.hpp"
#include "cli/rank_options.hpp"

namespace amalgam::cli {
namespace {

using scores::PoolAddition;
using scores::PoolImport;
using scores::SamplePool;

struct AddOptions {
  std::string pool;
  std::vector<std::string> files;
  CommonOptions common;
};

struct ImportOptions {
  std::string pool;
  std::string source;
  ScoreOptions scores;
  CommonOptions common;
};

struct InfoOptions {
  std::string pool;
  CommonOptions common;
};

void show_import(const PoolImport& done, bool json) {
  if (json) {
    print_json(Json{{"samples", done.samples},
                    {"measurements", done.measurements},
                    {"known_measurements", done.known},
                    {"judgements", done.judgements},
                    {"other", done.other}});
    return;
  }
  print(fmt::format("{} samples, {} measurements ({} more were there), {} judgements\n",
                    done.samples, done.measurements, done.known, done.judgements));
}

void add(const AddOptions& options) {
  std::uint64_t bytes = 0;
  for (const std::string& file : options.files) {
    std::error_code error;
    const std::uintmax_t size = std::filesystem::file_size(file, error);
    bytes += error ? 0 : size;
  }
  // All files or none: a mistake in the last one leaves the pool as it was.
  PoolAddition addition(options.pool);
  Progress progress("adding", bytes, Progress::Unit::bytes, options.common.progress_mode());
  PoolImport all;
  for (const std::string& file : options.files) {
    const PoolImport done = scores::import_lines(
        addition.pool(), file, [&](std::uint64_t read) { progress.advance(read); });
    all.samples += done.samples;
    all.measurements += done.measurements;
    all.known += done.known;
    all.judgements += done.judgements;
    all.other += done.other;
  }
  addition.commit();
  progress.finish();
  show_import(all, options.common.json);
}

void import_table(const ImportOptions& options) {
  const scores::ScoreTable table = read_scores(options.scores, options.common);
  PoolAddition addition(options.pool);
  const PoolImport done = scores::import_scores(addition.pool(), table, options.source);
  addition.commit();
  show_import(done, options.common.json);
}

Json json_of(const SamplePool& pool) {
  const scores::PoolCounts counts = pool.counts();
  Json datasets = Json::array();
  for (const auto& [name, samples] : pool.datasets()) {
    datasets.push_back({{"dataset", name}, {"samples", samples}});
  }
  Json metrics = Json::array();
  for (const scores::PoolMetric& metric : pool.metrics()) {
    metrics.push_back({{"metric", metric.name},
                       {"kind", std::string(scores::score_kind_name(metric.kind))},
                       {"higher_is_better", metric.higher_is_better}});
  }
  Json aliases = Json::object();
  for (const auto& [alias, model] : pool.aliases()) aliases[alias] = model;
  return {{"samples", counts.samples},
          {"samples_in_datasets", counts.occurrences},
          {"models", counts.models},
          {"sources", counts.sources},
          {"measurements", counts.measurements},
          {"judgements", counts.judgements},
          {"datasets", std::move(datasets)},
          {"metrics", std::move(metrics)},
          {"aliases", std::move(aliases)}};
}

void info(const InfoOptions& options) {
  const SamplePool pool(options.pool, SamplePool::Mode::read);
  if (options.common.json) {
    print_json(json_of(pool));
    return;
  }
  const scores::PoolCounts counts = pool.counts();
  std::string text = fmt::format(
      "{} samples ({} in datasets), {} models, {} measurements, {} judgements\n\n", counts.samples,
      counts.occurrences, counts.models, counts.measurements, counts.judgements);
  using Align = Table::Align;
  Table datasets({{"dataset"}, {"samples", Align::right}});
  for (const auto& [name, samples] : pool.datasets()) {
    datasets.add_row({name, fmt::to_string(samples)});
  }
  Table metrics({{"metric"}, {"kind"}, {"better"}});
  for (const scores::PoolMetric& metric : pool.metrics()) {
    metrics.add_row({metric.name, std::string(scores::score_kind_name(metric.kind)),
                     metric.higher_is_better ? "higher" : "lower"});
  }
  print(text + datasets.text() + "\n" + metrics.text());
}

void register_add(CLI::App& pool) {
  CLI::App* app = pool.add_subcommand(
      "add", "Add samples, measurements and judgements, all or none, to a pool.");
  app->footer(example("amalgam rank pool add pool.sqlite mmlu.jsonl arena.jsonl"));
  auto options = std::make_shared<AddOptions>();
  app->add_option("pool", options->pool, "The pool; made if it is not there")
      ->required()
      ->type_name("POOL.sqlite");
  app->add_option("files", options->files,
                  "JSON lines with a \"type\": sample, metric, measurement, judgement, source or"
                  " alias")
      ->required()
      ->type_name("LINES.jsonl");
  add_common_options(*app, options->common, {Common::json, Common::quiet});
  app->callback([options] { add(*options); });
}

void register_import(CLI::App& pool) {
  CLI::App* app = pool.add_subcommand(
      "import", "Add measurements from the files that 'amalgam rank' reads to a pool.");
  app->footer(
      example("amalgam rank pool import pool.sqlite results/ --format lm-eval --source harness"));
  auto options = std::make_shared<ImportOptions>();
  app->add_option("pool", options->pool, "The pool; made if it is not there")
      ->required()
      ->type_name("POOL.sqlite");
  add_score_options(*app, options->scores);
  app->add_option("--source", options->source, "Who measured")->type_name("NAME");
  add_common_options(*app, options->common, {Common::json, Common::quiet});
  app->callback([options] { import_table(*options); });
}

void register_info(CLI::App& pool) {
  CLI::App* app = pool.add_subcommand("info", "What is in a pool.");
  app->footer(example("amalgam rank pool info pool.sqlite --json"));
  auto options = std::make_shared<InfoOptions>();
  app->add_option("pool", options->pool, "The pool")->required()->type_name("POOL.sqlite");
  add_common_options(*app, options->common, {Common::json});
  app->callback([options] { info(*options); });
}

}  // namespace

void register_rank_pool(CLI::App& rank) {
  CLI::App* pool = rank.add_subcommand(
      "pool", "Keep single measurements of many benchmarks, and rank by those that matter.");
  pool->footer(
      example("amalgam rank pool add pool.sqlite measurements.jsonl\n"
              "amalgam rank pool query pool.sqlite --where tag.eq.chemistry\n"
              "amalgam rank pool rank pool.sqlite --about 'organic chemistry' --top 200"));
  pool->require_subcommand(1);
  register_add(*pool);
  register_import(*pool);
  register_rank_pool_query(*pool);
  register_rank_pool_rank(*pool);
  register_rank_pool_concepts(*pool);
  register_info(*pool);
}

}  // namespace amalgam::cli
