#include "amalgam/learning/network.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/tensor_memory.hpp"
#include "tests/error_of.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learning {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

fs::path temporary(const std::string& name) {
  return fs::temp_directory_path() / ("amalgam-network-" + std::to_string(getpid()) + name);
}

TEST(Network, MlpComputesReluOfAffineMaps) {
  NetworkDescription description = toy_description("mlp", {{"hidden", {2}}});
  description.input_shape = {1, 1, 2};
  description.class_names = {"a", "b"};
  description.input_mean = {1};
  description.input_deviation = {2};
  const auto network = make_network(description, "test");
  const torch::NoGradGuard no_grad;
  for (auto& one : network->named_parameters()) {
    if (one.key() == "layers.0.weight") one.value().copy_(torch::tensor({{1.F, 2.F}, {-1.F, 0.F}}));
    if (one.key() == "layers.0.bias") one.value().copy_(torch::tensor({0.5F, 0.F}));
    if (one.key() == "layers.1.weight") one.value().copy_(torch::tensor({{1.F, 1.F}, {2.F, -1.F}}));
    if (one.key() == "layers.1.bias") one.value().copy_(torch::tensor({0.F, 1.F}));
  }
  // Input (3, 5) becomes (1, 2); hidden relu(1 + 4 + .5, -1) = (5.5, 0); output (5.5, 12).
  const torch::Tensor logits = network->forward(torch::tensor({3.F, 5.F}).view({1, 1, 1, 2}));
  EXPECT_FLOAT_EQ(logits[0][0].item<float>(), 5.5F);
  EXPECT_FLOAT_EQ(logits[0][1].item<float>(), 12.F);
}

TEST(Network, CnnHasTheTensorsItsDescriptionSays) {
  const auto network =
      toy_network("cnn", {{"channels", {3, 5}}, {"kernel", 3}, {"hidden", {7}}}, 1);
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const auto& [name, tensor] : state_of(*network)) shapes[name] = tensor.sizes().vec();
  // 6 x 6 is halved twice, to 1 x 1.
  const std::map<std::string, std::vector<std::int64_t>> expected{
      {"convolutions.0.weight", {3, 1, 3, 3}},
      {"convolutions.0.bias", {3}},
      {"convolutions.1.weight", {5, 3, 3, 3}},
      {"convolutions.1.bias", {5}},
      {"layers.0.weight", {7, 5}},
      {"layers.0.bias", {7}},
      {"layers.1.weight", {4, 7}},
      {"layers.1.bias", {4}}};
  EXPECT_EQ(shapes, expected);
  EXPECT_EQ(network->forward(toy_data(3, 1).inputs).sizes().vec(),
            (std::vector<std::int64_t>{3, 4}));
}

TEST(Network, WeightsComeFromTheSeedAndNotFromLibtorch) {
  torch::manual_seed(1);
  const torch::Tensor first = all_parameters(*toy_network("cnn", nlohmann::json::object(), 5));
  torch::manual_seed(2);
  EXPECT_TRUE(
      torch::equal(first, all_parameters(*toy_network("cnn", nlohmann::json::object(), 5))));
  EXPECT_FALSE(
      torch::equal(first, all_parameters(*toy_network("cnn", nlohmann::json::object(), 6))));
}

TEST(Network, WeightsHaveTheDeviationOfTheirInputs) {
  const auto network = toy_network("mlp", {{"hidden", {500, 400}}}, 3);
  for (const auto& one : network->named_parameters()) {
    if (one.key() == "layers.1.weight") {
      EXPECT_NEAR(one.value().std().item<double>(), std::sqrt(2.0 / 500), 0.001);
    } else if (one.key() == "layers.2.weight") {
      EXPECT_NEAR(one.value().std().item<double>(), std::sqrt(1.0 / 400), 0.003);
    } else if (one.value().dim() == 1) {
      EXPECT_EQ(one.value().abs().max().item<double>(), 0.0);
    }
  }
}

TEST(Network, DescriptionSurvivesJson) {
  const NetworkDescription description = toy_description("cnn", {{"channels", {4}}, {"kernel", 5}});
  const NetworkDescription again = parse_network_description(to_json(description), "again");
  EXPECT_EQ(to_json(again), to_json(description));
  EXPECT_EQ(again.architecture, "cnn");
  EXPECT_EQ(again.class_names, description.class_names);
  EXPECT_EQ(again.options, description.options);
}

