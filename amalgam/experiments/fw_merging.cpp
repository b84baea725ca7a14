#include <array>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/experiments/catalogue.hpp"
#include "amalgam/experiments/task_families.hpp"
#include "amalgam/weights/learned/adamerging.hpp"
#include "amalgam/weights/learned/frank_wolfe.hpp"

namespace amalgam::experiments {
namespace {

using learned::Granularity;
using learned::NamedTensors;
using learned::VertexRule;
using learning::Dataset;
using learning::Network;

constexpr std::array<std::size_t, 3> kCounts{0, 4, 8};

// Checkpoints, and the statistics of their own training images that some baselines need.
struct Pool {
  std::vector<NamedTensors> states;
  std::vector<MemberStatistics> statistics;

  void add(Network& network, const Dataset& seen) {
    states.push_back(learning::state_of(network));
    statistics.emplace_back(network, seen);
  }
  Pool with(const Pool& more, std::size_t count) const {
    Pool all = *this;
    for (std::size_t i = 0; i < count; ++i) {
      all.states.push_back(more.states[i]);
      all.statistics.push_back(more.statistics[i]);
    }
    return all;
  }
};

// Checkpoints that have nothing to do with the tasks: fine-tuned on random labels.
Pool irrelevant(Workshop& workshop, const TaskFamily& family, std::uint64_t seed,
                std::size_t count) {
  Pool pool;
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
    pool.add(*network, data.range(0, 1000));
  }
  return pool;
}

// AdaMerging on the unlabelled images that Frank-Wolfe sees with their labels.
double adamerging_score(const TaskFamily& family, const Pool& pool,
                        const std::vector<Dataset>& unlabelled, std::uint64_t seed,
                        std::uint64_t steps) {
  const NamedTensors base = family.base_state();
  std::vector<NamedTensors> vectors;
  for (const NamedTensors& state : pool.states) vectors.push_back(learned::subtract(state, base));
  return family.score_of(learned::adamerge(*family.base, base, vectors, unlabelled,
                                           {.granularity = Granularity::tensor,
                                            .learning_rate = 1e-2,
                                            .steps = steps,
                                            .batch = 64,
                                            .seed = seed})
                             .state);
}

Figures run(Workshop& workshop, std::uint64_t seed) {
  const TaskFamily family = eight_transforms(workshop, seed);
  const Pool noise = irrelevant(workshop, family, seed, 8);
  Pool relevant;
  for (std::size_t t = 0; t < family.experts.size(); ++t) {
    relevant.add(*family.experts[t], family.train[t].range(0, 1000));
  }
  const NamedTensors base = family.base_state();
  std::vector<Dataset> proxy;
  for (const Dataset& task : family.validation) proxy.push_back(task.range(0, 100));

  Figures figures{
      {"base", TaskFamily::score(*family.base, family.test)},
      {"experts on their own", family.own_score()},
      {"trained on all tasks",
       TaskFamily::score(*trained_on_all(workshop, family, .01, 4, 10 * seed + 9), family.test)}};
  for (const std::size_t count : kCounts) {
    const Pool members = relevant.with(noise, count);
    const std::vector<NamedTensors>& pool = members.states;
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
    figures[name("DARE task arithmetic 0.3")] =
        by_rule("dare_linear", {"weight=0.3", "density=0.1", "dialect=paper"}, true);
    figures[name("Fisher")] =
        TaskFamily::score(*merged_by_fisher(*family.base, pool, members.statistics), family.test);
    figures[name("RegMean")] =
        TaskFamily::score(*merged_by_regmean(*family.base, pool, members.statistics), family.test);
    figures[name("AdaMerging, layer-wise")] =
        adamerging_score(family, members, proxy, seed, workshop.size(200, 100));
    figures[name("FW task, inner")] =
        family.score_of(hard(Granularity::whole, VertexRule::inner, 1).state);
    figures[name("FW task, cosine")] =
        family.score_of(hard(Granularity::whole, VertexRule::cosine, .1).state);
    figures[name("FW layer, inner")] =
        family.score_of(hard(Granularity::tensor, VertexRule::inner, 1).state);
    figures[name("FW layer, pairwise, line search")] = family.score_of(
        learned::frank_wolfe(*family.base, base, pool, proxy,
                             {.direction = learned::StepDirection::pairwise, .line_search = 8})
            .state);
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

std::vector<std::string> rows() {
  std::vector<std::string> names{"base", "experts on their own", "trained on all tasks"};
  for (const char* method :
       {"average", "task arithmetic 0.3", "TIES mean 1.0", "DARE task arithmetic 0.3", "Fisher",
        "RegMean", "AdaMerging, layer-wise", "FW task, inner", "FW task, cosine", "FW layer, inner",
        "FW layer, pairwise, line search", "FW soft"}) {
    for (const std::size_t count : kCounts) {
      names.push_back(std::string(method) + ", " + std::to_string(count) + " irrelevant");
    }
  }
  names.emplace_back("proxy loss at the start");
  names.emplace_back("proxy loss with line search");
  return names;
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
          " 0, 4 or 8 checkpoints fine-tuned on random labels; 100 labelled images per task as"
          " the objective; 10 iterations from the base. Fisher and RegMean know 1,000 of every"
          " checkpoint's training images, AdaMerging the objective's without labels.",
      .rows = rows(),
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
          "Always taking the first checkpoint of the pool: the claim about the average fails, "
          "not shown. The last checkpoint, or the one that the gradient favours least (quick): "
          "FW by layer loses too much and is not above the average with every seed, FW by task "
          "loses too much with two seeds at least; FW soft cannot tell, whose learned "
          "coefficients leave bad picks out. Every step accepted (quick): the objective rises "
          "with one seed of three.",
      .run = run};
  return kExperiment;
}

}  // namespace amalgam::experiments
