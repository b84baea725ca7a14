#include <fmt/format.h>

#include <memory>

#include "amalgam/core/error.hpp"
#include "amalgam/data/text_output.hpp"
#include "amalgam/labels/ask.hpp"
#include "amalgam/labels/label_state.hpp"
#include "cli/label_commands.hpp"
#include "cli/label_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

struct AskCommand {
  AnnotationOptions annotations;
  std::string state;
  std::string method = "dawid-skene";
  std::vector<std::string> parameters;
  std::size_t budget = 0;
  std::size_t per_task = 1;
  std::string by = "information";
  bool assign = false;
  std::string out = "-";
  CommonOptions common;
};

labels::LabelState::Result fitted(const AskCommand& command) {
  if (!command.state.empty()) return labels::load_label_state(command.state)->result();
  labels::LabelState::Result result;
  result.table = read_annotations(command.annotations, command.common);
  labels::FitContext context;
  context.seed = command.common.seed;
  context.parallel = command.common.parallel();
  result.fit = labels::fit_labels(command.method, result.table, command.parameters, context);
  return result;
}

void write_questions(const AskCommand& command, const labels::AnnotationTable& table,
                     const labels::LabelFit& fit, const std::vector<labels::Question>& questions) {
  TextOutput output(command.out);
  output.write(command.assign ? "task,value,label,probability,annotations,worker\n"
                              : "task,value,label,probability,annotations\n");
  const labels::HardLabels hard = labels::hard_labels(fit.posterior);
  for (const labels::Question& question : questions) {
    std::string line;
    append_csv_field(line, table.task_names[question.task]);
    line += ',';
    append_number(line, question.value);
    line += ',';
    const labels::Label label = hard.labels[question.task];
    append_csv_field(line, table.label_names[label]);
    line += ',';
    append_number(line, fit.posterior.row(question.task)[label]);
    const auto [begin, end] = table.rows_of(question.task);
    line += fmt::format(",{}", end - begin);
    if (question.worker) {
      line += ',';
      append_csv_field(line, table.worker_names[*question.worker]);
    }
    output.write(line + '\n');
  }
  output.commit();
}

void print_questions(const labels::AnnotationTable& table,
                     const std::vector<labels::Question>& questions, const std::string& by) {
  Json list = Json::array();
  for (const labels::Question& question : questions) {
    Json one = {{"task", std::string(table.task_names[question.task])}, {"value", question.value}};
    if (question.worker) one["worker"] = std::string(table.worker_names[*question.worker]);
    list.push_back(std::move(one));
  }
  print_json({{"by", by}, {"questions", std::move(list)}});
}

void run(const AskCommand& command) {
  if (command.annotations.paths.empty() == command.state.empty()) {
    throw InputError("expected annotations, or a state (--state) that holds them, and not both");
  }
  if (command.common.json && command.out != "-") {
    throw InputError("--json prints the questions; leave --out out");
  }
  std::vector<std::string> inputs = command.annotations.paths;
  inputs.push_back(command.state);
  check_outputs(inputs, {command.out});
  const labels::LabelState::Result result = fitted(command);
  labels::AskOptions options;
  options.budget = command.budget;
  options.most_per_task = command.per_task;
  options.choose_workers = command.assign;
  options.by = command.by == "entropy"  ? labels::AskBy::entropy
               : command.by == "margin" ? labels::AskBy::margin
                                        : labels::AskBy::information;
  const auto questions =
      labels::ask_next(result.table, result.fit, options, command.common.parallel());
  if (command.common.json) {
    print_questions(result.table, questions, command.by);
  } else {
    write_questions(command, result.table, result.fit, questions);
  }
}

}  // namespace

void register_label_ask(CLI::App& label) {
  CLI::App* app = label.add_subcommand(
      "ask", "Say which tasks are worth further annotations, the most valuable first.");
  app->footer(
      example("amalgam label ask annotations.csv --budget 500 --out next.csv\n"
              "amalgam label ask annotations.csv --budget 100 --assign\n"
              "amalgam label ask --state labels.safetensors --budget 20 --per-task 3 --json"));
  auto command = std::make_shared<AskCommand>();
  add_annotation_options(*app, command->annotations);
  app->get_option("annotations")->required(false);
  app->add_option("--state", command->state, "A state of 'label aggregate --state' instead");
  app->add_option("--method", command->method, "How labels and workers are judged")
      ->capture_default_str();
  app->add_option("-p,--parameter", command->parameters, "Parameter of the method")
      ->type_name("NAME=VALUE");
  app->add_option("--budget", command->budget, "Annotations to ask for")
      ->required()
      ->check(whole_number());
  app->add_option("--per-task", command->per_task, "Most of them for one task (1 to 8)")
      ->check(whole_number())
      ->capture_default_str();
  app->add_option("--by", command->by,
                  "information: how much of the doubt an annotation is expected to remove, given "
                  "how good annotators are; entropy or margin: the doubt itself")
      ->check(CLI::IsMember({"information", "entropy", "margin"}))
      ->capture_default_str();
  app->add_flag("--assign", command->assign,
                "Name for each task the worker whose annotation would be worth most");
  app->add_option("--out", command->out,
                  "Write task,value,label,probability,annotations[,worker]; - is the standard "
                  "output")
      ->capture_default_str();
  add_common_options(*app, command->common,
                     {Common::json, Common::quiet, Common::seed, Common::threads});
  app->callback([command] { run(*command); });
}

}  // namespace amalgam::cli
