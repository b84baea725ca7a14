#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/description/hugging_face.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/fisher.hpp"
#include "amalgam/learning/gram.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/rotary.hpp"
#include "amalgam/learning/trainer.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learning {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::int64_t kVocabulary = 5;
constexpr std::int64_t kContext = 8;

NetworkDescription decoder_description(const nlohmann::json& options) {
  nlohmann::json json = options;
  json["architecture"] = "llama";
  json["input"] = {{"shape", {kContext}}};
  json["classes"] = kVocabulary;
  return parse_network_description(json, "toy");
}

const nlohmann::json kSmall{{"hidden_size", 8},
                            {"intermediate_size", 12},
                            {"num_attention_heads", 4},
                            {"num_key_value_heads", 2}};

std::shared_ptr<Network> toy_decoder(const nlohmann::json& changes, std::uint64_t seed) {
  nlohmann::json options = kSmall;
  options.update(changes);
  auto network = make_network(decoder_description(options), "toy");
  initialise(*network, seed);
  network->eval();
  return network;
}

// Sequences in which every token is its predecessor plus one, modulo the vocabulary.
Dataset counting(std::int64_t count, std::uint64_t seed) {
  Dataset data;
  data.source = "counting";
  for (std::int64_t k = 0; k < kVocabulary; ++k) data.class_names.push_back(std::to_string(k));
  RandomStream random(seed, "counting");
  torch::Tensor first = torch::empty({count, 1}, torch::kLong);
  for (std::int64_t n = 0; n < count; ++n) {
    first[n][0] = static_cast<std::int64_t>(random.below(kVocabulary));
  }
  data.inputs = (first + torch::arange(kContext, torch::kLong)) % kVocabulary;
  data.labels = (data.inputs + 1) % kVocabulary;
  return data;
}

