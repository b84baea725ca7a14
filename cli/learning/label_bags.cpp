// `amalgam label bags fit` with networks.
#include "cli/label_bags.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/learned/bag_network.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/trainer.hpp"
#include "cli/learning/data_options.hpp"
#include "cli/learning/label.hpp"

namespace amalgam::cli {
namespace {

using labels::learned::BagTraining;
using labels::learned::ClassShares;

struct NetworkFit {
  std::shared_ptr<learning::Network> network;
  BagTraining training;
  labels::BagLosses losses;
  Json tried = Json::array();
};

NetworkFit fit(const BagFitCommand& command, const labels::BagData& data,
               const ClassShares* shares) {
  NetworkFit result{.network = {},
                    .training = {.hidden = command.hidden,
                                 .rho = 0,
                                 .epochs = command.epochs,
                                 .batch = command.batch,
                                 .learning_rate = command.learning_rate,
                                 .seed = command.common.seed},
                    .losses = {}};
  const std::vector<double> rhos = rho_candidates(command);
  std::size_t best = 0;
  if (rhos.size() > 1) {
    const std::vector<double> scores =
        labels::learned::cross_validate_rho(data, shares, result.training, rhos, command.folds);
    best = static_cast<std::size_t>(std::ranges::min_element(scores) - scores.begin());
    for (std::size_t i = 0; i < rhos.size(); ++i) {
      result.tried.push_back({{"rho", rhos[i]}, {"held_out_bag_loss", scores[i]}});
    }
  }
  result.training.rho = rhos[best];
  if (shares == nullptr) {
    result.network = labels::learned::train_bag_network(data, result.training);
    result.losses = labels::bag_losses(data.bags, data.responses,
                                       labels::learned::predict_responses(*result.network, data.x));
  } else {
    result.network = labels::learned::train_share_network(data, *shares, result.training);
    result.losses = labels::learned::share_losses(
        data.bags, *shares, labels::learned::predict_probabilities(*result.network, data.x));
  }
  return result;
}

void write_predictions(const BagFitCommand& command, const labels::BagRows& fitted,
                       learning::Network& network, const ClassShares* shares) {
  if (command.predictions.empty()) return;
  const labels::BagRows rows = read_rows_to_predict(command, fitted.feature_names);
  if (shares == nullptr) {
    labels::write_columns(command.predictions, std::vector<std::string>{"prediction"},
                          labels::learned::predict_responses(network, rows.x));
  } else {
    labels::write_columns(command.predictions, shares->class_names,
                          labels::learned::predict_probabilities(network, rows.x));
  }
}

void run(const BagFitCommand& command) {
  check_bag_fit(command);
  if (!command.out.empty()) {
    check_safetensors_output(command.out, {command.rows, command.responses});
  }
  learning::set_threads(command.common.threads);
  const BagFitInput input = read_bag_fit_input(command);
  const ClassShares shares{.class_names = input.classes, .values = input.shares};
  const ClassShares* used = input.classes.empty() ? nullptr : &shares;
  const NetworkFit result = fit(command, input.data, used);
  // The network last: where it is already, no further run begins.
  write_predictions(command, input.rows, *result.network, used);
  if (!command.out.empty()) {
    learning::save_network(command.out, *result.network, command.overwrite);
  }
  if (command.common.json) {
    print_json({{"method", command.method},
                {"rows", input.data.rows()},
                {"bags", input.data.bags.count()},
                {"rho", result.training.rho},
                {"hidden", command.hidden},
                {"classes", input.classes},
                {"losses", losses_json(result.losses)},
                {"tried", result.tried},
                {"output", command.out}});
  } else if (!command.common.quiet) {
    print(fmt::format("{} rows in {} bags; rho {}; bag-level loss {}\n", input.data.rows(),
                      input.data.bags.count(), format_number(result.training.rho),
                      format_number(result.losses.bag)));
  }
}

}  // namespace

void register_learned_label_bags(CLI::App& label) {
  CLI::App* bags = label.add_subcommand(
      "bags", "Learn from bags of rows of which only the mean response is known.");
  bags->require_subcommand(1);
  CLI::App* command = bags->add_subcommand(
      "fit", "Learn a model of rows from one response per bag: linear, or a network.");
  auto options = std::make_shared<BagFitCommand>();
  add_bag_fit_options(*command, *options);
  command->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
