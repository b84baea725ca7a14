#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/experiments/catalogue.hpp"
#include "amalgam/experiments/task_families.hpp"
#include "amalgam/weights/learned/frank_wolfe.hpp"

namespace amalgam::experiments {
namespace {

using learned::Granularity;
using learned::NamedTensors;
using learned::VertexRule;
using learning::Dataset;

// Checkpoints that have nothing to do with the tasks: fine-tuned on random labels.
std::vector<NamedTensors> irrelevant(Workshop& workshop, const TaskFamily& family,
                                     std::uint64_t seed, std::size_t count) {
  std::vector<NamedTensors> states;
  for (std::size_t i = 0; i < count; ++i) {
    Dataset data = workshop.images(Split::train).range(40'000 + 1500 * i, 2000);
    data.labels = data.labels.clone();
    RandomStream random(seed, "random labels " + std::to_string(i));
    auto labels = data.labels.accessor<std::int64_t, 1>();
    for (std::int64_t n = 0; n < data.count(); ++n) {
      labels[n] = static_cast<std::int64_t>(random.below(10));
    }
    const auto network =
        workshop.train({{"epochs", 4},
                        {"batch", 128},
                        {"optimizer", {{"name", "sgd"}, {"learning_rate", .02}, {"momentum", .9}}}},
                       data, 1000 * seed + i, family.base.get());
    states.push_back(learning::state_of(*network));
  }
  return states;
}

Figures run(Workshop& workshop, std::uint64_t seed) {
  const TaskFamily family = eight_transforms(workshop, seed);
  const std::vector<NamedTensors> noise = irrelevant(workshop, family, seed, 8);
  const NamedTensors base = family.base_state();
  std::vector<Dataset> proxy;
  for (const Dataset& task : family.validation) proxy.push_back(task.range(0, 100));

  Figures figures{{"base", TaskFamily::score(*family.base, family.test)},
                  {"experts on their own", family.own_score()}};
  for (const std::size_t count : {0UL, 8UL}) {
    std::vector<NamedTensors> pool = family.states();
    pool.insert(pool.end(), noise.begin(), noise.begin() + static_cast<std::ptrdiff_t>(count));
    const auto name = [&](const std::string& method) {
      return method + ", " + std::to_string(count) + " irrelevant";
    };
    const auto by_rule = [&](const char* method, std::vector<std::string> parameters,
                             bool with_base) {
      learned::MemoryMerge merge{.method = method, .parameters = std::move(parameters)};
      if (with_base) merge.base = learned::as_source(base, "base");
      for (const NamedTensors& state : pool) {
        merge.members.push_back(learned::as_source(state, "member"));
      }
      return TaskFamily::score(
          *learning::load_network(*learned::merge_in_memory(merge), family.base->description()),
          family.test);
    };
    const auto hard = [&](Granularity granularity, VertexRule rule, double step,
                          std::uint64_t line_search = 0) {
      return learned::frank_wolfe(*family.base, base, pool, proxy,
                                  {.granularity = granularity,
                                   .rule = rule,
                                   .step_size = step,
                                   .line_search = line_search});
    };
    figures[name("average")] = by_rule("linear", {"weight=1"}, false);
    figures[name("task arithmetic 0.3")] = by_rule("task_arithmetic", {"weight=0.3"}, true);
    figures[name("TIES mean 1.0")] =
        by_rule("ties", {"weight=1", "density=0.2", "dialect=paper"}, true);
    figures[name("FW task, inner")] =
        family.score_of(hard(Granularity::whole, VertexRule::inner, 1).state);
    figures[name("FW task, cosine")] =
        family.score_of(hard(Granularity::whole, VertexRule::cosine, .1).state);
    figures[name("FW layer, inner")] =
        family.score_of(hard(Granularity::tensor, VertexRule::inner, 1).state);
    const auto soft = learned::soft_frank_wolfe(
        *family.base, base, pool, proxy,
        {.iterations = 3, .steps = 60, .learning_rate = .01, .batch = 64, .seed = seed});
    figures[name("FW soft")] = family.score_of(soft.state);
    if (count == 8) {
      const auto searched = hard(Granularity::tensor, VertexRule::inner, 1, 8);
      figures["proxy loss at the start"] = searched.trajectory.front().objective;
      figures["proxy loss with line search"] = searched.objective;
    }
  }
  return figures;
}

// How much a method loses from no irrelevant checkpoint to eight.
std::function<double(const Figures&)> loss_of(const std::string& method) {
  return difference(method + ", 0 irrelevant", method + ", 8 irrelevant");
}

std::function<double(const Figures&)> kept_within(const std::string& method) {
  return difference(method + ", 8 irrelevant", method + ", 0 irrelevant");
}

}  // namespace

const Experiment& fw_merging() {
  using Kind = Claim::Kind;
  static const Experiment kExperiment{
      .slug = "fw-merging",
      .title = "Frank-Wolfe merging",
      .paper = "Chen et al. 2025, arXiv 2503.12649",
      .question =
          "Merging from a large pool of checkpoints of unknown quality by Frank-Wolfe steps"
          " stays good when irrelevant checkpoints are added, where data-free merging fails.",
      .setting =
          "Fashion-MNIST under four transforms, MLP 784-64-64-10, four experts of one base and"
          " 0 or 8 checkpoints fine-tuned on random labels; 100 labelled images per task as"
          " the objective; 10 iterations from the base.",
      .rows = {"base", "experts on their own", "average, 0 irrelevant", "average, 8 irrelevant",
               "task arithmetic 0.3, 0 irrelevant", "task arithmetic 0.3, 8 irrelevant",
               "TIES mean 1.0, 0 irrelevant", "TIES mean 1.0, 8 irrelevant",
               "FW task, inner, 0 irrelevant", "FW task, inner, 8 irrelevant",
               "FW task, cosine, 0 irrelevant", "FW task, cosine, 8 irrelevant",
               "FW layer, inner, 0 irrelevant", "FW layer, inner, 8 irrelevant",
               "FW soft, 0 irrelevant", "FW soft, 8 irrelevant", "proxy loss at the start",
               "proxy loss with line search"},
      .unit = "accuracy",
      .claims = {{.text = "the average loses .2 or more to eight irrelevant checkpoints",
                  .difference = loss_of("average"),
                  .margin = .2},
                 {.text = "task arithmetic loses .4 or more",
                  .difference = loss_of("task arithmetic 0.3"),
                  .margin = .4},
                 {.text = "FW by layer loses .02 at most",
                  .difference = kept_within("FW layer, inner"),
                  .margin = -.02},
                 {.text = "FW soft loses .02 at most",
                  .difference = kept_within("FW soft"),
                  .margin = -.02},
                 {.text = "FW by task loses .06 at most",
                  .difference = kept_within("FW task, inner"),
                  .margin = -.06},
                 {.text = "FW by layer above the average by .25 or more, with eight irrelevant",
                  .difference =
                      difference("FW layer, inner, 8 irrelevant", "average, 8 irrelevant"),
                  .margin = .25},
                 {.text = "with line search the objective does not rise",
                  .kind = Kind::always,
                  .difference =
                      difference("proxy loss at the start", "proxy loss with line search")}},
      .not_reproduced =
          "Accuracy above the relevant-only merge: here Frank-Wolfe ends about level with"
          " the average of the relevant experts; what it shows is robustness.",
      .sabotage =
          "Always taking the first checkpoint of the pool: the claim about the average fails, not "
          "shown.",
      .run = run};
  return kExperiment;
}

}  // namespace amalgam::experiments
