// Merges whose coefficients are learned, and regression means.
#include <fmt/format.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/decorators.hpp"
#include "amalgam/checkpoint/joined.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/weights/learned/adamerging.hpp"
#include "amalgam/weights/learned/frank_wolfe.hpp"
#include "amalgam/weights/learned/learned_soup.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"
#include "amalgam/weights/learned/regmean.hpp"
#include "amalgam/weights/learned/task_heads.hpp"
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
  const std::string& name = parameters.text("loss");
  if (name == "entropy") return learned::CoefficientLoss::entropy;
  return name == "mse" ? learned::CoefficientLoss::squared_error
                       : learned::CoefficientLoss::cross_entropy;
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

learned::StepDirection step_direction(const Parameters& parameters) {
  const std::string& name = parameters.text("direction");
  if (name == "towards") return learned::StepDirection::towards;
  return name == "away" ? learned::StepDirection::away : learned::StepDirection::pairwise;
}

// What a merge with tasks starts from, where heads are as the parameter `heads` says: the same in
// the base and all members, so that what merges the others leaves them alone.
struct TaskMerge {
  std::vector<Dataset> tasks;
  NamedTensors base;
  std::vector<NamedTensors> members;
  std::vector<learned::SourcePointer> pool;
  bool heads_are_fixed = false;
};

bool is_head(const learning::NetworkDescription& network, const TensorInfo& tensor) {
  return learned::is_of_head(network, tensor.name);
}

// The heads of the checkpoints of a pool.
std::vector<NamedTensors> heads_of(const learning::NetworkDescription& network,
                                   const std::vector<learned::SourcePointer>& pool) {
  std::vector<NamedTensors> all;
  for (const learned::SourcePointer& member : pool) {
    all.emplace_back();
    for (std::size_t i = 0; i < member->tensors().size(); ++i) {
      const TensorInfo& tensor = member->tensors()[i];
      if (!is_head(network, tensor)) continue;
      all.back().emplace_back(tensor.name, learning::read_tensor(*member, i));
    }
  }
  return all;
}

// A checkpoint with other heads, its other tensors where they are.
learned::SourcePointer with_heads(const learning::NetworkDescription& network,
                                  const learned::SourcePointer& member, const NamedTensors& heads) {
  std::vector<RenamedSource::Pick> others;
  for (const TensorInfo& tensor : member->tensors()) {
    if (!is_head(network, tensor)) others.push_back({tensor.name, tensor.name});
  }
  std::vector<RenamedSource::Pick> own;
  for (const auto& [name, tensor] : heads) own.push_back({name, name});
  std::vector<std::unique_ptr<TensorSource>> parts;
  parts.push_back(std::make_unique<RenamedSource>(member, std::move(others)));
  parts.push_back(
      std::make_unique<RenamedSource>(learned::as_source(heads, "heads"), std::move(own)));
  return std::make_shared<JoinedSource>(member->label(), std::move(parts));
}

TaskMerge with_heads(LearnedMerge& merge, const Ingredients& from) {
  const learning::NetworkDescription& network = from.network->description();
  // That the loss is of them is checked where it is known.
  merge.data.take_numbers();
  TaskMerge made{merge.data.tasks(network), from.base, from.members, from.pool};
  const std::string& source = merge.parameters.text("heads");
  if (network.heads.empty() || source == "merged") return made;
  NamedTensors heads;
  try {
    heads = source == "base"
                ? learned::only_heads(network, from.base)
                : learned::heads_of_members(
                      network, from.base,
                      from.pool.empty() ? from.members : heads_of(network, from.pool), made.tasks);
  } catch (const InputError& error) {
    throw InputError("{}: heads={}: {}", merge.recipe.label, source, error.what());
  }
  made.heads_are_fixed = true;
  made.base = learned::with_tensors(std::move(made.base), heads);
  for (NamedTensors& member : made.members) {
    member = learned::with_tensors(std::move(member), heads);
  }
  for (learned::SourcePointer& member : made.pool) member = with_heads(network, member, heads);
  return made;
}

