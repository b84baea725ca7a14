#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/progress.hpp"
#include "amalgam/data/text_output.hpp"
#include "amalgam/scores/studies/table_encoders.hpp"
#include "amalgam/scores/studies/table_requests.hpp"
#include "cli/output.hpp"
#include "cli/study_tables.hpp"

namespace amalgam::cli {
namespace {

using scores::GivenTableEmbedder;
using scores::GivenVectors;
using scores::HashedTableEmbedder;
using scores::MeasureSummary;
using scores::RelationalTable;
using scores::TableEmbedder;
using scores::TableLevels;
using scores::TableMeasure;
using scores::TableProperty;

scores::TableStudyOptions study_options(const TablesCommand& command) {
  scores::TableStudyOptions options;
  options.permutations = command.permutations;
  options.samples = command.samples;
  options.shares = command.shares;
  options.most_pairs = command.pairs;
  options.queries = command.queries;
  options.neighbours = command.neighbours;
  options.include_self = command.include_self;
  options.blank_names = !command.keep_names;
  options.resamples = command.resamples;
  options.seed = command.common.seed;
  options.parallel = command.common.parallel();
  return options;
}

TableLevels levels_of(const std::vector<std::string>& names) {
  TableLevels levels;
  for (const std::string& name : names) {
    levels.columns = levels.columns || name == "columns";
    levels.rows = levels.rows || name == "rows";
    levels.table = levels.table || name == "table";
    levels.cells = levels.cells || name == "cells";
  }
  return levels;
}

// "columns=FILE.npy"; a file by itself has columns.
std::pair<std::string, std::string> level_and_file(const std::string& text) {
  for (const char* level : {"columns", "rows", "table", "cells"}) {
    const std::string beginning = fmt::format("{}=", level);
    if (text.starts_with(beginning)) return {level, text.substr(beginning.size())};
  }
  return {"columns", text};
}

GivenVectors read_vectors(const std::vector<std::string>& files) {
  GivenVectors vectors;
  for (const std::string& text : files) {
    const auto [level, file] = level_and_file(text);
    language::Embeddings& to = level == "columns" ? vectors.columns
                               : level == "rows"  ? vectors.rows
                               : level == "table" ? vectors.tables
                                                  : vectors.cells;
    if (to.rows > 0) throw InputError("there are two files of vectors of {}", level);
    to = language::read_embeddings(file);
  }
  return vectors;
}

std::vector<std::string> levels_in(const std::vector<std::string>& files) {
  std::vector<std::string> levels;
  for (const std::string& text : files) levels.push_back(level_and_file(text).first);
  return levels;
}

std::unique_ptr<TableEmbedder> hashed_embedder(const std::string& name,
                                               const TablesCommand& command) {
  if (name == "ngrams") {
    return std::make_unique<scores::TextTableEmbedder>(
        std::make_shared<language::HashedTextEmbedder>(language::HashedTextOptions{
            .dimension = command.dimension, .seed = command.common.seed}));
  }
  return std::make_unique<HashedTableEmbedder>(
      scores::HashedTableOptions{.dimension = command.dimension,
                                 .positional = name == "positional",
                                 .seed = command.common.seed});
}

// The tables that a study would embed, found by a study that embeds nothing.
std::vector<scores::TableRequest> record_requests(scores::TableStudy study,
                                                  scores::TableStudyOptions options,
                                                  const TableLevels& levels) {
  const scores::TableRecorder recorder(levels);
  study.embedder = &recorder;
  study.against = {&recorder};
  options.parallel.threads = 1;
  options.resamples = 0;
  scores::study_tables(study, options);
  return recorder.requests();
}

void warn_of_long_tables(const TableEmbedder& embedder,
                         const std::vector<RelationalTable>& tables) {
  const auto cut = std::ranges::count_if(tables, [&](const RelationalTable& table) {
    return scores::fitting_rows(embedder, table) < table.rows();
  });
  if (cut == 0) return;
  log::warn(
      "{} of {} tables are longer than the {} tokens that {} takes: of these only the rows "
      "that fit are looked at",
      cut, tables.size(), embedder.most_tokens(), embedder.name());
}

Json json_of(const MeasureSummary& summary) {
  return {{"tables", summary.tables},
          {"values", summary.values},
          {"undefined", summary.undefined},
          {"mean", summary.mean},
          {"low", summary.interval ? Json(summary.interval->low) : Json()},
          {"high", summary.interval ? Json(summary.interval->high) : Json()},
          {"pooled_mean", summary.pooled_mean},
          {"least", summary.least},
          {"quartiles", {summary.quartiles[0], summary.quartiles[1], summary.quartiles[2]}},
          {"greatest", summary.greatest}};
}

Json json_of(const TableProperty& property, const TablesCommand& command) {
  Json measures = Json::object();
  for (const TableMeasure& measure : property.measures) {
    measures[measure.name] =
        json_of(scores::summarise(measure, command.resamples, command.common.seed));
  }
  Json cosines = Json::object();
  for (const auto& [what, one] : property.cosines) {
    if (one.count() == 0) continue;
    cosines[what] = {{"count", one.count()},
                     {"undefined", one.undefined()},
                     {"mean", one.mean()},
                     {"quartiles", {one.quantile(.25), one.quantile(.5), one.quantile(.75)}}};
  }
  Json figures = Json::object();
  for (const auto& [name, value] : property.figures) {
    Json figure = {{"value", value}};
    if (const auto found = property.intervals.find(name); found != property.intervals.end()) {
      figure["low"] = found->second.low;
      figure["high"] = found->second.high;
    }
    figures[name] = std::move(figure);
  }
  Json json = {{"property", property.id},         {"title", property.title},
               {"measures", std::move(measures)}, {"cosines", std::move(cosines)},
               {"figures", std::move(figures)},   {"notes", property.notes}};
  for (const scores::EmbedderPair& one : property.pairs) {
    json["pairs"].push_back({{"first", one.first},
                             {"second", one.second},
                             {"neighbours", one.neighbours},
                             {"overlap", one.overlap}});
  }
  return json;
}

void show(const TablesCommand& command, const std::string& encoder,
          const std::vector<TableProperty>& found, std::size_t tables) {
  if (!command.out.empty()) write_tables_figures(command.out, command, found);
  if (!command.html.empty()) {
    TextOutput page(command.html);
    page.write(tables_page(command, encoder, found));
    page.commit();
  }
  if (command.common.json) {
    Json properties = Json::array();
    for (const TableProperty& one : found) properties.push_back(json_of(one, command));
    print_json(
        Json{{"encoder", encoder}, {"tables", tables}, {"properties", std::move(properties)}});
    return;
  }
  std::string text = fmt::format("{} tables, embedded by {}\n\n", tables, encoder);
  for (const TableProperty& one : found) text += property_text(one, command);
  print(text);
}

}  // namespace

void add_tables_options(CLI::App& app, TablesCommand& options) {
  app.footer(
      example("amalgam study tables lake/*.csv --property P1,P2,P5 --encoder positional\n"
              "amalgam study tables lake/*.csv --property P3 --requests tables.jsonl\n"
              "amalgam study tables lake/*.csv --property P3 --embeddings columns.npy --json"));
  app.add_option("tables", options.tables, "Tables with a header")
      ->required()
      ->type_name("TABLE.csv");
  app.add_option("--property", options.properties, "P1 to P8 (default: all)")
      ->delimiter(',')
      ->type_name("P,...");
  app.add_option("--encoder", options.encoder,
                 "bag: means of hashed token vectors; positional: the same, weighted by position;"
                 " ngrams: hashed words and parts of words of the texts; trained: a small"
                 " transformer that fills in masked cells of these tables")
      ->check(CLI::IsMember({"bag", "positional", "ngrams", "trained"}))
      ->capture_default_str();
  app.add_option("--embeddings", options.embeddings,
                 "Vectors that another model made of the tables of --requests, instead of"
                 " --encoder: of columns, or with rows=, table= or cells= before the file")
      ->type_name("FILE.npy");
  app.add_option("--requests", options.requests,
                 "Write the tables that the study embeds, for another model, and end")
      ->type_name("TABLES.jsonl");
  app.add_option("--levels", options.levels, "Of --requests: columns, rows, table, cells")
      ->delimiter(',')
      ->check(CLI::IsMember({"columns", "rows", "table", "cells"}))
      ->capture_default_str();
  app.add_option("--against", options.against,
                 "Second embedder for P6: bag, positional or ngrams (default: bag, or positional if"
                 " --encoder is bag); of several, the first, and all are compared with each other")
      ->delimiter(',')
      ->type_name("NAME,...")
      ->check(CLI::IsMember({"bag", "positional", "ngrams"}));
  app.add_option("--against-embeddings", options.against_embeddings,
                 "Vectors of cells by a second model, for P6")
      ->type_name("FILE.npy");
  app.add_option("--renamings", options.renamings,
                 "Names of columns that mean the same, for P7: columns kind, from, to")
      ->type_name("NAMES.csv");
  app.add_option("--types", options.types,
                 "Semantic types of columns, for P8: columns table, column, type (default: columns"
                 " of one name have one type)")
      ->type_name("TYPES.csv");
  app.add_option("--entities", options.entities,
                 "What cells name, for P6: columns table, row (the first is 1), column, entity"
                 " (default: equal texts of text columns are one entity)")
      ->type_name("ENTITIES.csv");
  app.add_flag("--include-self", options.include_self,
               "Count a cell among its own neighbours for P6, as the authors' program does");
  app.add_flag("--keep-names", options.keep_names, "Embed columns with their names for P8");
  app.add_option("--max-rows", options.most_rows, "Read so many rows of each table; 0: all")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--dimension", options.dimension, "Of vectors by bag, positional and ngrams")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--permutations", options.permutations, "Other orders of rows and columns")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--samples", options.samples, "Samples of rows for each share")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--shares", options.shares, "Of rows in a sample, for P5")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--neighbours", options.neighbours, "Numbers of neighbours, for P6")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--queries", options.queries, "Cells whose neighbours are compared, for P6")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--pairs", options.pairs, "Most pairs of columns, for P3")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--bootstrap", options.resamples, "Resamples of tables for intervals; 0: none")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--steps", options.steps, "Steps of training (--encoder trained)")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--out", options.out, "Write all measures and figures")->type_name("FIGURES.csv");
  app.add_option("--html", options.html, "Write a page with drawings")->type_name("PAGE.html");
  add_common_options(app, options.common,
                     {Common::json, Common::quiet, Common::seed, Common::threads});
}

