// `amalgam study decisions`: whether yes-or-no answers are fair, independent, and unlike people's.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/data/text_output.hpp"
#include "amalgam/scores/studies/decision_reference.hpp"
#include "amalgam/scores/studies/decision_study.hpp"
#include "amalgam/scores/studies/randomness_tests.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"
#include "cli/study_commands.hpp"
#include "cli/study_decisions_page.hpp"
#include "cli/study_decisions_table.hpp"

namespace amalgam::cli {
namespace {

using scores::DecisionFindings;
using scores::DecisionGroup;
using scores::DecisionReport;
using scores::NamedTest;

struct DecisionsCommand {
  std::vector<std::string> files;
  scores::DecisionFormat format;
  std::vector<std::string> yes_words;
  std::vector<std::string> no_words;
  scores::DecisionOptions options;
  std::vector<std::string> references;
  scores::ReferenceOptions reference;
  std::uint64_t series = 25;
  std::uint64_t length = 20;
  std::string corpus;
  std::string save;
  std::string out;
  std::string html;
  CommonOptions common;
};

Json json_of(const NamedTest& test) {
  return {{"test", test.name},
          {"statistic", test.test.statistic},
          {"degrees_of_freedom", test.test.degrees > 0 ? Json(test.test.degrees) : Json()},
          {"p", test.test.p},
          {"exact", test.test.exact},
          {"adjusted_p", test.rough ? Json() : Json(test.adjusted_p)}};
}

Json json_of(const std::vector<NamedTest>& tests) {
  Json list = Json::array();
  for (const NamedTest& test : tests) list.push_back(json_of(test));
  return list;
}

Json recency_json(const scores::NegativeRecency& recency) {
  Json repeats = Json::array();
  for (std::size_t symbol = 0; symbol < 2; ++symbol) {
    for (std::size_t run = 0; run < recency.repeats[symbol].size(); ++run) {
      const scores::Proportion& one = recency.repeats[symbol][run];
      repeats.push_back({{"answer", symbol == 1 ? "yes" : "no"},
                         {"run", run + 1},
                         {"followed", one.trials},
                         {"repeated", one.successes}});
    }
  }
  return {{"transitions", recency.transitions},
          {"switch_rate", recency.switch_rate},
          {"independent_switch_rate", recency.independent_rate},
          {"autocorrelation", recency.lag1},
          {"autocorrelation_low", recency.lag1_interval.low},
          {"autocorrelation_high", recency.lag1_interval.high},
          {"repeats", repeats}};
}

// How often every two and three answers stand in a row, and how often they would if answers were
// independent with the group's own share of yes.
Json patterns_json(const DecisionFindings& group) {
  Json patterns = Json::array();
  for (const scores::PatternCount& one : scores::pattern_table(group.counts)) {
    patterns.push_back(
        {{"pattern", one.pattern}, {"count", one.count}, {"if_independent", one.expected}});
  }
  return patterns;
}

Json json_of(const DecisionFindings& group) {
  const auto& matrix = group.transitions.counts;
  Json json = {{"group", group.name},
               {"temperature", group.temperature ? Json(*group.temperature) : Json()},
               {"series", group.counts.series().size()},
               {"answers", group.counts.valid()},
               {"invalid", group.counts.invalid()},
               {"missing", group.missing},
               {"short_series", group.short_series},
               {"yes", group.counts.yes()},
               {"share", group.share.yes.share()},
               {"share_low", group.share.interval.low},
               {"share_high", group.share.interval.high},
               {"total_variation", group.share.total_variation},
               {"entropy_bits", group.share.entropy},
               {"divergence_bits", 1 - group.share.entropy},
               {"verdicts",
                {{"uniform", verdict_name(group.uniform)},
                 {"memoryless", verdict_name(group.memoryless)},
                 {"negative_recency", verdict_name(group.negative_recency)}}},
               {"order", group.order.bic.empty() ? Json() : Json(group.order.order)},
               {"bic", group.order.bic},
               {"transitions",
                {{"no_no", matrix[0][0]},
                 {"no_yes", matrix[0][1]},
                 {"yes_no", matrix[1][0]},
                 {"yes_yes", matrix[1][1]}}},
               {"patterns", patterns_json(group)},
               {"recency", recency_json(group.recency)},
               {"autocorrelations", group.autocorrelations},
               {"votes", group.votes},
               {"effective_votes", group.effective_votes}};
  json["tests"] = json_of(group.tests);
  json["notes"] = group.notes;
  return json;
}

Json json_of(const scores::TemperatureFinding& found) {
  Json points = Json::array();
  for (const scores::TemperaturePoint& point : found.points) {
    points.push_back({{"temperature", point.temperature}, {"share", point.yes.share()}});
  }
  return {{"setting", found.setting},
          {"points", points},
          {"slope", found.fit.slope},
          {"slope_error", found.fit.slope_error},
          {"offset", found.fit.offset},
          {"offset_error", found.fit.offset_error},
          {"softmax_slope", found.fit.softmax_slope},
          {"tests", json_of(std::vector<NamedTest>{found.offset, found.misfit})}};
}

Json json_of(const DecisionReport& report) {
  Json json = {{"groups", Json::array()},
               {"comparisons", Json::array()},
               {"temperatures", Json::array()},
               {"tests", report.tests},
               {"warnings", report.warnings}};
  for (const DecisionFindings& group : report.groups) json["groups"].push_back(json_of(group));
  for (const scores::DecisionComparison& comparison : report.comparisons) {
    json["comparisons"].push_back(
        {{"groups", comparison.groups}, {"tests", json_of(comparison.tests)}});
  }
  for (const scores::TemperatureFinding& found : report.temperatures) {
    json["temperatures"].push_back(json_of(found));
  }
  return json;
}

std::string three_digits(double value) {
  return std::isfinite(value) ? fmt::format("{:.3f}", value) : "-";
}

std::string group_table(const DecisionReport& report) {
  using Align = Table::Align;
  Table table({{"group"},
               {"answers", Align::right},
               {"invalid", Align::right},
               {"yes", Align::right},
               {"95 %"},
               {"switches", Align::right},
               {"if independent", Align::right},
               {"order", Align::right},
               {"uniform"},
               {"memoryless"},
               {"negative recency"}});
  for (const DecisionFindings& group : report.groups) {
    table.add_row(
        {group.name, fmt::to_string(group.counts.valid()), fmt::to_string(group.counts.invalid()),
         three_digits(group.share.yes.share()),
         fmt::format("{:.3f} to {:.3f}", group.share.interval.low, group.share.interval.high),
         three_digits(group.recency.switch_rate), three_digits(group.recency.independent_rate),
         group.order.bic.empty() ? "-" : fmt::to_string(group.order.order),
         std::string(verdict_name(group.uniform)), std::string(verdict_name(group.memoryless)),
         std::string(verdict_name(group.negative_recency))});
  }
  return table.text();
}

std::string rejections(const DecisionReport& report, double level) {
  std::string text;
  for (const DecisionFindings& group : report.groups) {
    std::vector<std::string> found;
    for (const NamedTest& test : group.tests) {
      if (test.rejects(level)) {
        found.push_back(fmt::format("{} (adjusted p {:.2g})", test.name, test.adjusted_p));
      }
    }
    if (!found.empty()) {
      text += "\n" + printable(fmt::format("{}: rejected: {}", group.name, fmt::join(found, ", ")));
    }
    if (group.memoryless == scores::Verdict::no && std::isfinite(group.effective_votes)) {
      text += "\n" +
              printable(fmt::format("{}: {} answers of one series count as {:.1f} independent ones",
                                    group.name, group.votes, group.effective_votes));
    }
    for (const std::string& note : group.notes) {
      text += "\n" + printable(fmt::format("{}: {}", group.name, note));
    }
  }
  for (const scores::TemperatureFinding& found : report.temperatures) {
    text +=
        "\n" +
        printable(fmt::format(
            "{}: logit of yes = {:.3f} / T {:+.3f} (adjusted p {:.2g} that the offset is 0, {:.2g}"
            " that a softmax of {:.3f} fits)",
            found.setting, found.fit.slope, found.fit.offset, found.offset.adjusted_p,
            found.misfit.adjusted_p, found.fit.softmax_slope));
  }
  return text.empty() ? text : text + "\n";
}

void show(const DecisionReport& report, double level) {
  print(group_table(report) + comparison_table(report, level) + rejections(report, level) +
        fmt::format("\np-values are adjusted by Holm's method over all {} tests\n", report.tests));
}

std::vector<std::uint64_t> reference_lengths(const DecisionsCommand& command,
                                             const scores::DecisionData& data) {
  if (data.empty()) return std::vector<std::uint64_t>(command.series, command.length);
  std::vector<std::uint64_t> lengths;
  for (const scores::DecisionSeries& series : data.front().series) {
    lengths.push_back(series.answers.size());
  }
  return lengths;
}

void check_command(const DecisionsCommand& command) {
  for (const std::string& file : command.files) {
    if (file.starts_with("http://") || file.starts_with("https://")) {
      throw InputError(
          "{}: sampling an endpoint comes with the language level of Amalgam; until then, save its"
          " answers to a file with a column 'answer' or 'reply' and give that",
          file);
    }
  }
  if (command.files.empty() && command.references.empty()) {
    throw InputError("no answers: give files of answers, or --reference for a source to look at");
  }
  std::vector<std::string> inputs = command.files;
  if (!command.corpus.empty()) inputs.push_back(command.corpus);
  check_outputs(inputs, {command.save, command.out, command.html});
  for (const std::string& output : {command.save, command.out, command.html}) {
    if (output == "-")
      throw InputError("an output of - and the result both want the standard output");
  }
  if (command.series == 0 || command.length == 0 || command.series > 1'000'000 ||
      command.length > 100'000'000 / command.series) {
    throw InputError("{} series of {} answers; expected at least one, and 10^8 answers at most",
                     command.series, command.length);
  }
}

void run(DecisionsCommand command) {
  check_command(command);
  if (!command.yes_words.empty()) command.format.words.yes = command.yes_words;
  if (!command.no_words.empty()) command.format.words.no = command.no_words;
  std::vector<std::filesystem::path> paths(command.files.begin(), command.files.end());
  scores::DecisionData data;
  if (!paths.empty()) data = scores::read_decisions(paths, command.format);
  const std::vector<std::uint64_t> lengths = reference_lengths(command, data);
  command.reference.seed = command.common.seed;
  command.options.permutation.seed = command.common.seed;
  for (const std::string& name : command.references) {
    data.push_back(
        scores::make_reference(scores::parse_reference(name), lengths, command.reference));
  }
  std::optional<scores::Proportion> corpus;
  if (!command.corpus.empty()) {
    corpus = scores::corpus_frequency(
        command.corpus, {{command.format.words.yes.front()}, {command.format.words.no.front()}});
    if (corpus->trials == 0) {
      throw InputError("{}: neither '{}' nor '{}' occurs in it", command.corpus,
                       command.format.words.yes.front(), command.format.words.no.front());
    }
  }
  const DecisionReport report = scores::study_decisions(data, command.options, corpus);
  for (const std::string& warning : report.warnings) log::warn("{}", warning);
  if (!command.save.empty()) scores::write_decisions(command.save, data);
  if (!command.out.empty()) write_decision_tests(command.out, report);
  if (!command.html.empty()) {
    TextOutput output(command.html);
    output.write(decisions_page(report, command.options));
    output.commit();
  }
  if (command.common.json) {
    Json json = json_of(report);
    if (corpus) json["corpus"] = {{"yes", corpus->successes}, {"words", corpus->trials}};
    print_json(json);
  } else {
    show(report, command.options.level);
  }
}

}  // namespace

void register_study_decisions(CLI::App& study) {
  CLI::App* app = study.add_subcommand(
      "decisions",
      "Whether yes-or-no answers are fair and independent, or alternate as people's do.");
  app->footer(
      example("amalgam study decisions answers.csv --html decisions.html\n"
              "amalgam study decisions calls.jsonl --yes buy --no sell --reference prng\n"
              "amalgam study decisions --reference human --series 1 --length 400"));
  auto command = std::make_shared<DecisionsCommand>();
  app->add_option("files", command->files,
                  "Answers: CSV or JSON lines with a column answer or reply (columns model, "
                  "version, prompt, mode, group and temperature make groups), or text with a "
                  "series per line")
      ->type_name("FILE");
  app->add_option("--group", command->format.group,
                  "Columns that make groups, in place of the usual ones")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("COLUMNS");
  app->add_option("--answer", command->format.answer, "Column of one answer per row")
      ->type_name("COLUMN")
      ->capture_default_str();
  app->add_option("--reply", command->format.reply, "Column of many answers per row")
      ->type_name("COLUMN")
      ->capture_default_str();
  app->add_option("--series-column", command->format.series,
                  "Column that names the series of an answer")
      ->type_name("COLUMN")
      ->capture_default_str();
  app->add_option("--yes", command->yes_words, "Words that mean yes (default: yes,y,true)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("WORDS");
  app->add_option("--no", command->no_words, "Words that mean no (default: no,n,false)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("WORDS");
  app->add_option("--level", command->options.level,
                  "Level of significance, after correction for all tests")
      ->capture_default_str();
  app->add_option("--margin", command->options.margin,
                  "How far from 1/2 a share may surely be and be called uniform")
      ->capture_default_str();
  app->add_option("--human-rate", command->options.human_rate,
                  "Switch rate of people to compare with")
      ->capture_default_str();
  app->add_option(
         "--permutations", command->options.permutation.permutations,
         "Permutations of the answers for the tests of order 2 and 3 where answers are too "
         "few for chi-squared; 0: these tests are then not judged by")
      ->check(whole_number() & CLI::Range(0, 1'000'000))
      ->capture_default_str();
  app->add_option("--reference", command->references,
                  "Add a source to compare with: prng, human (a chain that switches as people do) "
                  "or system (the system's entropy); as many answers as the first group has")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("SOURCES");
  app->add_option("--reference-yes", command->reference.yes, "Share of yes of references")
      ->capture_default_str();
  app->add_option("--reference-switches", command->reference.switch_rate,
                  "Switch rate of --reference human")
      ->capture_default_str();
  app->add_option("--series", command->series, "Series of references, where no files are given")
      ->check(whole_number())
      ->capture_default_str();
  app->add_option("--length", command->length, "Answers of each of these series")
      ->check(whole_number())
      ->capture_default_str();
  app->add_option("--corpus", command->corpus,
                  "Text in which the words yes and no are counted, to compare shares with")
      ->type_name("TEXT");
  app->add_option("--save", command->save, "Write all answers, those of references included")
      ->type_name("ANSWERS.csv");
  app->add_option("--out", command->out, "Write all tests")->type_name("TESTS.csv");
  app->add_option("--html", command->html, "Write a page with plots and all tests")
      ->type_name("PAGE.html");
  add_common_options(*app, command->common, {Common::json, Common::quiet, Common::seed});
  app->callback([command] { run(*command); });
}

}  // namespace amalgam::cli