TEST(Network, RefusesDescriptionsNamingTheKey) {
  const auto error_with = [](const std::string& key, const nlohmann::json& value) {
    nlohmann::json json = to_json(toy_description("cnn", nlohmann::json::object()));
    json[key] = value;
    return error_of([&] { make_network(parse_network_description(json, "file"), "file"); });
  };
  EXPECT_THAT(error_with("architecture", "cnm"), HasSubstr("did you mean 'cnn'"));
  EXPECT_THAT(error_with("chanels", {4}), HasSubstr("did you mean 'channels'"));
  EXPECT_THAT(error_with("channels", {1, 1, 1}), HasSubstr("file: channels is [1,1,1]"));
  EXPECT_THAT(error_with("channels", nlohmann::json::array()), HasSubstr("channels"));
  EXPECT_THAT(error_with("kernel", 4), HasSubstr("kernel is 4; expected an odd number"));
  EXPECT_THAT(error_with("hidden", {-1}), HasSubstr("hidden"));
  EXPECT_THAT(error_with("classes", nlohmann::json::array()), HasSubstr("classes"));
  EXPECT_THAT(error_with("input", {{"shape", {1, 6}}}), HasSubstr("input.shape"));
  EXPECT_THAT(error_with("input", {{"shape", {1, 6, 6}}, {"deviation", {0}}}),
              HasSubstr("input.deviation"));
}

// 4096^3 inputs of 65536 units are more bytes than addresses.
TEST(Network, SaysThatItDoesNotFitIntoMemory) {
  NetworkDescription description = toy_description("mlp", {{"hidden", {65536}}});
  description.input_shape = {4096, 4096, 4096};
  EXPECT_THAT(error_of([&] { make_network(description, "file"); }),
              HasSubstr("file: there is not enough memory"));
}

// In a process of its own, whose tensors are others' memory.
TEST(NetworkDeathTest, IsBadInputIfItNeedsMoreThanTheMachineHas) {
  const auto end = [] {
    report_lack_of_tensor_memory();
    constexpr std::int64_t kBytes = std::int64_t{1} << 54;
    try {
      torch::empty({kBytes}, torch::kByte);
    } catch (const NoTensorMemory& lack) {
      if (lack.bytes() != kBytes) std::_Exit(1);
    }
    NetworkDescription description = toy_description("mlp", {{"hidden", {65536}}});
    description.input_shape = {4096, 4096, 4096};
    try {
      make_network(description, "file");
    } catch (const InputError&) {
      std::_Exit(0);
    }
    std::_Exit(2);
  };
  EXPECT_EXIT(end(), testing::ExitedWithCode(0), "");
}

TEST(NetworkFile, LoadsItselfAndComputesTheSame) {
  const fs::path path = temporary("-saved.safetensors");
  const auto network = toy_network("cnn", {{"channels", {3}}, {"hidden", {8}}}, 9);
  save_network(path, *network, false);
  const auto loaded = load_network(*open_checkpoint(path));
  fs::remove(path);
  const Dataset data = toy_data(5, 2);
  const torch::NoGradGuard no_grad;
  EXPECT_TRUE(torch::equal(network->forward(data.inputs), loaded->forward(data.inputs)));
  EXPECT_EQ(to_json(loaded->description()), to_json(network->description()));
}

TEST(NetworkFile, RefusesTensorsThatDoNotBelongToTheDescription) {
  const auto network = toy_network("mlp", {{"hidden", {8}}}, 9);
  const std::map<std::string, std::string> metadata{
      {kNetworkKey, to_json(network->description()).dump()}};
  const auto error_with = [&](const NamedTensors& tensors) {
    const fs::path path = temporary("-bad.safetensors");
    save_tensors(path, tensors, metadata, true);
    const std::string message = error_of([&] { load_network(*open_checkpoint(path)); });
    fs::remove(path);
    return message;
  };
  NamedTensors state = state_of(*network);
  EXPECT_EQ(error_with(state), "no error");
  NamedTensors extra = state;
  extra.emplace_back("layers.9.weight", torch::zeros({2}));
  EXPECT_THAT(error_with(extra), HasSubstr("'layers.9.weight' does not belong"));
  NamedTensors shape = state;
  shape[0].second = torch::zeros({8, 35});
  EXPECT_THAT(error_with(shape), HasSubstr("has shape [8, 35], but its network needs [8, 36]"));
  state.pop_back();
  EXPECT_THAT(error_with(state), HasSubstr("'layers.1.bias', which its network needs, is missing"));
}

TEST(NetworkFile, SaysWhenACheckpointDoesNotDescribeItself) {
  const fs::path path = temporary("-plain.safetensors");
  const auto network = toy_network("mlp", {{"hidden", {8}}}, 9);
  save_tensors(path, state_of(*network), {}, false);
  EXPECT_THAT(error_of([&] { load_network(*open_checkpoint(path)); }),
              HasSubstr("does not say what network it holds"));
  const auto loaded = load_network(*open_checkpoint(path), network->description());
  EXPECT_TRUE(torch::equal(all_parameters(*loaded), all_parameters(*network)));
  EXPECT_THAT(error_of([&] { save_network(path, *network, false); }), HasSubstr(path.string()));
  fs::remove(path);
}

}  // namespace
}  // namespace amalgam::learning