bool needs_training(const TablesCommand& command) {
  return command.encoder == "trained" && command.embeddings.empty() && command.requests.empty();
}

void check_tables_command(const TablesCommand& command) {
  for (const std::string& name : command.properties) scores::check_property_name(name);
  if (!command.requests.empty() && !command.embeddings.empty()) {
    throw InputError("--requests writes what --embeddings answers: give one of them");
  }
  std::vector<std::string> inputs = command.tables;
  for (const auto& files : {command.embeddings, command.against_embeddings}) {
    for (const std::string& text : files) inputs.push_back(level_and_file(text).second);
  }
  for (const std::string& file : {command.renamings, command.types, command.entities}) {
    if (!file.empty()) inputs.push_back(file);
  }
  check_outputs(inputs, {command.requests, command.out, command.html});
  for (const std::string& output : {command.out, command.html}) {
    if (output == "-")
      throw InputError("an output of - and the result both want the standard output");
  }
}

std::vector<RelationalTable> read_study_tables(const TablesCommand& command) {
  std::vector<RelationalTable> tables;
  std::set<std::string> names;
  for (const std::string& path : command.tables) {
    tables.push_back(scores::read_relational_table(path, command.most_rows));
    if (!names.insert(tables.back().name).second) {
      throw InputError("{}: there are two tables '{}'; tables are named after their files", path,
                       tables.back().name);
    }
  }
  return tables;
}

