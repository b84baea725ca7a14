// `amalgam rank pool concepts`: how well queries find the samples that are about them.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/table_cells.hpp"
#include "amalgam/language/text_embedder.hpp"
#include "amalgam/scores/pool/pool_query.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"
#include "cli/rank_pool.hpp"

namespace amalgam::cli {
namespace {

using scores::QueryQuality;

struct ConceptsCommand {
  std::string pool;
  std::string concepts;
  std::size_t top = 0;
  CommonOptions common;
};

struct Concept {
  std::string about;
  std::string relevant;
  QueryQuality quality = {};
};

std::vector<Concept> read_concepts(const std::string& path) {
  TableRows rows(path);
  const std::size_t about = rows.column("about");
  const std::size_t relevant = rows.column("relevant");
  std::vector<Concept> concepts;
  while (rows.next()) {
    concepts.push_back({std::string(rows.cell(about)), std::string(rows.cell(relevant))});
    if (concepts.back().about.empty()) {
      throw InputError("{}: nothing to ask for; expected a text", rows.place(about));
    }
    try {
      scores::parse_pool_filter(concepts.back().relevant);
    } catch (const InputError& error) {
      throw InputError("{}: {}", rows.place(relevant), error.what());
    }
  }
  if (concepts.empty()) throw InputError("{}: it has a header but no concepts", path);
  return concepts;
}

void judge(const ConceptsCommand& command, std::vector<Concept>& concepts) {
  const scores::SamplePool pool(command.pool, scores::SamplePool::Mode::read);
  const std::vector<scores::PoolEntry> entries = pool.entries();
  const language::HashedTextEmbedder embedder;
  for (Concept& one : concepts) {
    scores::PoolQuery query;
    query.question = one.about;
    query.top = command.top;
    const scores::PoolFilter relevant = scores::parse_pool_filter(one.relevant);
    one.quality = scores::query_quality(
        entries, scores::select_samples(pool, entries, query, embedder), relevant);
    if (one.quality.relevant == 0) {
      throw InputError("{}: no sample meets '{}', so that nothing is relevant to '{}'",
                       command.pool, printable(one.relevant), printable(one.about));
    }
  }
}

void show(const std::vector<Concept>& concepts, double mean, bool json) {
  if (json) {
    Json list = Json::array();
    for (const Concept& one : concepts) {
      list.push_back({{"about", one.about},
                      {"relevant_if", one.relevant},
                      {"relevant", one.quality.relevant},
                      {"selected", one.quality.selected},
                      {"found", one.quality.found},
                      {"average_precision", one.quality.average_precision}});
    }
    print_json(Json{{"concepts", std::move(list)}, {"mean_average_precision", mean}});
    return;
  }
  using Align = Table::Align;
  Table table({{"about"},
               {"relevant", Align::right},
               {"selected", Align::right},
               {"found", Align::right},
               {"average precision", Align::right}});
  for (const Concept& one : concepts) {
    table.add_row({one.about, fmt::to_string(one.quality.relevant),
                   fmt::to_string(one.quality.selected), fmt::to_string(one.quality.found),
                   fmt::format("{:.3f}", one.quality.average_precision)});
  }
  print(fmt::format("{}\nmean average precision of {} concepts: {:.3f}\n", table.text(),
                    concepts.size(), mean));
}

void run(const ConceptsCommand& command) {
  std::vector<Concept> concepts = read_concepts(command.concepts);
  judge(command, concepts);
  double sum = 0;
  for (const Concept& one : concepts) sum += one.quality.average_precision;
  show(concepts, sum / static_cast<double>(concepts.size()), command.common.json);
}

}  // namespace

void register_rank_pool_concepts(CLI::App& pool) {
  CLI::App* app = pool.add_subcommand(
      "concepts", "How well queries find the samples that are about them: average precision.");
  app->footer(example("amalgam rank pool concepts pool.sqlite concepts.csv --top 200"));
  auto command = std::make_shared<ConceptsCommand>();
  app->add_option("pool", command->pool, "The pool")->required()->type_name("POOL.sqlite");
  app->add_option("concepts", command->concepts,
                  "Columns about (a text to ask for) and relevant (a condition field.op.value that "
                  "the samples meet that are about it)")
      ->required()
      ->type_name("CONCEPTS.csv");
  app->add_option("--top", command->top, "The most similar so many samples; 0: all")
      ->check(whole_number())
      ->capture_default_str();
  add_common_options(*app, command->common, {Common::json});
  app->callback([command] { run(*command); });
}

}  // namespace amalgam::cli
