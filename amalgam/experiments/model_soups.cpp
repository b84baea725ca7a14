#include <cmath>

#include "amalgam/core/random.hpp"
#include "amalgam/experiments/catalogue.hpp"
#include "amalgam/experiments/workshop.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/weights/learned/greedy_soup.hpp"
#include "amalgam/weights/learned/learned_soup.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"

namespace amalgam::experiments {
namespace {

using learned::NamedTensors;
using learning::Dataset;
using learning::Network;

// The sweep of fine-tuning settings: constant rates, so that members end apart from each other.
nlohmann::json member_recipe(RandomStream& random) {
  const double rate = std::exp(std::log(.004) + random.uniform() * std::log(.025 / .004));
  const double decay = std::exp(std::log(1e-5) + random.uniform() * std::log(5e-4 / 1e-5));
  return {{"epochs", 4},
          {"batch", 64},
          {"optimizer",
           {{"name", "sgd"}, {"learning_rate", rate}, {"momentum", .9}, {"weight_decay", decay}}},
          {"schedule", {{"name", "constant"}}},
          {"label_smoothing", random.below(2) == 0 ? 0.0 : .1},
          {"mixup", random.below(2) == 0 ? 0.0 : .2},
          {"augment", {{"noise", random.below(2) == 0 ? 0.0 : .1}}}};
}

struct Judged {
  double held_out = 0;
  double test = 0;
  double shifted = 0;
};

Figures run(Workshop& workshop, std::uint64_t seed) {
  const std::uint64_t share = workshop.size(8000, 2000);
  const Dataset& train = workshop.images(Split::train);
  const Dataset base_data = train.range(0, share);
  const Dataset member_data = train.range(share, share);
  const Dataset& held_out = workshop.images(Split::validation);
  const Dataset& test = workshop.images(Split::test);
  const Dataset shifted = learning::corrupted(test, parse_corruption("shift=1,noise=0.25"), seed);

  const auto base = workshop.train(
      {{"network", {{"architecture", "mlp"}, {"hidden", {48}}, {"standardise", false}}},
       {"epochs", workshop.size(12, 4)},
       {"batch", 128},
       {"optimizer", {{"name", "sgd"}, {"learning_rate", .05}, {"momentum", .9}}}},
      base_data, seed);
  const auto judge_one = [&](Network& network) {
    return Judged{accuracy(network, held_out), accuracy(network, test), accuracy(network, shifted)};
  };

  const std::size_t count = workshop.size(8, 4);
  RandomStream random(seed, "model soups");
  std::vector<NamedTensors> states;
  std::vector<learned::SourcePointer> sources;
  std::vector<Judged> judged;
  torch::Tensor probabilities = torch::zeros({test.count(), test.inputs.size(0) > 0 ? 10 : 0});
  for (std::size_t i = 0; i < count; ++i) {
    const auto member =
        workshop.train(member_recipe(random), member_data, 100 * seed + i, base.get());
    states.push_back(learning::state_of(*member));
    sources.push_back(learned::as_source(states.back(), "member"));
    judged.push_back(judge_one(*member));
    probabilities += torch::softmax(learning::predict_logits(*member, test), 1);
  }

  const auto network_of = [&](const std::vector<std::size_t>& chosen) {
    learned::MemoryMerge merge{.method = "linear", .parameters = {"weight=1"}};
    for (const std::size_t i : chosen) merge.members.push_back(sources[i]);
    return learning::load_network(*learned::merge_in_memory(merge), base->description());
  };
  std::vector<std::size_t> all(count);
  for (std::size_t i = 0; i < count; ++i) all[i] = i;
  const Judged uniform = judge_one(*network_of(all));
  const learned::GreedySoup soup =
      learned::greedy_soup(count, [&](std::span<const std::size_t> members) {
        return accuracy(*network_of({members.begin(), members.end()}), held_out);
      });
  const Judged greedy = judge_one(*network_of(soup.ingredients));
  const learned::LearnedSoup mixed =
      learned::learn_soup(*base, states, held_out, {.epochs = workshop.size(5, 1), .seed = seed});
  const Judged learned_soup = judge_one(*learning::network_with(*base, mixed.state));

  Judged best;
  Judged mean;
  for (const Judged& one : judged) {
    if (one.held_out > best.held_out) best = one;
    mean.test += one.test / static_cast<double>(count);
  }
  return {{"base", accuracy(*base, test)},
          {"mean single", mean.test},
          {"best single", best.test},
          {"uniform soup", uniform.test},
          {"greedy soup", greedy.test},
          {"learned soup", learned_soup.test},
          {"probability ensemble", accuracy(probabilities, test)},
          {"greedy ingredients", static_cast<double>(soup.ingredients.size())},
          {"best single, held out", best.held_out},
          {"greedy soup, held out", greedy.held_out},
          {"best single, shifted", best.shifted},
          {"uniform soup, shifted", uniform.shifted},
          {"greedy soup, shifted", greedy.shifted}};
}

}  // namespace

const Experiment& model_soups() {
  using Kind = Claim::Kind;
  static const Experiment kExperiment{
      .slug = "model-soups",
      .title = "Model soups",
      .paper = "Wortsman et al. 2022, arXiv 2203.05482",
      .question =
          "Averaging the weights of several fine-tuned models beats picking the best of them,"
          " at the inference cost of one, and is more robust to shifted inputs.",
      .setting =
          "Fashion-MNIST, MLP 784-48-10 trained on 8,000 images; 8 members fine-tuned on 8,000"
          " others with random constant rate, weight decay, label smoothing, mixup and noise;"
          " 5,000 held-out images choose, 10,000 test images judge. Shifted: by (1, 1) pixels,"
          " with noise 0.25.",
      .rows = {"base", "mean single", "best single", "uniform soup", "greedy soup", "learned soup",
               "probability ensemble", "greedy ingredients", "best single, held out",
               "greedy soup, held out", "best single, shifted", "uniform soup, shifted",
               "greedy soup, shifted"},
      .unit = "accuracy",
      .claims = {{.text =
                      "the greedy soup is never below the best single member on held-out images",
                  .kind = Kind::always,
                  .difference = difference("greedy soup, held out", "best single, held out")},
                 {.text = "uniform soup above the mean single member by .003 or more",
                  .difference = difference("uniform soup", "mean single"),
                  .margin = .003},
                 {.text = "greedy soup above the best single member",
                  .difference = difference("greedy soup", "best single")},
                 {.text = "learned soup above the best single member by .003 or more",
                  .difference = difference("learned soup", "best single"),
                  .margin = .003},
                 {.text =
                      "uniform soup above the best single member on shifted images by .01 or more",
                  .difference = difference("uniform soup, shifted", "best single, shifted"),
                  .margin = .01},
                 {.text = "uniform soup within .006 of the ensemble of probabilities",
                  .kind = Kind::within,
                  .difference = difference("uniform soup", "probability ensemble"),
                  .margin = .006}},
      .not_reproduced = "",
      .sabotage =
          "With the first member in place of the uniform soup its three claims fail: not shown.",
      .run = run};
  return kExperiment;
}

}  // namespace amalgam::experiments
