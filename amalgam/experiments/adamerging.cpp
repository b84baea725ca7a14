#include "amalgam/weights/learned/adamerging.hpp"

#include <vector>

#include "amalgam/core/averages.hpp"
#include "amalgam/experiments/catalogue.hpp"
#include "amalgam/experiments/task_families.hpp"

namespace amalgam::experiments {
namespace {

using learned::AdaMerging;
using learned::AdaMergingOptions;
using learned::Granularity;
using learning::Dataset;

std::vector<Dataset> part(const std::vector<Dataset>& tasks, std::uint64_t first,
                          std::uint64_t count) {
  std::vector<Dataset> parts;
  parts.reserve(tasks.size());
  for (const Dataset& task : tasks) parts.push_back(task.range(first, count));
  return parts;
}

Figures run(Workshop& workshop, std::uint64_t seed) {
  const TaskFamily family = half_images(workshop, seed);
  const std::vector<Dataset> seen = part(family.test, 0, 5000);
  const std::vector<Dataset> unseen = part(family.test, 5000, 5000);
  const auto vectors = family.task_vectors();
  const auto base = family.base_state();
  const auto adapt = [&](AdaMergingOptions options) {
    options.batch = 64;
    options.seed = seed;
    return learned::adamerge(*family.base, base, vectors, seen, options);
  };
  const auto score = [&](const AdaMerging& merge, const std::vector<Dataset>& tasks) {
    return TaskFamily::score(*learning::network_with(*family.base, merge.state), tasks);
  };
  const auto by_rule = [&](const char* method, const std::vector<std::string>& parameters) {
    return TaskFamily::score(*family.merged(method, parameters, method != std::string("linear")),
                             seen);
  };
  const std::uint64_t steps = workshop.size(200, 100);
  const AdaMerging whole = adapt({.learning_rate = 1e-2, .steps = steps});
  const AdaMerging layers =
      adapt({.granularity = Granularity::tensor, .learning_rate = 1e-2, .steps = steps});
  const AdaMerging authors =
      adapt({.granularity = Granularity::tensor, .steps = workshop.size(500, 250)});
  const auto elected = learned::elect_task_vectors(vectors, .2);
  const AdaMerging plus =
      learned::adamerge(*family.base, base, elected, seen,
                        {.learning_rate = 1e-2, .steps = steps, .batch = 64, .seed = seed});
  const AdaMerging supervised =
      learned::adamerge(*family.base, base, vectors, part(family.validation, 0, 100),
                        {.granularity = Granularity::tensor,
                         .loss = learned::CoefficientLoss::cross_entropy,
                         .learning_rate = 1e-2,
                         .steps = steps,
                         .batch = 64,
                         .seed = seed});
  return {{"base", TaskFamily::score(*family.base, seen)},
          {"experts on their own", family.own_score()},
          {"average", by_rule("linear", {"weight=1"})},
          {"task arithmetic 0.3", by_rule("task_arithmetic", {"weight=0.3"})},
          {"task arithmetic 0.5", by_rule("task_arithmetic", {"weight=0.5"})},
          {"task arithmetic 1.0", by_rule("task_arithmetic", {"weight=1"})},
          {"TIES mean 1.0", by_rule("ties", {"weight=1", "density=0.2", "dialect=paper"})},
          {"AdaMerging, task-wise", score(whole, seen)},
          {"AdaMerging, layer-wise", score(layers, seen)},
          {"AdaMerging++, task-wise", score(plus, seen)},
          {"AdaMerging, authors' schedule", score(authors, seen)},
          {"supervised, 100 labels a task", score(supervised, seen)},
          {"AdaMerging, task-wise, unseen images", score(whole, unseen)},
          {"entropy at the start", mean_of(whole.entropy_before)},
          {"entropy at the end", mean_of(whole.entropy_after)}};
}

}  // namespace

const Experiment& adamerging() {
  using Kind = Claim::Kind;
  static const Experiment kExperiment{
      .slug = "adamerging",
      .title = "AdaMerging",
      .paper = "Yang et al. 2024, arXiv 2310.02575",
      .question =
          "How much of each expert to add can be learned without labels, by making the merged"
          " model's predictions on the tasks' inputs confident.",
      .setting =
          "Fashion-MNIST at 14x14 with the left or right half kept, MLP 196-64-10, two experts;"
          " adapted on 5,000 unlabelled test images per task, batch 64 (the paper's protocol:"
          " judged on the same images; the other 5,000 beside them).",
      .rows = {"base", "experts on their own", "average", "task arithmetic 0.3",
               "task arithmetic 0.5", "task arithmetic 1.0", "TIES mean 1.0",
               "AdaMerging, task-wise", "AdaMerging, layer-wise", "AdaMerging++, task-wise",
               "AdaMerging, authors' schedule", "supervised, 100 labels a task",
               "AdaMerging, task-wise, unseen images", "entropy at the start",
               "entropy at the end"},
      .unit = "accuracy",
      .claims = {{.text =
                      "task-wise (200 steps, rate .01) above task arithmetic 0.3 by .08 or more",
                  .difference = difference("AdaMerging, task-wise", "task arithmetic 0.3"),
                  .margin = .08},
                 {.text = "task-wise above the average by .03 or more",
                  .difference = difference("AdaMerging, task-wise", "average"),
                  .margin = .03},
                 {.text =
                      "authors' schedule (500 steps, rate .001, layer-wise) above task arithmetic"
                      " 0.3 by .05 or more",
                  .difference = difference("AdaMerging, authors' schedule", "task arithmetic 0.3"),
                  .margin = .05},
                 {.text = "the mean entropy falls",
                  .kind = Kind::always,
                  .difference = difference("entropy at the start", "entropy at the end"),
                  .margin = 1e-6},
                 {.text = "images it adapted to and others differ by less than .02",
                  .kind = Kind::within,
                  .difference =
                      difference("AdaMerging, task-wise", "AdaMerging, task-wise, unseen images"),
                  .margin = .02}},
      .not_reproduced =
          "The gain over the best fixed coefficient: here task arithmetic with 1.0 does as well, "
          "and"
          " all coefficients learn to be 1. With conflicting tasks the entropy falls while the"
          " accuracy does (a warning says when predictions collapse into one class).",
      .sabotage =
          "Coefficients that stay at their start: the first three claims fail with every seed, not "
          "shown.",
      .run = run};
  return kExperiment;
}

}  // namespace amalgam::experiments
