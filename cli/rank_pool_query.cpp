// `amalgam rank pool query` and `rank`: which samples are about something, and who is good at it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/data/csv_output.hpp"
#include "amalgam/language/text_embedder.hpp"
#include "amalgam/scores/pool/pool_query.hpp"
#include "amalgam/scores/pool/pool_ranking.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"
#include "cli/rank_options.hpp"
#include "cli/rank_pool.hpp"

namespace amalgam::cli {
namespace {

using scores::PoolEntry;
using scores::PoolRanking;
using scores::SamplePool;
using scores::SelectedSample;

struct QueryOptions {
  std::string pool;
  std::vector<std::string> filters;
  std::string about;
  std::string answer;
  std::string vector;
  std::string embedder;
  std::size_t top = 0;
  std::optional<double> similarity;
};

struct QueryCommand {
  QueryOptions query;
  CommonOptions common;
};

struct RankCommand {
  QueryOptions query;
  MethodOptions method{.method = "onebench", .parameters = {}, .missing = {}};
  std::size_t best = 0;
  std::string table;
  CommonOptions common;
};

void add_query_options(CLI::App& command, QueryOptions& options) {
  command.add_option("pool", options.pool, "The pool")->required()->type_name("POOL.sqlite");
  command
      .add_option(
          "--where", options.filters,
          "A condition field.op.value, with op one of eq, ne, gt, ge, lt, le, contains, len;"
          " fields: dataset, name, tag, question, answer and the samples' own")
      ->allow_extra_args(false)
      ->type_name("CONDITION");
  command.add_option("--about", options.about, "Questions like this text")->type_name("TEXT");
  command.add_option("--answer", options.answer, "Answers like this text")->type_name("TEXT");
  command
      .add_option("--vector", options.vector,
                  "Questions like this vector, the first row of an array, instead of --about")
      ->excludes("--about")
      ->type_name("VECTOR.npy");
  command.add_option("--embedder", options.embedder, "Of --vector: what made it and the pool's")
      ->type_name("NAME");
  command.add_option("--top", options.top, "The most similar so many samples; 0: all")
      ->check(whole_number())
      ->capture_default_str();
  command
      .add_option("--similarity", options.similarity, "Samples of more than this cosine similarity")
      ->check(CLI::Range(-1.0, 1.0))
      ->type_name("X");
}

// An open pool with the samples that were chosen from it.
struct Selection {
  SamplePool pool;
  std::vector<PoolEntry> entries;
  std::vector<SelectedSample> selected;
};

Selection select(const QueryOptions& options) {
  scores::PoolQuery query{.filters = {},
                          .question = options.about,
                          .answer = options.answer,
                          .vector = {},
                          .embedder = options.embedder,
                          .top = options.top,
                          .similarity = options.similarity};
  for (const std::string& text : options.filters) {
    query.filters.push_back(scores::parse_pool_filter(text));
  }
  if (!options.vector.empty()) {
    const language::Embeddings read = language::read_embeddings(options.vector);
    query.vector.assign(read.row(0).begin(), read.row(0).end());
  }
  Selection found{SamplePool(options.pool, SamplePool::Mode::read), {}, {}};
  found.entries = found.pool.entries();
  found.selected =
      scores::select_samples(found.pool, found.entries, query, language::HashedTextEmbedder());
  return found;
}

// "mmlu q17", in the first dataset by name.
std::string name_of(const PoolEntry& entry) {
  if (entry.occurrences.empty()) return fmt::format("sample {}", entry.id);
  return fmt::format("{} {}", entry.occurrences[0].first, entry.occurrences[0].second);
}

Json json_of(const PoolEntry& entry, double similarity) {
  Json occurrences = Json::array();
  for (const auto& [dataset, name] : entry.occurrences) {
    occurrences.push_back({{"dataset", dataset}, {"id", name}});
  }
  return {{"sample", entry.id},
          {"similarity", similarity},
          {"occurrences", std::move(occurrences)},
          {"question", entry.question},
          {"tags", entry.tags}};
}

void query(const QueryCommand& command) {
  const Selection found = select(command.query);
  if (command.common.json) {
    Json samples = Json::array();
    for (const SelectedSample& one : found.selected) {
      samples.push_back(json_of(found.entries[one.entry], one.similarity));
    }
    print_json(Json{{"selected", found.selected.size()},
                    {"of", found.entries.size()},
                    {"samples", std::move(samples)}});
    return;
  }
  constexpr std::size_t kMostShown = 50;
  constexpr std::size_t kLongestShown = 60;
  using Align = Table::Align;
  Table table({{"sample"}, {"similarity", Align::right}, {"question"}});
  for (std::size_t i = 0; i < std::min(kMostShown, found.selected.size()); ++i) {
    const PoolEntry& entry = found.entries[found.selected[i].entry];
    std::string question = entry.question.substr(0, kLongestShown);
    // Not within a character.
    while (question.size() < entry.question.size() && !question.empty() &&
           (static_cast<unsigned char>(entry.question[question.size()]) & 0xC0U) == 0x80U) {
      question.pop_back();
    }
    table.add_row({name_of(entry), fmt::format("{:.3f}", found.selected[i].similarity), question});
  }
  std::string text =
      fmt::format("{} of {} samples\n\n", found.selected.size(), found.entries.size()) +
      table.text();
  if (found.selected.size() > kMostShown) {
    text += fmt::format("and {} samples more (--json)\n", found.selected.size() - kMostShown);
  }
  print(text);
}

void show(const RankCommand& command, const Selection& selection, const PoolRanking& found) {
  const auto order = scores::order_of(found.ranks);
  const std::size_t shown = command.best == 0 ? order.size() : std::min(command.best, order.size());
  if (command.common.json) {
    Json ranking = Json::array();
    for (std::size_t i = 0; i < shown; ++i) {
      const scores::System s = order[i];
      ranking.push_back({{"system", std::string(found.table.systems[s])},
                         {"rank", found.ranks[s]},
                         {"score", found.ranking.scores[s]},
                         {"rank_low", nullptr},
                         {"rank_high", nullptr}});
    }
    print_json(Json{{"method", command.method.method},
                    {"samples", selection.selected.size()},
                    {"of", selection.entries.size()},
                    {"strict_comparisons", found.strict_comparisons},
                    {"ties", found.ties},
                    {"tau_to_all", found.tau_to_all},
                    {"ranking", std::move(ranking)},
                    {"certificate", nullptr},
                    {"warnings", found.ranking.warnings}});
    return;
  }
  for (const std::string& warning : found.ranking.warnings) log::warn("{}", warning);
  using Align = Table::Align;
  Table table({{"rank", Align::right}, {"model"}, {"score", Align::right}});
  for (std::size_t i = 0; i < shown; ++i) {
    const scores::System s = order[i];
    table.add_row({fmt::to_string(found.ranks[s]), std::string(found.table.systems[s]),
                   format_number(found.ranking.scores[s])});
  }
  const std::string tau =
      std::isfinite(found.tau_to_all)
          ? fmt::format("Kendall's tau-b to the ranking by all samples {:.3f}", found.tau_to_all)
          : "no ranking by all samples to compare with";
  print(fmt::format("{} of {} samples: {:g} comparisons with a winner, {:g} ties; {}\n\n",
                    selection.selected.size(), selection.entries.size(), found.strict_comparisons,
                    found.ties, tau) +
        table.text());
}

// The values as measured, in the long form that `amalgam rank` reads.
void write_table(const std::string& path, const scores::ScoreTable& table) {
  CsvOutput output(path);
  for (const char* title : {"system", "task", "instance", "score", "kind", "higher_is_better"}) {
    output.field(title);
  }
  output.end();
  for (std::size_t b = 0; b < table.ballot_count(); ++b) {
    const scores::Task task = table.ballot_tasks[b];
    const scores::TaskInfo& info = table.task_infos[task];
    const scores::ScoreTable::Ballot ballot = table.ballot(b);
    for (std::size_t i = 0; i < ballot.values.size(); ++i) {
      output.field(table.systems[ballot.systems[i]])
          .field(table.tasks[task])
          .field(table.instances[table.ballot_instances[b]])
          .field(info.higher_is_better ? ballot.values[i] : -ballot.values[i])
          .field(scores::score_kind_name(info.kind))
          .field(info.higher_is_better ? "true" : "false")
          .end();
    }
  }
  output.commit();
  if (!table.comparisons.empty()) {
    log::warn("{}: {} judgements are not in it", path, table.comparisons.size());
  }
}

void rank(const RankCommand& command) {
  check_method(command.method);
  check_outputs({command.query.pool}, {command.table});
  const Selection selection = select(command.query);
  scores::PoolRankOptions options{.method = command.method.method,
                                  .parameters = command.method.parameters,
                                  .missing = std::nullopt,
                                  .seed = command.common.seed,
                                  .parallel = command.common.parallel()};
  if (!command.method.missing.empty()) {
    options.missing = scores::missing_of_name(command.method.missing);
  }
  const PoolRanking found =
      scores::rank_pool(selection.pool, selection.entries, selection.selected, options);
  if (!command.table.empty()) write_table(command.table, found.table);
  show(command, selection, found);
}

}  // namespace

void register_rank_pool_query(CLI::App& pool) {
  CLI::App* app = pool.add_subcommand("query", "Find the samples that are about something.");
  app->footer(
      example("amalgam rank pool query pool.sqlite --where tag.eq.chemistry --where year.ge.2021\n"
              "amalgam rank pool query pool.sqlite --about 'organic chemistry' --similarity 0.3"));
  auto command = std::make_shared<QueryCommand>();
  add_query_options(*app, command->query);
  add_common_options(*app, command->common, {Common::json});
  app->callback([command] { query(*command); });
}

void register_rank_pool_rank(CLI::App& pool) {
  CLI::App* app =
      pool.add_subcommand("rank", "Rank models by the samples that are about something.");
  app->footer(
      example("amalgam rank pool rank pool.sqlite --about 'organic chemistry' --top 200\n"
              "amalgam rank pool rank pool.sqlite --where dataset.eq.mmlu --method kemeny --json"));
  auto command = std::make_shared<RankCommand>();
  add_query_options(*app, command->query);
  add_method_options(*app, command->method);
  app->get_option("--method")->description("See 'amalgam rank methods' (default: onebench)");
  app->add_option("--best", command->best, "Show the best so many models; 0: all")
      ->check(whole_number())
      ->capture_default_str();
  app->add_option(
         "--table", command->table,
         "Write the measurements of these samples for 'amalgam rank', which knows intervals")
      ->type_name("TABLE.csv");
  add_common_options(*app, command->common, {Common::json, Common::seed, Common::threads});
  app->callback([command] { rank(*command); });
}

}  // namespace amalgam::cli
