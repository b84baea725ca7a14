// Merges whose coefficients are learned, and regression means.
#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/progress.hpp"
#include "amalgam/weights/learned/adamerging.hpp"
#include "amalgam/weights/learned/frank_wolfe.hpp"
#include "amalgam/weights/learned/learned_soup.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"
#include "amalgam/weights/learned/regmean.hpp"
#include "cli/learning/learned_merge.hpp"

namespace amalgam::cli {
namespace {

using learned::NamedTensors;
using learning::Dataset;

// What all of these methods start from.
struct Ingredients {
  std::shared_ptr<learning::Network> network;
  std::vector<NamedTensors> members;
  NamedTensors base;  // empty without one
};

Ingredients load(const LearnedMerge& command) {
  const OpenedMembers opened = open_members(command);
  Ingredients ingredients;
  ingredients.network = learning::load_network(*opened.sources.front(), opened.network);
  for (const auto& source : opened.sources) {
    ingredients.members.push_back(
        learning::state_of(*learning::load_network(*source, opened.network)));
  }
  if (!command.base.empty()) {
    ingredients.base =
        learning::state_of(*learning::load_network(*open_checkpoint(command.base), opened.network));
  }
  return ingredients;
}

std::vector<Dataset> load_tasks(const LearnedMerge& command) {
  const Dataset data = command.data.load(command.common.seed);
  if (command.tasks.empty()) return {data};
  std::vector<Dataset> tasks;
  tasks.reserve(command.tasks.size());
  for (const std::string& task : command.tasks) {
    tasks.push_back(learning::corrupted(data, parse_corruption(task), command.common.seed));
  }
  return tasks;
}

learned::Granularity granularity_of(const Parameters& parameters) {
  return parameters.text("granularity") == "tensor" ? learned::Granularity::tensor
                                                    : learned::Granularity::whole;
}

learned::CoefficientLoss loss_of(const Parameters& parameters) {
  return parameters.text("loss") == "entropy" ? learned::CoefficientLoss::entropy
                                              : learned::CoefficientLoss::cross_entropy;
}

std::uint64_t count_of(const Parameters& parameters, const char* name) {
  return static_cast<std::uint64_t>(parameters.number(name));
}

// [{"tensor", "values": [one per member]}]
Json table_of(const torch::Tensor& coefficients, const std::vector<std::string>& rows) {
  Json table = Json::array();
  const auto values = coefficients.accessor<double, 2>();
  for (std::int64_t row = 0; row < coefficients.size(0); ++row) {
    const std::string& name = rows[static_cast<std::size_t>(row)];
    Json entry{{"tensor", name.empty() ? Json() : Json(name)}, {"values", Json::array()}};
    for (std::int64_t k = 0; k < coefficients.size(1); ++k)
      entry["values"].push_back(values[row][k]);
    table.push_back(std::move(entry));
  }
  return table;
}

// Advances by the steps that are announced, and stops on a signal.
class Steps {
 public:
  Steps(const LearnedMerge& command, std::uint64_t total)
      : progress_(command.method, total, Progress::Unit::items, command.common.progress_mode()) {}
  void operator()(std::uint64_t) {
    progress_.advance(1);
    check_interrupt();
  }

