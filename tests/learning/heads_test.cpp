#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/fisher.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/trainer.hpp"
#include "amalgam/weights/learned/permutation.hpp"
#include "tests/error_of.hpp"
#include "tests/learning/toy_heads.hpp"

namespace amalgam::learning {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

// Head "corner" has the four classes of the toy data, head "side" three others.
std::shared_ptr<Network> two_heads(const std::string& architecture, const nlohmann::json& options,
                                   std::uint64_t seed) {
  return toy_network_with_heads(
      architecture, options,
      {{{"name", "side"}, {"classes", {"a", "b", "c"}}},
       {{"name", "corner"},
        {"classes", {"upper left", "upper right", "lower left", "lower right"}}}},
      seed);
}

const std::map<std::string, nlohmann::json>& architectures() {
  static const std::map<std::string, nlohmann::json> all{
      {"mlp", {{"hidden", {8}}}},
      {"cnn", {{"channels", {3}}, {"hidden", {7}}}},
      {"resnet", {{"width", 2}}},
      {"vit", {{"patch", 3}, {"width", 8}, {"depth", 1}, {"attention_heads", 2}}}};
  return all;
}

TEST(Heads, LogitsAreSideBySideOverSharedFeatures) {
  const torch::NoGradGuard no_grad;
  const Dataset data = toy_data(5, 1);
  for (const auto& [architecture, options] : architectures()) {
    const auto network = two_heads(architecture, options, 3);
    std::map<std::string, torch::Tensor> state;
    for (const auto& [name, tensor] : state_of(*network)) state[name] = tensor;
    const torch::Tensor logits = network->forward(data.inputs);
    ASSERT_EQ(logits.size(1), 7) << architecture;
    const torch::Tensor features = network->features(data.inputs);
    EXPECT_EQ(features.size(0), 5);
    const auto by_hand = [&](const std::string& head) {
      return torch::linear(features, state.at("heads." + head + ".weight"),
                           state.at("heads." + head + ".bias"));
    };
    EXPECT_TRUE(torch::allclose(logits.narrow(1, 0, 3), by_hand("side"))) << architecture;
    EXPECT_TRUE(torch::allclose(logits.narrow(1, 3, 4), by_hand("corner"))) << architecture;
    const torch::Tensor seen = predict_logits(*network, for_head(data, "corner"));
    EXPECT_TRUE(torch::allclose(seen, logits.narrow(1, 3, 4), 1e-5, 1e-6)) << architecture;
  }
}

TEST(Heads, FeaturesOfOneOutputGoIntoItsLastLayer) {
  const torch::NoGradGuard no_grad;
  const auto network = toy_network("mlp", {{"hidden", {9, 5}}}, 1);
  const torch::Tensor features = network->features(toy_data(3, 1).inputs);
  EXPECT_EQ(features.sizes().vec(), (std::vector<std::int64_t>{3, 5}));
  EXPECT_GE(features.min().item<double>(), 0) << "behind the ReLU";
}

TEST(Heads, SurviveJsonAndFiles) {
  const auto network = two_heads("mlp", {{"hidden", {8}}}, 3);
  const NetworkDescription& description = network->description();
  EXPECT_THAT(description.class_names,
              ElementsAre("a", "b", "c", "upper left", "upper right", "lower left", "lower right"));
  const NetworkDescription again = parse_network_description(to_json(description), "again");
  EXPECT_EQ(to_json(again), to_json(description));
  EXPECT_EQ(again.head("corner", "").first, 3);
  EXPECT_EQ(again.head("corner", "").classes, 4);
  EXPECT_EQ(again.head("", "").classes, 7);

  const fs::path path =
      fs::temp_directory_path() / ("amalgam-heads-" + std::to_string(getpid()) + ".safetensors");
  save_network(path, *network, false);
  const auto loaded = load_network(*open_checkpoint(path));
  fs::remove(path);
  const torch::NoGradGuard no_grad;
  const Dataset data = toy_data(4, 1);
  EXPECT_TRUE(torch::equal(network->forward(data.inputs), loaded->forward(data.inputs)));
}

// Training one head leaves the other as it was, and moves the trunk.
TEST(Heads, AreTrainedByTheirOwnLabels) {
  const auto network = two_heads("mlp", {{"hidden", {16}}}, 3);
  const NamedTensors before = copied_state(*network);
  TrainingRecipe recipe;
  recipe.network = nlohmann::json::object();
  recipe.epochs = 8;
  recipe.batch = 32;
  const Dataset data = for_head(toy_data(256, 1), "corner");
  const TrainingReport report = train(*network, data, recipe, {.progress = Progress::Mode::never});
  EXPECT_LT(report.epochs.back().loss, 0.5 * report.epochs.front().loss);
  const NamedTensors after = state_of(*network);
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(torch::equal(before[i].second, after[i].second),
              before[i].first.starts_with("heads.side."))
        << before[i].first;
  }
}

