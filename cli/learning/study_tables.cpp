// `amalgam study tables --encoder trained`.
#include "cli/study_tables.hpp"

#include <memory>

#include "amalgam/learning/trainer.hpp"
#include "amalgam/scores/learned/table_transformer.hpp"
#include "cli/learning/study.hpp"

namespace amalgam::cli {
namespace {

void run(const TablesCommand& command) {
  check_tables_command(command);
  learning::set_threads(command.common.threads);
  const std::vector<scores::RelationalTable> tables = read_study_tables(command);
  Progress progress("training", command.steps, Progress::Unit::items,
                    command.common.progress_mode());
  const scores::learned::TableTransformer trained(
      tables, {.steps = command.steps, .seed = command.common.seed},
      [&](std::size_t, double) { progress.advance(1); });
  progress.finish();
  TablesCommand one_at_a_time = command;
  one_at_a_time.common.threads = 1;  // the network's own operations use the threads
  study_tables(one_at_a_time, tables, &trained);
}

}  // namespace

void register_learned_study_tables(CLI::App& study) {
  CLI::App* app = study.add_subcommand("tables", "What embeddings of relational tables depend on.");
  auto command = std::make_shared<TablesCommand>();
  add_tables_options(*app, *command);
  app->callback([command] { run(*command); });
}

}  // namespace amalgam::cli