void study_tables(const TablesCommand& command, const std::vector<RelationalTable>& tables,
                  const TableEmbedder* trained) {
  const scores::TableStudyOptions options = study_options(command);
  scores::TableStudy study{
      .tables = tables,
      .renamings = command.renamings.empty() ? scores::common_renamings()
                                             : scores::read_renamings(command.renamings),
      .types = command.types.empty() ? scores::types_by_name(tables)
                                     : scores::read_column_types(command.types, tables),
      .entities = command.entities.empty() ? scores::CellEntities{}
                                           : scores::read_cell_entities(command.entities, tables),
      .properties = command.properties};
  if (!command.requests.empty()) {
    const auto requests = record_requests(study, options, levels_of(command.levels));
    scores::write_table_requests(command.requests, requests);
    print(fmt::format("{} tables to embed\n", requests.size()));
    return;
  }
  const auto given = [&](const std::vector<std::string>& files) {
    return std::make_unique<GivenTableEmbedder>(
        record_requests(study, options, levels_of(levels_in(files))), read_vectors(files),
        fmt::format("{}", fmt::join(files, ", ")));
  };
  std::unique_ptr<TableEmbedder> embedder;
  if (!command.embeddings.empty()) {
    embedder = given(command.embeddings);
  } else if (trained == nullptr) {
    embedder = hashed_embedder(command.encoder, command);
  }
  std::vector<std::unique_ptr<TableEmbedder>> against;
  if (!command.against_embeddings.empty()) against.push_back(given(command.against_embeddings));
  for (const std::string& name : command.against) {
    against.push_back(hashed_embedder(name, command));
  }
  if (against.empty()) {
    const bool is_bag = embedder != nullptr && embedder->name() == "bag";
    against.push_back(hashed_embedder(is_bag ? "positional" : "bag", command));
  }
  study.embedder = embedder != nullptr ? embedder.get() : trained;
  for (const auto& one : against) study.against.push_back(one.get());
  warn_of_long_tables(*study.embedder, tables);
  const std::size_t count = command.properties.empty() ? 8 : command.properties.size();
  Progress progress("properties", count, Progress::Unit::items, command.common.progress_mode());
  const auto found = scores::study_tables(study, options, [&](std::string_view title) {
    progress.describe(std::string(title));
    progress.advance(1);
  });
  progress.finish();
  show(command, study.embedder->name(), found, tables.size());
}

}  // namespace amalgam::cli