 private:
  Progress progress_;
};

NamedTensors learned_soup(const LearnedMerge& command, const Parameters& parameters,
                          const Ingredients& ingredients, Json& json) {
  const Dataset data = command.data.load(command.common.seed);
  learned::LearnedSoupOptions options{.granularity = granularity_of(parameters),
                                      .learning_rate = parameters.number("learning_rate"),
                                      .epochs = count_of(parameters, "epochs"),
                                      .batch = count_of(parameters, "batch"),
                                      .seed = command.common.seed,
                                      .on_step = {}};
  const auto count = static_cast<std::uint64_t>(data.count());
  Steps steps(command, options.epochs * ((count + options.batch - 1) / options.batch));
  options.on_step = std::ref(steps);
  learned::LearnedSoup soup =
      learned::learn_soup(*ingredients.network, ingredients.members, data, options);
  json["inverse_temperature"] = soup.inverse_temperature;
  json["first_loss"] = soup.losses.front();
  json["last_loss"] = soup.losses.back();
  json["coefficients"] = table_of(soup.shares, soup.row_names);
  return std::move(soup.state);
}

NamedTensors adamerging(const LearnedMerge& command, const Parameters& parameters,
                        const Ingredients& ingredients, Json& json) {
  const std::vector<Dataset> tasks = load_tasks(command);
  std::vector<NamedTensors> vectors;
  for (const NamedTensors& member : ingredients.members) {
    vectors.push_back(learned::subtract(member, ingredients.base));
  }
  if (parameters.has("density")) {
    vectors = learned::elect_task_vectors(vectors, parameters.number("density"));
  }
  learned::AdaMergingOptions options{.granularity = granularity_of(parameters),
                                     .loss = loss_of(parameters),
                                     .initial = parameters.number("initial"),
                                     .clamp = parameters.flag("clamp"),
                                     .learning_rate = parameters.number("learning_rate"),
                                     .steps = count_of(parameters, "steps"),
                                     .batch = count_of(parameters, "batch"),
                                     .seed = command.common.seed,
                                     .on_step = {}};
  Steps steps(command, options.steps);
  options.on_step = std::ref(steps);
  learned::AdaMerging merge =
      learned::adamerge(*ingredients.network, ingredients.base, vectors, tasks, options);
  json["entropy_before"] = merge.entropy_before;
  json["entropy_after"] = merge.entropy_after;
  json["largest_class_before"] = merge.largest_class_before;
  json["largest_class_after"] = merge.largest_class_after;
  json["dead_coefficients"] = merge.dead;
  json["coefficients"] = table_of(merge.coefficients, merge.row_names);
  return std::move(merge.state);
}

learned::VertexRule vertex_rule(const Parameters& parameters) {
  const std::string& name = parameters.text("rule");
  if (name == "inner") return learned::VertexRule::inner;
  return name == "cosine" ? learned::VertexRule::cosine : learned::VertexRule::cosine_delta;
}

learned::FrankWolfe run_frank_wolfe(const LearnedMerge& command, const Parameters& parameters,
                                    const Ingredients& ingredients) {
  const std::vector<Dataset> tasks = load_tasks(command);
  const std::uint64_t iterations = count_of(parameters, "iterations");
  Steps steps(command, iterations);
  if (parameters.text("variant") == "soft") {
    return learned::soft_frank_wolfe(*ingredients.network, ingredients.base, ingredients.members,
                                     tasks,
                                     {.granularity = granularity_of(parameters),
                                      .rule = vertex_rule(parameters),
                                      .loss = loss_of(parameters),
                                      .iterations = iterations,
                                      .steps = count_of(parameters, "steps"),
                                      .learning_rate = parameters.number("learning_rate"),
                                      .batch = count_of(parameters, "batch"),
                                      .simplex = parameters.flag("simplex"),
                                      .seed = command.common.seed,
                                      .on_iteration = std::ref(steps)});
  }
  return learned::frank_wolfe(*ingredients.network, ingredients.base, ingredients.members, tasks,
                              {.granularity = granularity_of(parameters),
                               .rule = vertex_rule(parameters),
                               .loss = loss_of(parameters),
                               .iterations = iterations,
                               .step_size = parameters.number("step_size"),
                               .scaling = parameters.number("scaling"),
                               .line_search = count_of(parameters, "line_search"),
                               .on_iteration = std::ref(steps)});
}

NamedTensors frank_wolfe(const LearnedMerge& command, const Parameters& parameters,
                         const Ingredients& ingredients, Json& json) {
  learned::FrankWolfe merge = run_frank_wolfe(command, parameters, ingredients);
  json["objective"] = merge.objective;
  json["trajectory"] = Json::array();
  for (const learned::FrankWolfeStep& step : merge.trajectory) {
    Json picks = Json::array();
    for (const std::size_t pick : step.picks) {
      picks.push_back(pick < command.members.size() ? command.members[pick] : command.base);
    }
    json["trajectory"].push_back({{"objective", step.objective},
                                  {"gap", step.gap},
                                  {"step", step.step},
                                  {"picks", std::move(picks)}});
  }
  return std::move(merge.state);
}

NamedTensors regmean(const Recipe& recipe, const Parameters& parameters,
                     const Ingredients& ingredients, Json& json) {
  std::vector<learning::GramSums> grams;
  learned::RegMeanOptions options{.off_diagonal = parameters.number("off_diagonal"), .shares = {}};
  json["rows"] = Json::array();
  for (std::size_t i = 0; i < ingredients.members.size(); ++i) {
    const Parameters mine = data_method_member_parameters(*find_data_method("regmean"), recipe, i);
    const std::string& file = mine.text("gram");
    grams.push_back(learning::gram_sums_from(learned::as_tensors(*open_checkpoint(file)), file));
    options.shares.push_back(mine.number("weight"));
    json["rows"].push_back(grams.back().begin()->second.rows);
  }
  std::vector<const NamedTensors*> members;
  std::vector<const learning::GramSums*> sums;
  for (std::size_t i = 0; i < grams.size(); ++i) {
    members.push_back(&ingredients.members[i]);
    sums.push_back(&grams[i]);
  }
  return learned::regmean(members, sums, options);
}

}  // namespace

Json merge_by_coefficients(const LearnedMerge& command, const Recipe& recipe,
                           const Parameters& parameters) {
  const Ingredients ingredients = load(command);
  Json json{{"output", command.output},
            {"method", command.method},
            {"data", command.data.describe()},
            {"tasks", command.tasks}};
  NamedTensors state;
  if (command.method == "learned_soup") {
    state = learned_soup(command, parameters, ingredients, json);
  } else if (command.method == "adamerging") {
    state = adamerging(command, parameters, ingredients, json);
  } else if (command.method == "frank_wolfe") {
    state = frank_wolfe(command, parameters, ingredients, json);
  } else {
    state = regmean(recipe, parameters, ingredients, json);
  }
  const auto merged = learning::load_network(*learned::as_source(state, "merged network"),
                                             ingredients.network->description());
  learning::save_network(command.output, *merged, command.overwrite);
  return json;
}

}  // namespace amalgam::cli
