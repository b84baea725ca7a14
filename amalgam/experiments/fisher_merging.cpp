#include <fmt/format.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/experiments/catalogue.hpp"
#include "amalgam/experiments/workshop.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/fisher.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"
#include "amalgam/weights/learned/regmean.hpp"

namespace amalgam::experiments {
namespace {

using learned::NamedTensors;
using learned::SourcePointer;
using learning::ImageData;
using learning::Network;

constexpr const char* kSides[] = {"left", "right"};

ImageData half(const ImageData& data, const std::string& side) {
  return learning::corrupted(data, parse_corruption("pool=2,keep=" + side), 0);
}

struct HalfTasks {
  std::vector<ImageData> test;
  std::vector<ImageData> validation;

  double score(Network& network, const std::vector<ImageData>& tasks) const {
    double sum = 0;
    for (const ImageData& task : tasks) sum += accuracy(network, task);
    return sum / static_cast<double>(tasks.size());
  }
};

Figures run(Workshop& workshop, std::uint64_t seed) {
  const ImageData& train = workshop.images(Split::train);
  const std::uint64_t share = workshop.size(8000, 3000);
  const std::uint64_t first = 20'000 * ((seed - 1) % 2);  // other images for every other seed
  const ImageData base_data =
      learning::corrupted(train.range(first, 1000), parse_corruption("pool=2"), 0);
  HalfTasks tasks;
  for (const char* side : kSides) {
    tasks.test.push_back(half(workshop.images(Split::test), side));
    tasks.validation.push_back(half(workshop.images(Split::validation), side));
  }
  const auto base = workshop.train(
      {{"network", {{"architecture", "mlp"}, {"hidden", {64}}, {"standardise", false}}},
       {"epochs", 10},
       {"batch", 128},
       {"optimizer", {{"name", "sgd"}, {"learning_rate", .05}, {"momentum", .9}}}},
      base_data, seed);

  std::vector<NamedTensors> states;
  std::vector<learning::GramSums> grams;
  std::vector<SourcePointer> sources;
  learned::MemoryMerge fisher{.method = "fisher", .parameters = {"fisher=f0,f1"}};
  double own = 0;
  double other = 0;
  for (std::size_t s = 0; s < 2; ++s) {
    const ImageData data = half(train.range(first + 1000 + share * s, share), kSides[s]);
    const auto expert =
        workshop.train({{"epochs", 5},
                        {"batch", 128},
                        {"optimizer", {{"name", "sgd"}, {"learning_rate", .02}, {"momentum", .9}}}},
                       data, 10 * seed + s, base.get());
    own += accuracy(*expert, tasks.test[s]) / 2;
    other += accuracy(*expert, tasks.test[1 - s]) / 2;
    states.push_back(learning::state_of(*expert));
    sources.push_back(learned::as_source(states.back(), "expert"));
    const ImageData seen = data.range(0, 1000);
    fisher.files["f" + std::to_string(s)] =
        learned::as_source(learning::fisher_diagonal(*expert, seen), "fisher");
    grams.push_back(learning::gram_sums(*expert, seen));
  }

  const auto network_of = [&](const TensorSource& source) {
    return learning::load_network(source, base->description());
  };
  const auto merged = [&](const std::string& method, const std::vector<std::string>& parameters,
                          bool with_base) {
    learned::MemoryMerge merge{.method = method, .members = sources, .parameters = parameters};
    if (with_base) merge.base = learned::as_source(learning::state_of(*base), "base");
    return network_of(*learned::merge_in_memory(merge));
  };
  // 51 shares, chosen on validation images, for the plain average and for Fisher.
  const auto searched = [&](const std::function<std::shared_ptr<Network>(double)>& make) {
    double best = -1;
    std::shared_ptr<Network> chosen;
    for (int step = 0; step <= 50; ++step) {
      auto network = make(step / 50.0);
      const double score = tasks.score(*network, tasks.validation);
      if (score > best) {
        best = score;
        chosen = std::move(network);
      }
    }
    return tasks.score(*chosen, tasks.test);
  };
  const auto weights = [](double share) { return fmt::format("weight={},{}", share, 1 - share); };
  fisher.members = sources;
  const auto by_fisher = [&](std::vector<std::string> more) {
    learned::MemoryMerge merge = fisher;
    merge.parameters.insert(merge.parameters.end(), more.begin(), more.end());
    return network_of(*learned::merge_in_memory(merge));
  };
  const auto by_regmean = [&](double off_diagonal) {
    const NamedTensors state = learned::regmean({&states[0], &states[1]}, {&grams[0], &grams[1]},
                                                {.off_diagonal = off_diagonal});
    return tasks.score(*with_state(*base, state), tasks.test);
  };
  return {
      {"base", tasks.score(*base, tasks.test)},
      {"own expert", own},
      {"other expert", other},
      {"average", tasks.score(*merged("linear", {"weight=1"}, false), tasks.test)},
      {"average, searched",
       searched([&](double share) { return merged("linear", {weights(share)}, false); })},
      {"task arithmetic 1.0",
       tasks.score(*merged("task_arithmetic", {"weight=1"}, true), tasks.test)},
      {"Fisher", tasks.score(*by_fisher({}), tasks.test)},
      {"Fisher, searched", searched([&](double share) { return by_fisher({weights(share)}); })},
      {"Fisher, not normalised", tasks.score(*by_fisher({"normalize=false"}), tasks.test)},
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
               "task arithmetic 1.0", "Fisher", "Fisher, searched", "Fisher, not normalised",
               "RegMean a=1", "RegMean a=0.9", "RegMean a=0"},
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
      .sabotage = "",
      .run = run};
  return kExperiment;
}

}  // namespace amalgam::experiments