class LlamaFolder : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("amalgam-decoder-" + std::to_string(getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  static void reference(const std::string& arguments) {
    const fs::path script =
        fs::path(AMALGAM_TEST_DATA).parent_path() / "reference" / "llama_reference.py";
    const std::string command = "/usr/bin/python3 -B '" + script.string() + "' " + arguments;
    ASSERT_EQ(std::system(command.c_str()), 0) << command;  // NOLINT(bugprone-command-processor)
  }
  std::string path(const std::string& name) const { return (root_ / name).string(); }

  fs::path root_;
};

TEST_F(LlamaFolder, LogitsEqualTheNumpyReference) {
  for (const std::string name : {"untied", "tied", "qwen2", "mistral"}) {
    reference("write " + path(name) + " " + name + " 1");
    reference("logits " + path(name) + " " + path(name + ".out"));
    const auto network = load_network(*open_checkpoint(path(name)));
    EXPECT_EQ(network->description().input_shape, (std::vector<std::int64_t>{64}));
    const auto expected = open_checkpoint(path(name + ".out"));
    const torch::Tensor tokens = read_tensor(*expected, *expected->find("tokens")).to(torch::kLong);
    const torch::Tensor logits = read_tensor(*expected, *expected->find("logits"));
    const torch::NoGradGuard no_grad;
    const double apart =
        (network->forward(tokens).to(torch::kDouble) - logits).abs().max().item<double>();
    EXPECT_LT(apart, 1e-4) << name;
    network->to(torch::kDouble);
    EXPECT_LT((network->forward(tokens) - logits).abs().max().item<double>(), 1e-10) << name;
  }
}

TEST_F(LlamaFolder, KeepsOneTensorForTiedEmbeddings) {
  reference("write " + path("tied") + " tied 1");
  const auto network = load_network(*open_checkpoint(path("tied")));
  bool has_head = false;
  for (const auto& [name, tensor] : state_of(*network)) has_head |= name.starts_with("lm_head");
  EXPECT_FALSE(has_head);
  // As saved and loaded by ourselves, it is described by its metadata.
  save_network(path("own.safetensors"), *network, false);
  const auto again = load_network(*open_checkpoint(path("own.safetensors")));
  const torch::Tensor tokens = torch::arange(20, torch::kLong).view({2, 10});
  const torch::NoGradGuard no_grad;
  EXPECT_TRUE(torch::equal(network->forward(tokens), again->forward(tokens)));
}

TEST_F(LlamaFolder, SaysWhatItDoesNotCompute) {
  reference("write " + path("model") + " untied 1");
  const fs::path file = path("model") + "/config.json";
  nlohmann::json config;
  std::ifstream(file) >> config;
  const auto error_with = [&](const std::string& key, const nlohmann::json& value) -> std::string {
    nlohmann::json changed = config;
    changed[key] = value;
    if (value.is_null()) changed.erase(key);
    std::ofstream(file) << changed;
    try {
      load_network(*open_checkpoint(path("model")));
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(error_with("pad_token_id", 0), "no error");
  EXPECT_THAT(error_with("model_type", "gemma"), HasSubstr("config.json: model_type is \"gemma\""));
  EXPECT_THAT(error_with("hidden_act", "gelu"), HasSubstr("hidden_act is \"gelu\"; expected silu"));
  EXPECT_THAT(error_with("rope_scaling", {{"rope_type", "yarn"}, {"factor", 4}}),
              HasSubstr("rope_scaling.rope_type is \"yarn\""));
  EXPECT_THAT(error_with("sliding_window", 32), HasSubstr("sliding_window is 32"));
  EXPECT_EQ(error_with("sliding_window", 64), "no error");
  EXPECT_THAT(error_with("quantization_config", {{"bits", 4}}), HasSubstr("quantization_config"));
  EXPECT_THAT(error_with("hidden_size", nullptr), HasSubstr("hidden_size is missing"));
  EXPECT_THAT(error_with("hidden_size", 64), HasSubstr("has shape"));
  EXPECT_THAT(error_with("num_key_value_heads", 3), HasSubstr("divides num_attention_heads"));
  EXPECT_THAT(error_with("vocab_size", -1), HasSubstr("vocab_size is -1"));
  EXPECT_THAT(error_with("tie_word_embeddings", "yes"), HasSubstr("tie_word_embeddings"));
  EXPECT_EQ(error_with("tie_word_embeddings", true), "no error") << "lm_head is passed over";
}

TEST(Decoder, HasTheTensorsOfHuggingFace) {
  const auto network = toy_decoder({{"num_hidden_layers", 1}}, 1);
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const auto& [name, tensor] : state_of(*network)) shapes[name] = tensor.sizes().vec();
  const std::string layer = "model.layers.0.";
  const std::map<std::string, std::vector<std::int64_t>> expected{
      {"model.embed_tokens.weight", {5, 8}},
      {layer + "input_layernorm.weight", {8}},
      {layer + "self_attn.q_proj.weight", {8, 8}},
      {layer + "self_attn.k_proj.weight", {4, 8}},
      {layer + "self_attn.v_proj.weight", {4, 8}},
      {layer + "self_attn.o_proj.weight", {8, 8}},
      {layer + "post_attention_layernorm.weight", {8}},
      {layer + "mlp.gate_proj.weight", {12, 8}},
      {layer + "mlp.up_proj.weight", {12, 8}},
      {layer + "mlp.down_proj.weight", {8, 12}},
      {"model.norm.weight", {8}},
      {"lm_head.weight", {5, 8}}};
  EXPECT_EQ(shapes, expected);
}

TEST(Decoder, SeesNothingOfWhatComesLater) {
  const auto network = toy_decoder(nlohmann::json::object(), 2);
  const torch::NoGradGuard no_grad;
  const torch::Tensor tokens = counting(1, 1).inputs;
  torch::Tensor changed = tokens.clone();
  changed[0][5] = (tokens[0][5] + 1) % kVocabulary;
  const torch::Tensor moved =
      (network->forward(tokens) - network->forward(changed)).abs().amax({0, 2});
  for (std::int64_t t = 0; t < kContext; ++t) {
    EXPECT_EQ(moved[t].item<double>() > 0, t >= 5) << t;
  }
}

// x = (3, 4): mean square 12.5.
TEST(Decoder, RmsNormDividesByTheRootOfTheMeanSquare) {
  RmsNorm norm(2, 0.5);
  const torch::NoGradGuard no_grad;
  norm.weight.copy_(torch::tensor({1.F, 2.F}));
  const torch::Tensor y = norm.forward(torch::tensor({{3.F, 4.F}}), {});
  EXPECT_NEAR(y[0][0].item<double>(), 3 / std::sqrt(13.0), 1e-6);
  EXPECT_NEAR(y[0][1].item<double>(), 8 / std::sqrt(13.0), 1e-6);
}

// Width 4, theta 100: angles per position 1 and 100^(-1/2) = 0.1; entry 0 is paired with 2, 1 with
// 3.
TEST(Rotary, TurnsPairsOfEntriesByTheirPosition) {
  Rotary rotary({.theta = 100}, 4);
  torch::Tensor x = torch::zeros({1, 1, 4, 4});
  x[0][0][3] = torch::tensor({1.F, 2.F, 0.F, 0.F});
  const torch::Tensor y = rotary.rotate(x)[0][0][3];
  EXPECT_NEAR(y[0].item<double>(), std::cos(3.0), 1e-6);
  EXPECT_NEAR(y[1].item<double>(), 2 * std::cos(0.3), 1e-6);
  EXPECT_NEAR(y[2].item<double>(), std::sin(3.0), 1e-6);
  EXPECT_NEAR(y[3].item<double>(), 2 * std::sin(0.3), 1e-6);
}

// Frequencies 1, 0.1, 0.01, 0.001; in 628.3 = 200 pi tokens they go round 100, 10, 1 and 0.1 times.
TEST(Rotary, Llama3ScalesLowFrequenciesOnly) {
  const RotaryOptions options{.theta = 10'000,
                              .scaling = RotaryOptions::Scaling::llama3,
                              .factor = 4,
                              .low_frequency_factor = 0.5,
                              .high_frequency_factor = 2.5,
                              .original_context = 200 * std::acos(-1.0)};
  // 1 is a quarter of the way from 0.5 to 2.5: 0.75 * 0.01 / 4 + 0.25 * 0.01.
  EXPECT_THAT(
      rotary_frequencies(options, 8),
      ElementsAre(testing::DoubleNear(1, 1e-12), testing::DoubleNear(0.1, 1e-12),
                  testing::DoubleNear(0.004375, 1e-12), testing::DoubleNear(0.00025, 1e-12)));
}

// Two query heads of width 2 share one key and value head: with equal queries they compute the
// same.
TEST(Decoder, QueryHeadsShareKeysInNeighbouringGroups) {
  const auto network = toy_decoder({{"num_hidden_layers", 1}}, 3);
  const torch::NoGradGuard no_grad;
  torch::Tensor seen;
  for (auto& one : network->named_parameters()) {
    if (one.key() != "model.layers.0.self_attn.q_proj.weight") continue;
    one.value().narrow(0, 2, 2).copy_(one.value().narrow(0, 0, 2));  // head 1 = head 0
    one.value().narrow(0, 4, 2).copy_(one.value().narrow(0, 0, 2));  // head 2 = head 0
  }
  network->forward(counting(1, 1).inputs, [&](const Layer& layer, const torch::Tensor& input,
                                              const torch::Tensor&) {
    const auto* linear = dynamic_cast<const Linear*>(&layer);
    if (linear != nullptr &&
        linear == network->named_modules()["model.layers.0.self_attn.o_proj"].get()) {
      seen = input[0];
    }
  });
  ASSERT_TRUE(seen.defined());
  EXPECT_TRUE(torch::allclose(seen.narrow(1, 0, 2), seen.narrow(1, 2, 2))) << "one key head";
  EXPECT_FALSE(torch::allclose(seen.narrow(1, 0, 2), seen.narrow(1, 4, 2))) << "another";
}

TEST(Decoder, LearnsToCountAndIsTheSameWhenLoaded) {
  for (const bool tied : {false, true}) {
    const auto network = toy_decoder({{"tie_word_embeddings", tied}}, 3);
    TrainingRecipe recipe;
    recipe.network = nlohmann::json::object();
    recipe.epochs = 20;
    recipe.batch = 16;
    recipe.optimizer.kind = OptimizerOptions::Kind::adam;
    recipe.optimizer.learning_rate = 0.02;
    const Dataset data = counting(64, 1);
    const TrainingReport report =
        train(*network, data, recipe, {.progress = Progress::Mode::never});
    EXPECT_NEAR(report.epochs.front().loss, std::log(5.0), 0.7);
    EXPECT_LT(report.epochs.back().loss, 0.1);
    for (const auto& one : network->named_parameters()) {
      EXPECT_TRUE(one.value().grad().defined()) << one.key();
    }
    const Evaluation judged = evaluate(log_probabilities(predict_logits(*network, data)),
                                       data.labels, data.class_names, {.resamples = 0});
    EXPECT_EQ(judged.examples, 64U * 8U) << "every token";
    EXPECT_GT(judged.accuracy, 0.95);

    const fs::path path = fs::temp_directory_path() /
                          ("amalgam-counting-" + std::to_string(getpid()) + ".safetensors");
    save_network(path, *network, false);
    const auto loaded = load_network(*open_checkpoint(path));
    fs::remove(path);
    EXPECT_TRUE(torch::equal(predict_logits(*network, data), predict_logits(*loaded, data)));
    EXPECT_EQ(network->features(data.inputs).sizes().vec(), (std::vector<std::int64_t>{64, 8, 8}));
  }
}

// An example is a sequence: its gradient is that of the sum of log p over positions.
TEST(Decoder, FisherSquaresTheGradientOfEverySequence) {
  for (const bool tied : {false, true}) {
    const auto network = toy_decoder({{"tie_word_embeddings", tied}, {"attention_bias", true}}, 3);
    network->to(torch::kDouble);
    const Dataset data = counting(5, 2);
    std::map<std::string, torch::Tensor> expected;
    for (std::int64_t n = 0; n < 5; ++n) {
      const torch::Tensor log_probs =
          torch::log_softmax(network->forward(data.inputs.narrow(0, n, 1)), -1);
      const torch::Tensor sum =
          log_probs.gather(-1, data.labels.narrow(0, n, 1).unsqueeze(-1)).sum();
      const auto gradients = torch::autograd::grad({sum}, network->parameters());
      std::size_t i = 0;
      for (const auto& one : network->named_parameters()) {
        torch::Tensor& total = expected[one.key()];
        const torch::Tensor square = gradients[i++].square() / 5;
        total = total.defined() ? total + square : square;
      }
    }
    for (const auto& [name, tensor] :
         fisher_diagonal(*network, data, {.kind = FisherKind::empirical, .batch = 2})) {
      EXPECT_TRUE(torch::allclose(tensor, expected.at(name), 1e-9, 1e-14)) << name;
    }
    EXPECT_THROW(fisher_diagonal(*network, data), InputError) << "exact";
  }
}

// Over all tokens the sum is the Fisher itself: of every position and token by itself. Tied
// embeddings are used twice, and the scales of norms are in no layer.
TEST(Decoder, FisherOfTheTopTokensIsTheFullSumWhenAllAreTop) {
  for (const bool tied : {false, true}) {
    const auto network = toy_decoder({{"tie_word_embeddings", tied}}, 3);
    network->to(torch::kDouble);
    const Dataset data = counting(3, 2);
    const auto full = [&](std::int64_t top) {
      std::map<std::string, torch::Tensor> expected;
      for (std::int64_t n = 0; n < 3; ++n) {
        const torch::Tensor log_probs =
            torch::log_softmax(network->forward(data.inputs.narrow(0, n, 1)), -1)[0];
        for (std::int64_t t = 0; t < log_probs.size(0); ++t) {
          const torch::Tensor classes = std::get<1>(log_probs[t].topk(top));
          const torch::Tensor weights = torch::softmax(log_probs[t].detach().gather(0, classes), 0);
          for (std::int64_t k = 0; k < top; ++k) {
            const auto gradients =
                torch::autograd::grad({log_probs[t][classes[k].item<std::int64_t>()]},
                                      network->parameters(), {}, /*retain_graph=*/true);
            std::size_t i = 0;
            for (const auto& one : network->named_parameters()) {
              torch::Tensor& total = expected[one.key()];
              const torch::Tensor square = gradients[i++].square() * weights[k] / 3;
              total = total.defined() ? total + square : square;
            }
          }
        }
      }
      return expected;
    };
    const std::int64_t tokens = network->description().classes();
    for (const std::int64_t wanted : {tokens, std::int64_t{3}}) {
      const auto top = static_cast<std::uint64_t>(wanted);
      const auto expected = full(wanted);
      for (const auto& [name, tensor] :
           fisher_diagonal(*network, data, {.kind = FisherKind::top, .top = top, .batch = 2})) {
        EXPECT_TRUE(torch::allclose(tensor, expected.at(name), 1e-9, 1e-14)) << name << " " << top;
      }
    }
  }
}

TEST(Decoder, GramRowsAreTokens) {
  const auto network = toy_decoder(nlohmann::json::object(), 3);
  const GramSums sums = gram_sums(*network, counting(5, 2), 2);
  EXPECT_EQ(sums.at("model.layers.1.mlp.down_proj").rows, 40U);
  EXPECT_EQ(sums.at("lm_head").products.size(0), 8);
  EXPECT_EQ(sums.size(), 2U * 7U + 1U);
}

TEST(Decoder, RefusesDataThatDoNotFit) {
  const auto network = toy_decoder(nlohmann::json::object(), 3);
  const auto error_with = [&](const Dataset& data) -> std::string {
    try {
      check_fits(*network, data);
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  };
  Dataset data = counting(3, 1);
  EXPECT_EQ(error_with(data), "no error");
  EXPECT_THAT(error_with(toy_data(3, 1)), HasSubstr("not sequences of tokens"));
  Dataset longer = data;
  longer.inputs = torch::cat({data.inputs, data.inputs}, 1);
  EXPECT_THAT(error_with(longer),
              HasSubstr("sequences of 16 tokens, but the network reads at most 8"));
  Dataset more = data;
  more.class_names.emplace_back("5");
  EXPECT_THAT(error_with(more), HasSubstr("6 classes, but the network has 5 outputs"));
  Dataset outside = data;
  outside.inputs = data.inputs + 1;
  EXPECT_THAT(error_with(outside), HasSubstr("token 5, but the network's vocabulary has 5"));
  Dataset shorter = data;
  shorter.inputs = data.inputs.narrow(1, 0, 3);
  shorter.labels = data.labels.narrow(1, 0, 3);
  EXPECT_EQ(error_with(shorter), "no error");
  const auto image_network = toy_network("mlp", nlohmann::json::object(), 1);
  EXPECT_THROW(check_fits(*image_network, data), InputError);
}

TEST(Decoder, RefusesDescriptionsNamingTheKey) {
  const auto error_with = [](const std::string& key, const nlohmann::json& value) -> std::string {
    nlohmann::json json = to_json(decoder_description(kSmall));
    json[key] = value;
    try {
      make_network(parse_network_description(json, "file"), "file");
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(error_with("head_dim", 6), "no error");
  EXPECT_THAT(error_with("head_dim", 3),
              HasSubstr("head_dim is 3; expected heads of an even width"));
  EXPECT_THAT(error_with("hidden_size", 9), HasSubstr("divides hidden_size"));
  EXPECT_THAT(error_with("num_key_value_heads", 3), HasSubstr("num_key_value_heads is 3"));
  EXPECT_THAT(error_with("rms_norm_eps", -1), HasSubstr("rms_norm_eps is -1"));
  EXPECT_THAT(error_with("rope_scaling", {{"rope_type", "linear"}}),
              HasSubstr("rope_scaling.factor is missing"));
  EXPECT_THAT(error_with("input", {{"shape", {1, 6, 6}}}), HasSubstr("llama takes tokens"));
  EXPECT_THAT(error_with("hiden_size", 8), HasSubstr("did you mean 'hidden_size'"));
  nlohmann::json headed = to_json(decoder_description(kSmall));
  headed.erase("classes");
  headed["heads"] = nlohmann::json::parse(R"([{"name": "a", "classes": 5}])");
  EXPECT_THROW(make_network(parse_network_description(headed, "file"), "file"), InputError);
  nlohmann::json mlp = to_json(toy_description("mlp", nlohmann::json::object()));
  mlp["input"] = {{"shape", {8}}};
  EXPECT_THROW(make_network(parse_network_description(mlp, "file"), "file"), InputError);
}

}  // namespace
}  // namespace amalgam::learning