TEST(Heads, FisherIsOfTheDatasHead) {
  const auto network = two_heads("mlp", {{"hidden", {6}}}, 3);
  const Dataset data = for_head(toy_data(9, 1), "corner");
  std::map<std::string, torch::Tensor> diagonal;
  for (const auto& [name, tensor] : fisher_diagonal(*network, data)) diagonal[name] = tensor;
  EXPECT_EQ(diagonal.at("heads.side.weight").abs().max().item<double>(), 0);
  EXPECT_GT(diagonal.at("heads.corner.weight").abs().max().item<double>(), 0);
  EXPECT_GT(diagonal.at("layers.0.weight").abs().max().item<double>(), 0);
}

TEST(Heads, AreNotPermuted) {
  const auto network = two_heads("mlp", {{"hidden", {6}}}, 3);
  const learned::PermutationSpec spec = learned::permutation_spec(*network);
  ASSERT_EQ(spec.groups.size(), 1U);
  EXPECT_THAT(spec.groups[0].consumers, ElementsAre("heads.side", "heads.corner"));
  EXPECT_NO_THROW(learned::check_specification(*network, spec, 1));
}

TEST(Heads, RefuseDataThatDoNotFit) {
  const auto network = two_heads("mlp", {{"hidden", {6}}}, 3);
  const Dataset data = toy_data(3, 1);
  const auto error_with = [&](const std::string& head) {
    return error_of([&] { check_fits(*network, for_head(data, head)); });
  };
  EXPECT_EQ(error_with("corner"), "no error");
  EXPECT_THAT(error_with("side"), HasSubstr("4 classes, but the network's head 'side' has 3"));
  EXPECT_THAT(error_with("corners"), HasSubstr("did you mean 'corner'"));
  EXPECT_THAT(error_with(""), HasSubstr("7 outputs; name one of its heads: side (3), corner (4)"));
  const auto single = toy_network("mlp", {{"hidden", {6}}}, 3);
  EXPECT_THAT(error_of([&] { check_fits(*single, for_head(data, "corner")); }),
              HasSubstr("no head 'corner': the network has one output"));
}

TEST(Heads, RefuseDescriptionsNamingTheKey) {
  const auto error_with = [](const nlohmann::json& heads, bool classes = false) {
    nlohmann::json json = to_json(toy_description("mlp", nlohmann::json::object()));
    if (!classes) json.erase("classes");
    json["heads"] = heads;
    return error_of([&] { make_network(parse_network_description(json, "file"), "file"); });
  };
  const auto array = [](const std::vector<nlohmann::json>& heads) { return nlohmann::json(heads); };
  const nlohmann::json good{{"name", "a"}, {"classes", 2}};
  EXPECT_EQ(error_with(array({good})), "no error");
  EXPECT_THAT(error_with(array({good}), true), HasSubstr("classes is"));
  EXPECT_THAT(error_with(nlohmann::json::array()), HasSubstr("heads is []"));
  EXPECT_THAT(error_with({good, good}), HasSubstr("heads[1].name is \"a\"; expected another"));
  EXPECT_THAT(error_with(array({{{"name", "a.b"}, {"classes", 2}}})), HasSubstr("heads[0].name"));
  EXPECT_THAT(error_with(array({{{"name", "a"}}})), HasSubstr("heads[0].classes is missing"));
  EXPECT_THAT(error_with(array({{{"name", "a"}, {"classes", 0}}})),
              HasSubstr("heads[0].classes is 0"));
  EXPECT_THAT(error_with(array({{{"name", "a"}, {"classes", 2}, {"widht", 2}}})),
              HasSubstr("widht"));
}

}  // namespace
}  // namespace amalgam::learning
