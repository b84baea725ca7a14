#include "amalgam/weights/learned/twin_merging.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "amalgam/experiments/catalogue.hpp"
#include "amalgam/experiments/task_families.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/weights/learned/adamerging.hpp"

namespace amalgam::experiments {
namespace {

using learned::TwinModel;
using learned::TwinNetwork;
using learning::Dataset;

constexpr std::array kDensities{.05, .1, .2, .5, 1.0};

std::string at(const char* what, double density) {
  return fmt::format("{}, density {}", what, density);
}

// The mean accuracy over the tasks; `shares` says how much of every module inputs of task t get.
double score(TwinNetwork& twin, const std::vector<Dataset>& tasks,
             const std::function<torch::Tensor(std::size_t task)>& shares) {
  double sum = 0;
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    twin.fix_shares(shares ? std::optional(shares(t)) : std::nullopt);
    sum += accuracy(twin, tasks[t]);
  }
  twin.fix_shares({});
  return sum / static_cast<double>(tasks.size());
}

torch::Tensor only(std::size_t task, std::size_t count) {
  torch::Tensor shares = torch::zeros({static_cast<std::int64_t>(count)}, torch::kDouble);
  shares[static_cast<std::int64_t>(task)] = 1;
  return shares;
}

// Shares of every input by the nearest centre of the tasks' features.
double centroid_score(TwinNetwork& twin, const TaskFamily& family,
                      const std::vector<Dataset>& seen) {
  std::vector<torch::Tensor> features;
  for (const Dataset& task : seen) {
    features.push_back(learned::router_features(*twin.model().shared, task));
  }
  double sum = 0;
  for (const Dataset& task : family.test) {
    const torch::Tensor shares =
        learned::nearest_centroid(features, learned::router_features(*twin.model().shared, task));
    sum += accuracy(twin.forward_with(task.inputs, shares), task);
  }
  return sum / static_cast<double>(family.test.size());
}

// By an oracle, by equal shares, and by the wrong module.
void add_given_shares(Figures& figures, TwinNetwork& twin, const TaskFamily& family,
                      double density) {
  const std::size_t count = family.experts.size();
  const torch::Tensor equal = torch::full({static_cast<std::int64_t>(count)},
                                          1.0 / static_cast<double>(count), torch::kDouble);
  figures[at("oracle", density)] =
      score(twin, family.test, [&](std::size_t task) { return only(task, count); });
  figures[at("equal shares", density)] =
      score(twin, family.test, [&](std::size_t) { return equal; });
  if (density != .1) return;
  figures[at("all modules in full", density)] =
      score(twin, family.test, [&](std::size_t) { return equal * static_cast<double>(count); });
  figures[at("wrong module", density)] =
      score(twin, family.test, [&](std::size_t task) { return only((task + 1) % count, count); });
}

double adamerging_score(const TaskFamily& family, std::uint64_t seed, std::uint64_t steps) {
  std::vector<Dataset> unlabelled;
  for (const Dataset& task : family.train) unlabelled.push_back(task.range(0, 1000));
  return family.score_of(learned::adamerge(*family.base, family.base_state(), family.task_vectors(),
                                           unlabelled,
                                           {.granularity = learned::Granularity::tensor,
                                            .learning_rate = 1e-2,
                                            .steps = steps,
                                            .batch = 64,
                                            .seed = seed})
                             .state);
}

Figures run(Workshop& workshop, std::uint64_t seed) {
  const TaskFamily family = eight_transforms(workshop, seed, {.pooled = true});
  const auto by_rule = [&](const char* method, const std::vector<std::string>& parameters,
                           bool with_base) {
    return TaskFamily::score(*family.merged(method, parameters, with_base), family.test);
  };
  Figures figures{
      {"experts on their own", family.own_score()},
      {"base", TaskFamily::score(*family.base, family.test)},
      {"average", by_rule("linear", {"weight=1"}, false)},
      {"task arithmetic 0.2", by_rule("task_arithmetic", {"weight=0.2"}, true)},
      {"shared model (task arithmetic 0.3)", by_rule("task_arithmetic", {"weight=0.3"}, true)},
      {"TIES mean 1.0", by_rule("ties", {"weight=1", "density=0.2", "dialect=paper"}, true)},
      {"DARE task arithmetic 0.3",
       by_rule("dare_linear", {"weight=0.3", "density=0.1", "dialect=paper"}, true)},
      {"AdaMerging, layer-wise", adamerging_score(family, seed, workshop.size(200, 100))},
  };
  std::vector<Dataset> seen;
  for (const Dataset& task : family.train) seen.push_back(task.range(0, 1000));
  const learning::NamedTensors base = family.base_state();
  const std::vector<std::string> tasks{"inverted", "rotated 90", "rotated 180", "swapped"};
  std::shared_ptr<learned::Router> router;
  for (const double density : kDensities) {
    TwinModel model = learned::twin_merge(*family.base, base, family.states(), tasks,
                                          {.compression = {.density = density}});
    if (router == nullptr) {
      learned::fit_router(model, seen,
                          {.hidden = 64,
                           .epochs = workshop.size(50, 20),
                           .batch = 256,
                           .learning_rate = 5e-3,
                           .seed = seed});
      router = model.router;
      figures["router's accuracy"] = model.router_accuracy;
    }
    model.router = router;
    TwinNetwork twin(model);
    add_given_shares(figures, twin, family, density);
    if (density != .1 && density != .2) continue;
    figures[at("Twin, soft", density)] = score(twin, family.test, {});
    if (density == .1) {
      figures["nearest centroid, density 0.1"] = centroid_score(twin, family, seen);
      std::int64_t stored = 0;
      for (const auto& module : model.modules) stored += learned::numbers_of(module);
      std::int64_t whole = 0;
      for (const auto& one : base) whole += one.second.numel();
      figures["size of a module, density 0.1, of a model"] =
          static_cast<double>(stored) / static_cast<double>(whole * std::int64_t{4});
    }
    model.routing.top = 1;
    TwinNetwork top_one(model);
    figures[at("Twin, top 1", density)] = score(top_one, family.test, {});
  }
  return figures;
}

double best_static(const Figures& figures) {
  return std::max({figures.at("average"), figures.at("task arithmetic 0.2"),
                   figures.at("shared model (task arithmetic 0.3)"), figures.at("TIES mean 1.0")});
}

double least_step(const Figures& figures) {
  double least = 1;
  for (std::size_t i = 1; i < kDensities.size(); ++i) {
    least = std::min(least, figures.at(at("oracle", kDensities[i])) -
                                figures.at(at("oracle", kDensities[i - 1])));
  }
  return least;
}

std::vector<Claim> claims() {
  using Kind = Claim::Kind;
  const char* shared = "shared model (task arithmetic 0.3)";
  return {
      {.text = "Twin (soft, density .1) above the shared model by .05 or more",
       .difference = difference("Twin, soft, density 0.1", shared),
       .margin = .05},
      {.text = "Twin (soft, density .1) above the best of average, task arithmetic and TIES by"
               " .03 or more",
       .difference =
           [](const Figures& figures) {
             return figures.at("Twin, soft, density 0.1") - best_static(figures);
           },
       .margin = .03},
      {.text = "with the right module, more density never costs more than .003",
       .kind = Kind::always,
       .difference = least_step,
       .margin = -.003},
      {.text = "the right module at density 1 is the expert, to .001",
       .kind = Kind::always,
       .difference =
           [](const Figures& figures) {
             return -std::abs(figures.at("oracle, density 1") - figures.at("experts on their own"));
           },
       .margin = -.001},
      {.text = "the wrong module below the shared model by .1 or more",
       .difference = difference(shared, "wrong module, density 0.1"),
       .margin = .1},
      {.text = "equal shares at density 1 are the plain average, to .0005",
       .kind = Kind::always,
       .difference =
           [](const Figures& figures) {
             return -std::abs(figures.at("equal shares, density 1") - figures.at("average"));
           },
       .margin = -.0005}};
}

std::vector<std::string> rows() {
  std::vector<std::string> names{"experts on their own",
                                 "base",
                                 "average",
                                 "task arithmetic 0.2",
                                 "shared model (task arithmetic 0.3)",
                                 "TIES mean 1.0",
                                 "DARE task arithmetic 0.3",
                                 "AdaMerging, layer-wise"};
  for (const double density : kDensities) names.push_back(at("oracle", density));
  for (const double density : {.1, .2}) {
    names.push_back(at("Twin, soft", density));
    names.push_back(at("Twin, top 1", density));
  }
  for (const char* more :
       {"nearest centroid, density 0.1", "equal shares, density 0.1", "equal shares, density 1",
        "all modules in full, density 0.1", "wrong module, density 0.1", "router's accuracy",
        "size of a module, density 0.1, of a model"}) {
    names.emplace_back(more);
  }
  return names;
}

}  // namespace

const Experiment& twin_merging() {
  static const Experiment kExperiment{
      .slug = "twin-merging",
      .title = "Twin-Merging",
      .paper = "Lu et al. 2024, arXiv 2406.15479",
      .question =
          "One shared model and small modules of what each expert knows beyond it, added input by"
          " input as a router says, come close to the experts and beat every fixed merge.",
      .setting =
          "Fashion-MNIST at 14x14 under four transforms, MLP 196-64-64-10, four experts; shared"
          " model by task arithmetic 0.3; modules by truncated SVD; router (64 hidden units) on the"
          " shared model's penultimate features of 1,000 unlabelled images per task; 4,000 test"
          " images under each transform.",
      .rows = rows(),
      .unit = "accuracy",
      .claims = claims(),
      .not_reproduced =
          "Merged models above their experts, which the paper has for generation: here they stay"
          " below.",
      .sabotage =
          "Modules as differences to the base instead of the shared model (quick): five of six"
          " claims fail. A router that gives every input equal shares: the first two claims fail"
          " with every seed. Both not shown.",
      .run = run};
  return kExperiment;
}

}  // namespace amalgam::experiments