// Without the rows of heads that are not merged.
Json table_of(const torch::Tensor& coefficients, const std::vector<std::string>& rows,
              const TaskMerge& from, const learning::NetworkDescription& network) {
  Json all = table_of(coefficients, rows);
  if (!from.heads_are_fixed) return all;
  Json table = Json::array();
  for (Json& row : all) {
    const bool of_head = row["tensor"].is_string() &&
                         learned::is_of_head(network, row["tensor"].get_ref<const std::string&>());
    if (!of_head) table.push_back(std::move(row));
  }
  return table;
}

// Task vectors, trimmed and elected for AdaMerging++ over what is merged.
std::vector<NamedTensors> task_vectors(const LearnedMerge& merge, const TaskMerge& from,
                                       const learning::NetworkDescription& network) {
  std::vector<NamedTensors> vectors;
  for (const NamedTensors& member : from.members) {
    vectors.push_back(learned::subtract(member, from.base));
  }
  if (!merge.parameters.has("density")) return vectors;
  const double density = merge.parameters.number("density");
  if (!from.heads_are_fixed) return learned::elect_task_vectors(vectors, density);
  std::vector<NamedTensors> shared;
  for (const NamedTensors& vector : vectors) {
    shared.push_back(learned::without_heads(network, vector));
  }
  shared = learned::elect_task_vectors(shared, density);
  for (std::size_t k = 0; k < vectors.size(); ++k) {
    vectors[k] = learned::with_tensors(std::move(vectors[k]), shared[k]);
  }
  return vectors;
}

learned::InnerMerge inner_merge(const Parameters& parameters) {
  const std::string& name = parameters.text("inner");
  if (name == "task_arithmetic") return learned::InnerMerge::task_arithmetic;
  return name == "ties" ? learned::InnerMerge::ties : learned::InnerMerge::dare_ties;
}

// All of the pool merged by the inner rule.
NamedTensors merged_start(const LearnedMerge& merge, const TaskMerge& from) {
  const Parameters& parameters = merge.parameters;
  learned::MemoryMerge start{
      .method = parameters.text("inner"),
      .base = learned::as_source(from.base, merge.base),
      .members = from.pool,
      .parameters = {fmt::format("weight={}", parameters.number("start_weight")),
                     "normalize=false"},
      .files = {}};
  if (start.method != "task_arithmetic") {
    start.parameters.push_back(fmt::format("density={}", parameters.number("density")));
    start.parameters.emplace_back("scope=model");
  }
  EngineOptions engine;
  engine.seed = merge.seed();
  return learned::as_tensors(*learned::merge_in_memory(start, engine));
}

learned::StepRule step_rule(const Parameters& parameters) {
  return parameters.text("step_rule") == "parabola" ? learned::StepRule::parabola
                                                    : learned::StepRule::schedule;
}

learned::FrankWolfe run_frank_wolfe(LearnedMerge& merge, const Ingredients& ingredients) {
  const TaskMerge from = with_heads(merge, ingredients);
  const Parameters& parameters = merge.parameters;
  const NamedTensors start =
      parameters.text("start") == "merge" ? merged_start(merge, from) : from.base;
  const std::uint64_t iterations = count_of(parameters, "iterations");
  Steps steps(merge, iterations);
  if (parameters.text("variant") == "soft") {
    return learned::soft_frank_wolfe(*ingredients.network, start, from.pool, from.tasks,
                                     {.granularity = granularity_of(parameters),
                                      .rule = vertex_rule(parameters),
                                      .loss = loss_of(parameters),
                                      .iterations = iterations,
                                      .most_picks = count_of(parameters, "most_picks"),
                                      .steps = count_of(parameters, "steps"),
                                      .learning_rate = parameters.number("learning_rate"),
                                      .batch = count_of(parameters, "batch"),
                                      .initial = parameters.number("initial"),
                                      .fixed_step = parameters.number("fixed_step"),
                                      .simplex = parameters.flag("simplex"),
                                      .seed = merge.seed(),
                                      .on_iteration = std::ref(steps)});
  }
  return learned::frank_wolfe(*ingredients.network, start, from.pool, from.tasks,
                              {.granularity = granularity_of(parameters),
                               .rule = vertex_rule(parameters),
                               .direction = step_direction(parameters),
                               .loss = loss_of(parameters),
                               .iterations = iterations,
                               .batch = count_of(parameters, "gradient_batch"),
                               .step_rule = step_rule(parameters),
                               .step_size = parameters.number("step_size"),
                               .scaling = parameters.number("scaling"),
                               .line_search = count_of(parameters, "line_search"),
                               .keep_best = parameters.flag("keep_best"),
                               .merge = inner_merge(parameters),
                               .density = parameters.number("density"),
                               .seed = merge.seed(),
                               .tolerance = parameters.number("tolerance"),
                               .on_iteration = std::ref(steps)});
}

}  // namespace

