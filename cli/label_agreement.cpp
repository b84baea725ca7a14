#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "amalgam/core/error.hpp"
#include "amalgam/data/text_output.hpp"
#include "amalgam/labels/agreement.hpp"
#include "amalgam/labels/worker_report.hpp"
#include "cli/label_commands.hpp"
#include "cli/label_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

using labels::AnnotationTable;
using labels::Label;

struct AgreementCommand {
  AnnotationOptions annotations;
  std::string metric = "nominal";
  std::size_t resamples = 200;
  std::uint64_t fewest = 10;
  std::string items;
  std::string pairs;
  std::string workers;
  std::string adjudicate;
  double below = 0.8;
  CommonOptions common;
};

std::string text_of(std::string_view name) { return std::string(name); }
void append_number_or_nothing(std::string& line, double value) {
  line += ',';
  if (std::isfinite(value)) append_number(line, value);
}

// "x:3 y:1", the most frequent first.
std::string votes_text(const AnnotationTable& table, labels::Task task) {
  const auto [begin, end] = table.rows_of(task);
  std::vector<std::pair<std::size_t, Label>> counts;
  for (std::size_t row = begin; row < end; ++row) {
    const auto found =
        std::ranges::find(counts, table.labels[row], &std::pair<std::size_t, Label>::second);
    if (found == counts.end()) {
      counts.emplace_back(1, table.labels[row]);
    } else {
      ++found->first;
    }
  }
  std::ranges::sort(counts, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  std::string text;
  for (const auto& [count, label] : counts) {
    if (!text.empty()) text += ' ';
    text += fmt::format("{}:{}", table.label_names[label], count);
  }
  return text;
}

// The share of a task's annotations that its most frequent label has; 1 without annotations.
double consensus(const AnnotationTable& table, labels::Task task) {
  const auto [begin, end] = table.rows_of(task);
  std::vector<Label> labels(table.labels.begin() + static_cast<std::ptrdiff_t>(begin),
                            table.labels.begin() + static_cast<std::ptrdiff_t>(end));
  std::ranges::sort(labels);
  std::size_t most = 0;
  for (std::size_t i = 0, run = 0; i < labels.size(); ++i) {
    run = i > 0 && labels[i] == labels[i - 1] ? run + 1 : 1;
    most = std::max(most, run);
  }
  return labels.empty() ? 1 : static_cast<double>(most) / static_cast<double>(labels.size());
}

void write_items(const std::string& path, const AnnotationTable& table,
                 const std::vector<double>& entropies) {
  TextOutput output(path);
  output.write("task,annotations,consensus,entropy,votes\n");
  for (const labels::Task task : table.appearance) {
    std::string line;
    append_csv_field(line, table.task_names[task]);
    const auto [begin, end] = table.rows_of(task);
    line += fmt::format(",{},", end - begin);
    append_number(line, consensus(table, task));
    append_number_or_nothing(line, entropies[task]);
    line += ',';
    append_csv_field(line, votes_text(table, task));
    output.write(line + '\n');
  }
  output.commit();
}

// Tasks whose annotators do not agree well enough, the least agreed first.
std::size_t write_adjudication(const AgreementCommand& command, const AnnotationTable& table,
                               const std::vector<double>& entropies) {
  std::vector<labels::Task> tasks;
  for (const labels::Task task : table.appearance) {
    if (consensus(table, task) < command.below) tasks.push_back(task);
  }
  std::ranges::stable_sort(tasks, [&](labels::Task a, labels::Task b) {
    const double of_a = consensus(table, a);
    const double of_b = consensus(table, b);
    return of_a != of_b ? of_a < of_b : entropies[a] > entropies[b];
  });
  TextOutput output(command.adjudicate);
  output.write("task,consensus,entropy,votes,label\n");
  for (const labels::Task task : tasks) {
    std::string line;
    append_csv_field(line, table.task_names[task]);
    line += ',';
    append_number(line, consensus(table, task));
    append_number_or_nothing(line, entropies[task]);
    line += ',';
    append_csv_field(line, votes_text(table, task));
    output.write(line + ",\n");  // the label is for whoever decides
  }
  output.commit();
  return tasks.size();
}

void write_pairs(const std::string& path, const AnnotationTable& table,
                 const std::vector<labels::PairAgreement>& pairs) {
  TextOutput output(path);
  output.write("first,second,tasks,agreement,kappa\n");
  for (const labels::PairAgreement& pair : pairs) {
    std::string line;
    append_csv_field(line, table.worker_names[pair.first]);
    line += ',';
    append_csv_field(line, table.worker_names[pair.second]);
    line += fmt::format(",{},", pair.tasks);
    append_number(line, pair.observed);
    append_number_or_nothing(line, pair.kappa);
    output.write(line + '\n');
  }
  output.commit();
}

void write_workers(const std::string& path, const AnnotationTable& table,
                   const std::vector<labels::WorkerReport>& reports) {
  TextOutput output(path);
  output.write(
      "worker,annotations,compared,agreement,chance,z,spam_score,most_given,"
      "most_given_share,median_seconds,first_third,last_third,drift_z,drift_p,flags\n");
  for (std::size_t w = 0; w < reports.size(); ++w) {
    const labels::WorkerReport& report = reports[w];
    std::string line;
    append_csv_field(line, table.worker_names[w]);
    line += fmt::format(",{},{}", report.annotations, report.compared);
    for (const double value : {report.agreement, report.chance, report.z, report.spam_score}) {
      append_number_or_nothing(line, value);
    }
    line += ',';
    append_csv_field(line, table.label_names[report.most_given]);
    append_number_or_nothing(line, report.most_given_share);
    line += ',';
    if (report.median_seconds) append_number(line, *report.median_seconds);
    if (report.drift) {
      for (const double value :
           {report.drift->first, report.drift->last, report.drift->z, report.drift->p}) {
        append_number_or_nothing(line, value);
      }
    } else {
      line += ",,,,";
    }
    line += ',';
    append_csv_field(line, fmt::format("{}", fmt::join(report.flags, "; ")));
    output.write(line + '\n');
  }
  output.commit();
}

Json json_of(const AgreementCommand& command, const AnnotationTable& table,
             const labels::Agreement& found, const std::vector<labels::LabelAgreement>& by_label,
             const std::vector<labels::WorkerReport>& reports) {
  Json json = {{"tasks", table.task_count()},
               {"workers", table.worker_count()},
               {"annotations", table.rows()},
               {"compared_tasks", found.tasks},
               {"compared_annotations", found.annotations},
               {"observed", found.observed},
               {"metric", command.metric},
               {"krippendorff_alpha", found.alpha},
               {"alpha_low", nullptr},
               {"alpha_high", nullptr},
               {"fleiss_kappa", found.fleiss_kappa}};
  if (found.alpha_interval) {
    json["alpha_low"] = found.alpha_interval->low;
    json["alpha_high"] = found.alpha_interval->high;
  }
  Json label_list = Json::array();
  for (std::size_t k = 0; k < by_label.size(); ++k) {
    label_list.push_back({{"label", text_of(table.label_names[k])},
                          {"annotations", by_label[k].annotations},
                          {"prevalence", by_label[k].prevalence},
                          {"specific_agreement", by_label[k].specific},
                          {"kappa", by_label[k].kappa}});
  }
  json["labels"] = std::move(label_list);
  Json flagged = Json::array();
  for (std::size_t w = 0; w < reports.size(); ++w) {
    if (reports[w].flags.empty()) continue;
    flagged.push_back({{"worker", text_of(table.worker_names[w])},
                       {"annotations", reports[w].annotations},
                       {"agreement", reports[w].agreement},
                       {"spam_score", reports[w].spam_score},
                       {"flags", reports[w].flags}});
  }
  json["flagged_workers"] = std::move(flagged);
  return json;
}

void show(const AgreementCommand& command, const AnnotationTable& table,
          const labels::Agreement& found, const std::vector<labels::LabelAgreement>& by_label,
          const std::vector<labels::WorkerReport>& reports) {
  std::string text = fmt::format(
      "{} tasks, {} workers, {} annotations; {} tasks have several\n"
      "observed agreement    {:.4f}\nKrippendorff's alpha  {:.4f}",
      table.task_count(), table.worker_count(), table.rows(), found.tasks, found.observed,
      found.alpha);
  if (found.alpha_interval) {
    text += fmt::format(" (95 % interval {:.4f} to {:.4f})", found.alpha_interval->low,
                        found.alpha_interval->high);
  }
  if (command.metric != "nominal") text += fmt::format(", {} metric", command.metric);
  text += fmt::format("\nFleiss' kappa         {:.4f}\n\n", found.fleiss_kappa);
  using Align = Table::Align;
  Table label_table({{"label"},
                     {"annotations", Align::right},
                     {"share", Align::right},
                     {"agreement", Align::right},
                     {"kappa", Align::right}});
  constexpr std::size_t kMostShown = 30;
  for (std::size_t k = 0; k < std::min(kMostShown, by_label.size()); ++k) {
    label_table.add_row({text_of(table.label_names[k]), fmt::to_string(by_label[k].annotations),
                         fmt::format("{:.4f}", by_label[k].prevalence),
                         fmt::format("{:.4f}", by_label[k].specific),
                         fmt::format("{:.4f}", by_label[k].kappa)});
  }
  text += label_table.text();
  if (by_label.size() > kMostShown) {
    text += fmt::format("and {} labels more\n", by_label.size() - kMostShown);
  }
  Table worker_table({{"worker to look at"},
                      {"annotations", Align::right},
                      {"agreement", Align::right},
                      {"chance", Align::right},
                      {"why"}});
  std::size_t flagged = 0;
  for (std::size_t w = 0; w < reports.size(); ++w) {
    if (reports[w].flags.empty()) continue;
    if (++flagged > kMostShown) continue;
    worker_table.add_row({text_of(table.worker_names[w]), fmt::to_string(reports[w].annotations),
                          fmt::format("{:.4f}", reports[w].agreement),
                          fmt::format("{:.4f}", reports[w].chance),
                          fmt::format("{}", fmt::join(reports[w].flags, "; "))});
  }
  if (flagged > 0) text += "\n" + worker_table.text();
  if (flagged > kMostShown) {
    text += fmt::format("and {} workers more (--workers)\n", flagged - kMostShown);
  }
  print(text);
}

void run(const AgreementCommand& command) {
  check_outputs(command.annotations.paths,
                {command.items, command.pairs, command.workers, command.adjudicate});
  const AnnotationTable table = read_annotations(command.annotations, command.common);
  const auto metric = command.metric == "ordinal"    ? labels::LabelMetric::ordinal
                      : command.metric == "interval" ? labels::LabelMetric::interval
                                                     : labels::LabelMetric::nominal;
  const labels::Agreement found =
      labels::agreement(table, metric, command.resamples, command.common.seed);
  const auto by_label = labels::label_agreement(table);
  const auto reports = labels::worker_reports(table, command.fewest);
  const std::vector<double> entropies = labels::vote_entropy(table);
  if (!command.items.empty()) write_items(command.items, table, entropies);
  if (!command.workers.empty()) write_workers(command.workers, table, reports);
  if (!command.pairs.empty()) {
    write_pairs(command.pairs, table, labels::pair_agreement(table, command.fewest));
  }
  Json json = json_of(command, table, found, by_label, reports);
  if (!command.adjudicate.empty()) {
    json["to_adjudicate"] = write_adjudication(command, table, entropies);
  }
  if (command.common.json) {
    print_json(json);
  } else {
    show(command, table, found, by_label, reports);
  }
}

}  // namespace

