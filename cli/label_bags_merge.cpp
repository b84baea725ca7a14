// `amalgam label bags merge`: states of bags of several tables into one.
#include <fmt/format.h>

#include <memory>

#include "amalgam/core/utf8.hpp"
#include "amalgam/labels/bags/bag_state_file.hpp"
#include "amalgam/labels/column_file.hpp"
#include "cli/label_bags.hpp"
#include "cli/label_options.hpp"

namespace amalgam::cli {
namespace {

struct MergeOptions {
  std::vector<std::string> states;
  std::string out;
  CommonOptions common;
};

void run(const MergeOptions& options) {
  check_outputs(options.states, {options.out});
  labels::check_state_name(options.out);
  labels::BagStates all = labels::read_bag_states(options.states.front());
  std::string before = options.states.front();
  for (std::size_t i = 1; i < options.states.size(); ++i) {
    labels::combine_states(all, labels::read_bag_states(options.states[i]), before,
                           options.states[i]);
    before = "a state before it";
  }
  labels::write_bag_states(options.out, all);
  const labels::LinearBagState state = all.all();
  if (options.common.json) {
    print_json({{"states", options.states},
                {"rows", state.rows()},
                {"bags", state.bags()},
                {"features", all.features},
                {"folds", all.folds.size()},
                {"output", options.out}});
  } else if (!options.common.quiet) {
    print(fmt::format("{}: {} rows in {} bags, {} features\n", printable(options.out), state.rows(),
                      state.bags(), state.features()));
  }
}

}  // namespace

void register_label_bags_merge(CLI::App& bags) {
  CLI::App* command = bags.add_subcommand(
      "merge", "Join states of different bags: a model of all of them, whose rows stay apart.");
  command->footer(
      example("amalgam label bags fit north.csv --bag bag --response y --save-state "
              "north.safetensors\n"
              "amalgam label bags merge north.safetensors south.safetensors --out all.safetensors\n"
              "amalgam label bags fit all.safetensors --out model.csv"));
  auto options = std::make_shared<MergeOptions>();
  command
      ->add_option("states", options->states,
                   "What 'label bags fit --save-state' or this wrote, of bags with different names")
      ->required()
      ->type_name("STATES");
  command->add_option("-o,--out", options->out, "Where the state of all bags is written")
      ->required()
      ->type_name("STATE.safetensors");
  add_common_options(*command, options->common, {Common::json, Common::quiet});
  command->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
