#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "amalgam/core/log.hpp"
#include "amalgam/data/text_output.hpp"
#include "amalgam/labels/bags/bag_state_file.hpp"
#include "cli/label_bags.hpp"

namespace amalgam::cli {
namespace {

// Strengths of a ridge, as shares of the features' mean scatter between bags.
constexpr std::array kRidges{0.0, 1e-6, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0};

std::vector<labels::LinearBagOptions> candidates_of(const BagFitCommand& command,
                                                    const labels::LinearBagState& state) {
  std::vector<labels::LinearBagOptions> candidates;
  if (command.method == "ridge" && !command.has_ridge) {
    const std::vector<double> between = state.between(!command.no_intercept);
    double scatter = 0;
    for (std::size_t j = 0; j < state.features(); ++j) {
      scatter += between[j * state.features() + j] / static_cast<double>(state.features());
    }
    for (const double share : kRidges) {
      candidates.push_back(
          {.rho = 0, .ridge = share * scatter, .intercept = !command.no_intercept});
    }
    return candidates;
  }
  for (const double rho : rho_candidates(command)) {
    candidates.push_back({.rho = rho, .ridge = command.ridge, .intercept = !command.no_intercept});
  }
  return candidates;
}

// The model, and the scores of what was tried (an empty list if there was no choice).
struct LinearFit {
  labels::LinearBagModel model;
  Json tried = Json::array();
};

// What is fitted: from rows, or from a state, whose folds are there already.
struct LinearInput {
  std::vector<std::string> features;
  labels::LinearBagState state;
  std::vector<labels::LinearBagState> folds;
  labels::BagData data;  // of rows
};

LinearInput read_input(const BagFitCommand& command) {
  if (is_bag_state(command)) {
    labels::BagStates states = labels::read_bag_states(command.rows);
    labels::LinearBagState all = states.all();
    return {std::move(states.features), std::move(all), std::move(states.folds), {}};
  }
  BagFitInput input = read_bag_fit_input(command);
  if (!command.save_state.empty()) {
    labels::write_bag_states(
        command.save_state,
        labels::bag_states(input.data, input.rows.feature_names, input.rows.bag_names,
                           command.folds, command.common.parallel()));
  }
  labels::LinearBagState state = labels::state_of_bags(input.data, command.common.parallel());
  return {std::move(input.rows.feature_names), std::move(state), {}, std::move(input.data)};
}

LinearFit fit(const BagFitCommand& command, const LinearInput& input) {
  const auto candidates = candidates_of(command, input.state);
  if (candidates.size() == 1) return {labels::fit_linear(input.state, candidates.front())};
  const labels::LinearBagChoice choice = labels::choose_linear(
      is_bag_state(command) ? input.folds
                            : labels::fold_states(input.data, command.folds, command.common.seed),
      candidates);
  LinearFit result{choice.model};
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    result.tried.push_back({{"rho", candidates[i].rho},
                            {"ridge", candidates[i].ridge},
                            {"held_out_bag_loss", choice.scores[i]}});
  }
  return result;
}

Json model_json(const BagFitCommand& command, const LinearInput& input, const LinearFit& fit) {
  const labels::LinearBagState& state = input.state;
  const labels::LinearBagModel& model = fit.model;
  Json coefficients = Json::object();
  for (std::size_t j = 0; j < model.coefficients.size(); ++j) {
    coefficients[input.features[j]] = model.coefficients[j];
  }
  return {{"method", command.method},
          {"rows", state.rows()},
          {"bags", state.bags()},
          {"rho", model.options.rho},
          {"ridge", model.options.ridge},
          {"rank", model.rank},
          {"minimum_norm", model.minimum_norm()},
          {"intercept", model.intercept},
          {"coefficients", std::move(coefficients)},
          {"losses", losses_json(labels::linear_losses(state, model))},
          {"tried", fit.tried}};
}

void write_model(const BagFitCommand& command, const LinearInput& input,
                 const labels::LinearBagModel& model, const Json& json) {
  if (command.out.empty()) return;
  if (std::filesystem::path(command.out).extension() != ".json") {
    labels::write_coefficients(command.out, input.features, model);
    return;
  }
  TextOutput output(command.out);
  output.write(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  output.commit();
}

void write_predictions(const BagFitCommand& command, const LinearInput& input,
                       const labels::LinearBagModel& model) {
  if (command.predictions.empty()) return;
  const labels::BagRows rows = read_rows_to_predict(command, input.features);
  const std::size_t width = rows.feature_names.size();
  std::vector<double> predictions;
  for (std::size_t row = 0; row < rows.rows; ++row) {
    predictions.push_back(model.predict({rows.x.data() + row * width, width}));
  }
  labels::write_columns(command.predictions, std::vector<std::string>{"prediction"}, predictions);
}

void show(const LinearInput& input, const labels::LinearBagModel& model) {
  const labels::LinearBagState& state = input.state;
  Table table({{"term"}, {"coefficient", Table::Align::right}});
  if (model.options.intercept) table.add_row({"(intercept)", format_number(model.intercept)});
  for (std::size_t j = 0; j < model.coefficients.size(); ++j) {
    table.add_row({input.features[j], format_number(model.coefficients[j])});
  }
  print(table.text());
  print(fmt::format("{} rows in {} bags; rho {}, ridge {}; bag-level loss {}\n", state.rows(),
                    state.bags(), format_number(model.options.rho),
                    format_number(model.options.ridge),
                    format_number(labels::linear_losses(state, model).bag)));
}

}  // namespace

void fit_linear_bags(const BagFitCommand& command) {
  const LinearInput input = read_input(command);
  const LinearFit result = fit(command, input);
  const std::string warning = labels::identification_warning(input.state, result.model);
  if (!warning.empty()) log::warn("{}", warning);
  const Json json = model_json(command, input, result);
  write_model(command, input, result.model, json);
  write_predictions(command, input, result.model);
  if (command.common.json) {
    print_json(json);
  } else if (!command.common.quiet) {
    show(input, result.model);
  }
}

}  // namespace amalgam::cli