MergedNetwork merge_by_learned_soup(LearnedMerge& merge, const Ingredients& from) {
  if (!merge.data.has_one_head()) {
    throw InputError("{}: learned_soup learns from one head; the tasks name several",
                     merge.recipe.label);
  }
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

MergedNetwork merge_by_adamerging(LearnedMerge& merge, const Ingredients& ingredients) {
  const learning::NetworkDescription& network = ingredients.network->description();
  const TaskMerge from = with_heads(merge, ingredients);
  const Parameters& parameters = merge.parameters;
  const std::vector<NamedTensors> vectors = task_vectors(merge, from, network);
  learned::AdaMergingOptions options{.granularity = granularity_of(parameters),
                                     .loss = loss_of(parameters),
                                     .initial = parameters.number("initial"),
                                     .clamp = parameters.flag("clamp"),
                                     .project = parameters.flag("project"),
                                     .learning_rate = parameters.number("learning_rate"),
                                     .steps = count_of(parameters, "steps"),
                                     .batch = count_of(parameters, "batch"),
                                     .seed = merge.seed(),
                                     .on_step = {}};
  Steps steps(merge, options.steps);
  options.on_step = std::ref(steps);
  learned::AdaMerging learned =
      learned::adamerge(*ingredients.network, from.base, vectors, from.tasks, options);
  MergedNetwork made{std::move(learned.state), network};
  made.details["entropy_before"] = learned.entropy_before;
  made.details["entropy_after"] = learned.entropy_after;
  made.details["largest_class_before"] = learned.largest_class_before;
  made.details["largest_class_after"] = learned.largest_class_after;
  made.details["dead_coefficients"] = learned.dead;
  made.details["coefficients"] = table_of(learned.coefficients, learned.row_names, from, network);
  return made;
}

MergedNetwork merge_by_frank_wolfe(LearnedMerge& merge, const Ingredients& from) {
  learned::FrankWolfe found = run_frank_wolfe(merge, from);
  std::vector<std::string> vertices = from.names;
  vertices.emplace_back("start");
  MergedNetwork made{std::move(found.state), from.network->description()};
  made.details["left_out"] = from.left_out;
  made.details["objective"] = found.objective;
  made.details["task_objectives"] = found.task_objectives;
  made.details["trajectory"] = Json::array();
  for (const learned::FrankWolfeStep& step : found.trajectory) {
    Json picks = Json::array();
    Json away = Json::array();
    for (const std::size_t pick : step.picks) picks.push_back(vertices[pick]);
    for (const std::size_t vertex : step.away) {
      away.push_back(vertex < vertices.size() ? Json(vertices[vertex]) : Json());
    }
    made.details["trajectory"].push_back({{"objective", step.objective},
                                          {"task_objectives", step.task_objectives},
                                          {"gap", step.gap},
                                          {"step", step.step},
                                          {"picks", std::move(picks)},
                                          {"scores", step.scores},
                                          {"margins", step.margins},
                                          {"away", std::move(away)}});
  }
  if (!found.shares.defined()) return made;
  made.details["vertices"] = vertices;
  made.details["shares"] = table_of(found.shares, found.row_names);
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