void register_label_agreement(CLI::App& label) {
  CLI::App* app = label.add_subcommand(
      "agreement", "How well annotators agree, on which labels and tasks, and whom to look at.");
  app->footer(
      example("amalgam label agreement annotations.csv\n"
              "amalgam label agreement stars.csv --metric ordinal --json\n"
              "amalgam label agreement annotations.csv --workers workers.csv --pairs pairs.csv "
              "--adjudicate decide.csv --below 0.7"));
  auto command = std::make_shared<AgreementCommand>();
  add_annotation_options(*app, command->annotations);
  app->add_option("--metric", command->metric, "How far apart labels are, for alpha")
      ->check(CLI::IsMember({"nominal", "ordinal", "interval"}))
      ->capture_default_str();
  app->add_option("--bootstrap", command->resamples,
                  "Resamples of tasks for alpha's interval; 0: no interval")
      ->check(whole_number())
      ->capture_default_str();
  app->add_option("--fewest", command->fewest,
                  "Annotations (of pairs: common tasks) from which on workers are judged")
      ->check(whole_number())
      ->capture_default_str();
  app->add_option("--items", command->items, "Write agreement and votes of each task")
      ->type_name("ITEMS.csv");
  app->add_option("--pairs", command->pairs, "Write Cohen's kappa of pairs of workers")
      ->type_name("PAIRS.csv");
  app->add_option("--workers", command->workers,
                  "Write each worker's agreement with the others, spam score, drift and flags")
      ->type_name("WORKERS.csv");
  app->add_option("--adjudicate", command->adjudicate,
                  "Write the tasks to be decided by hand, the least agreed first")
      ->type_name("LIST.csv");
  app->add_option("--below", command->below,
                  "Of --adjudicate: tasks whose most frequent label has less than this share")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  add_common_options(*app, command->common, {Common::json, Common::quiet, Common::seed});
  app->callback([command] { run(*command); });
}

}  // namespace amalgam::cli
