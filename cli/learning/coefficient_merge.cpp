// Merges whose coefficients are learned, and regression means.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
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

learned::VertexRule vertex_rule(const Parameters& parameters) {
  const std::string& name = parameters.text("rule");
  if (name == "inner") return learned::VertexRule::inner;
  return name == "cosine" ? learned::VertexRule::cosine : learned::VertexRule::cosine_delta;
}

learned::FrankWolfe run_frank_wolfe(LearnedMerge& merge, const Ingredients& from) {
  const std::vector<Dataset> tasks = merge.data.tasks(from.network->description());
  const Parameters& parameters = merge.parameters;
  const std::uint64_t iterations = count_of(parameters, "iterations");
  Steps steps(merge, iterations);
  if (parameters.text("variant") == "soft") {
    return learned::soft_frank_wolfe(*from.network, from.base, from.members, tasks,
                                     {.granularity = granularity_of(parameters),
                                      .rule = vertex_rule(parameters),
                                      .loss = loss_of(parameters),
                                      .iterations = iterations,
                                      .steps = count_of(parameters, "steps"),
                                      .learning_rate = parameters.number("learning_rate"),
                                      .batch = count_of(parameters, "batch"),
                                      .simplex = parameters.flag("simplex"),
                                      .seed = merge.seed(),
                                      .on_iteration = std::ref(steps)});
  }
  return learned::frank_wolfe(*from.network, from.base, from.members, tasks,
                              {.granularity = granularity_of(parameters),
                               .rule = vertex_rule(parameters),
                               .loss = loss_of(parameters),
                               .iterations = iterations,
                               .step_size = parameters.number("step_size"),
                               .scaling = parameters.number("scaling"),
                               .line_search = count_of(parameters, "line_search"),
                               .on_iteration = std::ref(steps)});
}

}  // namespace

MergedNetwork merge_by_learned_soup(LearnedMerge& merge, const Ingredients& from) {
  const Dataset data = merge.data.together(from.network->description());
  const Parameters& parameters = merge.parameters;
  learned::LearnedSoupOptions options{.granularity = granularity_of(parameters),
                                      .learning_rate = parameters.number("learning_rate"),
                                      .epochs = count_of(parameters, "epochs"),
                                      .batch = count_of(parameters, "batch"),
                                      .seed = merge.seed(),
                                      .on_step = {}};
  const auto count = static_cast<std::uint64_t>(data.count());
  Steps steps(merge, options.epochs * ((count + options.batch - 1) / options.batch));
  options.on_step = std::ref(steps);
  learned::LearnedSoup soup = learned::learn_soup(*from.network, from.members, data, options);
  MergedNetwork made{std::move(soup.state), from.network->description()};
  made.details["inverse_temperature"] = soup.inverse_temperature;
  made.details["first_loss"] = soup.losses.front();
  made.details["last_loss"] = soup.losses.back();
  made.details["coefficients"] = table_of(soup.shares, soup.row_names);
  return made;
}

MergedNetwork merge_by_adamerging(LearnedMerge& merge, const Ingredients& from) {
  const std::vector<Dataset> tasks = merge.data.tasks(from.network->description());
  const Parameters& parameters = merge.parameters;
  std::vector<NamedTensors> vectors;
  for (const NamedTensors& member : from.members) {
    vectors.push_back(learned::subtract(member, from.base));
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
                                     .seed = merge.seed(),
                                     .on_step = {}};
  Steps steps(merge, options.steps);
  options.on_step = std::ref(steps);
  learned::AdaMerging learned =
      learned::adamerge(*from.network, from.base, vectors, tasks, options);
  MergedNetwork made{std::move(learned.state), from.network->description()};
  made.details["entropy_before"] = learned.entropy_before;
  made.details["entropy_after"] = learned.entropy_after;
  made.details["largest_class_before"] = learned.largest_class_before;
  made.details["largest_class_after"] = learned.largest_class_after;
  made.details["dead_coefficients"] = learned.dead;
  made.details["coefficients"] = table_of(learned.coefficients, learned.row_names);
  return made;
}

MergedNetwork merge_by_frank_wolfe(LearnedMerge& merge, const Ingredients& from) {
  learned::FrankWolfe found = run_frank_wolfe(merge, from);
  MergedNetwork made{std::move(found.state), from.network->description()};
  made.details["objective"] = found.objective;
  made.details["trajectory"] = Json::array();
  for (const learned::FrankWolfeStep& step : found.trajectory) {
    Json picks = Json::array();
    for (const std::size_t pick : step.picks) {
      picks.push_back(pick < merge.members.size() ? merge.members[pick] : merge.base);
    }
    made.details["trajectory"].push_back({{"objective", step.objective},
                                          {"gap", step.gap},
                                          {"step", step.step},
                                          {"picks", std::move(picks)}});
  }
  return made;
}

MergedNetwork merge_by_regmean(LearnedMerge& merge, const Ingredients& from) {
  std::vector<learning::GramSums> grams;
  learned::RegMeanOptions options{.off_diagonal = merge.parameters.number("off_diagonal"),
                                  .shares = {}};
  MergedNetwork made{{}, from.network->description()};
  made.details["rows"] = Json::array();
  for (const std::size_t model : merge.models) {
    const Parameters mine = data_method_member_parameters(merge.method, merge.recipe, model);
    const std::string& file = mine.text("gram");
    grams.push_back(learning::gram_sums_from(learned::as_tensors(*open_checkpoint(file)), file));
    options.shares.push_back(mine.number("weight"));
    made.details["rows"].push_back(grams.back().begin()->second.rows);
  }
  std::vector<const NamedTensors*> members;
  std::vector<const learning::GramSums*> sums;
  for (std::size_t i = 0; i < grams.size(); ++i) {
    members.push_back(&from.members[i]);
    sums.push_back(&grams[i]);
  }
  made.state = learned::regmean(members, sums, options);
  return made;
}

}  // namespace amalgam::cli
