#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/experiments/catalogue.hpp"
#include "amalgam/experiments/task_families.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"
#include "amalgam/weights/learned/parameter_search.hpp"
#include "amalgam/weights/search_grid.hpp"

namespace amalgam::experiments {
namespace {

using learned::NamedTensors;
using learning::Dataset;
using learning::Network;

std::shared_ptr<Network> half_way_to_average(const TaskFamily& family) {
  const learned::MemoryMerge merge{
      .method = "wise_ft",
      .base = learned::as_source(family.base_state(), "base"),
      .members = {learned::as_source(
          learning::state_of(*family.merged("linear", {"weight=1"}, false)), "average")},
      .parameters = {"alpha=0.5"},
      .files = {}};
  return learning::load_network(*learned::merge_in_memory(merge), family.base->description());
}

// Both experts' answers averaged, as many times the cost.
double ensemble(const TaskFamily& family,
                const std::function<torch::Tensor(const torch::Tensor&)>& answer) {
  double sum = 0;
  for (const Dataset& task : family.test) {
    torch::Tensor answers;
    for (const auto& expert : family.experts) {
      const torch::Tensor own = answer(learning::predict_logits(*expert, task));
      answers = answers.defined() ? answers + own : own;
    }
    sum += accuracy(answers, task);
  }
  return sum / static_cast<double>(family.test.size());
}

Figures run(Workshop& workshop, std::uint64_t seed) {
  const TaskFamily family = half_images(workshop, seed);
  const std::vector<NamedTensors> states = family.states();
  std::vector<MemberStatistics> statistics;
  for (std::size_t s = 0; s < states.size(); ++s) {
    statistics.emplace_back(*family.experts[s], family.train[s].range(0, 1000));
  }
  const auto test_score = [&](Network& network) { return TaskFamily::score(network, family.test); };
  const auto by_fisher = [&](const std::vector<std::string>& more) {
    return merged_by_fisher(*family.base, states, statistics, more);
  };
  const auto by_regmean = [&](double off_diagonal) {
    return test_score(*merged_by_regmean(*family.base, states, statistics, off_diagonal));
  };
  // 51 shares, chosen on validation images.
  const std::vector<SearchAxis> shares{parse_search_axis(
      {"weight", "shares", {}}, find_merge_rule("linear").info(), 2, seed, "experiment")};
  const auto searched = [&](const learned::MergeWith& merge) {
    const learned::ParameterSearch search =
        learned::search_parameters(search_grid(shares), merge, family.validation);
    return test_score(*merge(search.trials[search.best].parameters));
  };
  double other = 0;
  for (std::size_t s = 0; s < 2; ++s) {
    other += accuracy(*family.experts[s], family.test[1 - s]) / 2;
  }
  return {
      {"base", test_score(*family.base)},
      {"own expert", family.own_score()},
      {"other expert", other},
      {"average", test_score(*family.merged("linear", {"weight=1"}, false))},
      {"average, searched", searched([&](const std::vector<std::string>& weights) {
         return family.merged("linear", weights, false);
       })},
      {"WiSE-FT: half-way from the base to the average", test_score(*half_way_to_average(family))},
      {"logit ensemble", ensemble(family, [](const torch::Tensor& logits) { return logits; })},
      {"probability ensemble",
       ensemble(family, [](const torch::Tensor& logits) { return torch::softmax(logits, 1); })},
      {"task arithmetic 1.0", test_score(*family.merged("task_arithmetic", {"weight=1"}, true))},
      {"Fisher", test_score(*by_fisher({}))},
      {"Fisher, searched",
       searched([&](const std::vector<std::string>& weights) { return by_fisher(weights); })},
      {"Fisher, not normalised", test_score(*by_fisher({"normalize=false"}))},
      {"RegMean a=1", by_regmean(1)},
      {"RegMean a=0.9", by_regmean(.9)},
      {"RegMean a=0", by_regmean(0)},
  };
}

}  // namespace

const Experiment& fisher_merging() {
  using Kind = Claim::Kind;
  static const Experiment kExperiment{
      .slug = "fisher-merging",
      .title = "Fisher-weighted averaging",
      .paper =
          "Matena and Raffel 2021, arXiv 2111.09832; RegMean: Jin et al. 2023, arXiv 2212.09849",
      .question =
          "Averaging every parameter with the weight that its model's predictions give it"
          " merges models better than plain averaging.",
      .setting =
          "Fashion-MNIST at 14x14, MLP 196-64-10 trained on 1,000 images; two experts fine-tuned"
          " on 8,000 images each of which the left or the right half is kept; Fisher and Gram"
          " matrices from 1,000 of their images; mean accuracy over both halves' test images.",
      .rows = {"base", "own expert", "other expert", "average", "average, searched",
               "WiSE-FT: half-way from the base to the average", "logit ensemble",
               "probability ensemble", "task arithmetic 1.0", "Fisher", "Fisher, searched",
               "Fisher, not normalised", "RegMean a=1", "RegMean a=0.9", "RegMean a=0"},
      .unit = "accuracy",
      .claims = {{.text = "Fisher above the plain average by .06 or more",
                  .difference = difference("Fisher", "average"),
                  .margin = .06},
                 {.text = "Fisher above the average with searched shares by .05 or more",
                  .difference = difference("Fisher", "average, searched"),
                  .margin = .05},
                 {.text = "RegMean (a = 0.9) above Fisher",
                  .difference = difference("RegMean a=0.9", "Fisher")},
                 {.text = "Fisher at most .005 above the experts on their own halves",
                  .kind = Kind::always,
                  .difference = difference("own expert", "Fisher"),
                  .margin = -.005},
                 {.text = "RegMean (a = 0.9) at most .005 above the experts on their own halves",
                  .kind = Kind::always,
                  .difference = difference("own expert", "RegMean a=0.9"),
                  .margin = -.005}},
      .not_reproduced =
          "Where every parameter matters to every task (experts of rotated images, or of disjoint"
          " classes), Fisher is no better than the average at this scale.",
      .sabotage =
          "A Fisher diagonal of equal entries: the first two claims fail with every seed, not "
          "shown. The plain average in place of RegMean (quick): the claim that it is above "
          "Fisher fails with every seed. Limits from above cannot tell what is bad.",
      .run = run};
  return kExperiment;
}

}  // namespace amalgam::experiments
