#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/learning/batch_norm.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/trainer.hpp"
#include "amalgam/weights/learned/matching.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learning {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

using State = std::map<std::string, torch::Tensor>;

State state_map(const Network& network) {
  State state;
  for (const auto& [name, tensor] : state_of(network)) state[name] = tensor.detach();
  return state;
}

// A ResNet whose scales, biases and statistics are all different, as after training.
std::shared_ptr<Network> worn_resnet(const nlohmann::json& options, std::uint64_t seed) {
  auto network = toy_network("resnet", options, seed);
  const torch::NoGradGuard no_grad;
  RandomStream random(seed, "worn");
  for (auto& [name, tensor] : state_of(*network)) {
    if (tensor.dim() != 1) continue;
    const double centre = name.ends_with("running_var") || name.ends_with("weight") ? 1 : 0;
    for (std::int64_t i = 0; i < tensor.size(0); ++i) {
      tensor[i] = centre + 0.5 * (random.uniform() - 0.5);
    }
  }
  network->eval();
  return network;
}

// [channels][rows][columns] of one image.
using Image = std::vector<std::vector<std::vector<double>>>;

Image convolve(const Image& x, const torch::Tensor& weight, std::int64_t stride,
               std::int64_t padding) {
  const auto w = weight.accessor<double, 4>();
  const auto rows = static_cast<std::int64_t>(x[0].size());
  const std::int64_t kernel = w.size(2);
  const std::int64_t out = (rows + 2 * padding - kernel) / stride + 1;
  Image y(static_cast<std::size_t>(w.size(0)),
          std::vector(static_cast<std::size_t>(out),
                      std::vector<double>(static_cast<std::size_t>(out), 0.0)));
  for (std::int64_t o = 0; o < w.size(0); ++o) {
    for (std::int64_t r = 0; r < out; ++r) {
      for (std::int64_t c = 0; c < out; ++c) {
        double sum = 0;
        for (std::int64_t i = 0; i < w.size(1); ++i) {
          for (std::int64_t kr = 0; kr < kernel; ++kr) {
            for (std::int64_t kc = 0; kc < kernel; ++kc) {
              const std::int64_t row = r * stride + kr - padding;
              const std::int64_t column = c * stride + kc - padding;
              if (row < 0 || column < 0 || row >= rows || column >= rows) continue;
              sum += w[o][i][kr][kc] * x[static_cast<std::size_t>(i)][static_cast<std::size_t>(row)]
                                        [static_cast<std::size_t>(column)];
            }
          }
        }
        y[static_cast<std::size_t>(o)][static_cast<std::size_t>(r)][static_cast<std::size_t>(c)] =
            sum;
      }
    }
  }
  return y;
}

Image normalise(Image x, const State& state, const std::string& name) {
  const auto value = [&](const char* what, std::size_t channel) {
    return state.at(name + what)[static_cast<std::int64_t>(channel)].item<double>();
  };
  for (std::size_t c = 0; c < x.size(); ++c) {
    const double scale = value(".weight", c) / std::sqrt(value(".running_var", c) + 1e-5);
    for (auto& row : x[c]) {
      for (double& one : row) {
        one = (one - value(".running_mean", c)) * scale + value(".bias", c);
      }
    }
  }
  return x;
}

Image relu_of_sum(Image x, const Image* other) {
  for (std::size_t c = 0; c < x.size(); ++c) {
    for (std::size_t r = 0; r < x[c].size(); ++r) {
      for (std::size_t k = 0; k < x[c][r].size(); ++k) {
        const double sum = x[c][r][k] + (other != nullptr ? (*other)[c][r][k] : 0.0);
        x[c][r][k] = sum > 0 ? sum : 0;
      }
    }
  }
  return x;
}

// Depth 8, written out from the definition.
std::vector<double> logits_by_definition(const State& state, const torch::Tensor& image) {
  const auto pixels = image.accessor<double, 3>();
  Image x(1, std::vector(6, std::vector<double>(6, 0.0)));
  for (std::size_t r = 0; r < 6; ++r) {
    for (std::size_t c = 0; c < 6; ++c) {
      x[0][r][c] =
          (pixels[0][static_cast<std::int64_t>(r)][static_cast<std::int64_t>(c)] - 0.4) / 0.2;
    }
  }
  x = relu_of_sum(normalise(convolve(x, state.at("conv1.weight"), 1, 1), state, "bn1"), nullptr);
  for (int stage = 1; stage <= 3; ++stage) {
    const std::string block = "layer" + std::to_string(stage) + ".0.";
    const std::int64_t stride = stage == 1 ? 1 : 2;
    Image inner = relu_of_sum(
        normalise(convolve(x, state.at(block + "conv1.weight"), stride, 1), state, block + "bn1"),
        nullptr);
    const Image outer =
        normalise(convolve(inner, state.at(block + "conv2.weight"), 1, 1), state, block + "bn2");
    const Image shortcut =
        stage == 1 ? x
                   : normalise(convolve(x, state.at(block + "downsample.0.weight"), 2, 0), state,
                               block + "downsample.1");
    x = relu_of_sum(outer, &shortcut);
  }
  std::vector<double> logits;
  for (std::int64_t k = 0; k < 4; ++k) {
    double logit = state.at("fc.bias")[k].item<double>();
    for (std::size_t c = 0; c < x.size(); ++c) {
      double mean = 0;
      for (const auto& row : x[c]) {
        for (const double one : row) mean += one;
      }
      mean /= static_cast<double>(x[c].size() * x[c].size());
      logit += mean * state.at("fc.weight")[k][static_cast<std::int64_t>(c)].item<double>();
    }
    logits.push_back(logit);
  }
  return logits;
}

TEST(Resnet, HasTheTensorsOfTorchvision) {
  const auto network = toy_network("resnet", {{"depth", 14}, {"width", 3}}, 1);
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const auto& [name, tensor] : state_of(*network)) shapes[name] = tensor.sizes().vec();
  using S = std::vector<std::int64_t>;
  EXPECT_EQ(shapes.at("conv1.weight"), (S{3, 1, 3, 3}));
  EXPECT_EQ(shapes.at("bn1.running_var"), (S{3}));
  EXPECT_EQ(shapes.at("layer1.1.conv2.weight"), (S{3, 3, 3, 3}));
  EXPECT_EQ(shapes.at("layer2.0.conv1.weight"), (S{6, 3, 3, 3}));
  EXPECT_EQ(shapes.at("layer2.0.downsample.0.weight"), (S{6, 3, 1, 1}));
  EXPECT_EQ(shapes.at("layer3.0.downsample.1.running_mean"), (S{12}));
  EXPECT_EQ(shapes.at("fc.weight"), (S{4, 12}));
  EXPECT_EQ(shapes.at("fc.bias"), (S{4}));
  EXPECT_FALSE(shapes.contains("conv1.bias"));
  EXPECT_FALSE(shapes.contains("layer1.0.downsample.0.weight"));
  EXPECT_FALSE(shapes.contains("layer2.1.downsample.0.weight"));
  // 13 convolutions, 2 projections, 15 norms of 4 tensors, and the last layer.
  EXPECT_EQ(shapes.size(), 15U + 15U * 4U + 2U);
}

TEST(Resnet, ComputesItsDefinition) {
  const auto network = worn_resnet({{"depth", 8}, {"width", 2}}, 4);
  network->to(torch::kDouble);
  const torch::Tensor images = toy_data(3, 2).inputs.to(torch::kDouble);
  const torch::NoGradGuard no_grad;
  const torch::Tensor logits = network->forward(images);
  const State state = state_map(*network);
  for (std::int64_t n = 0; n < 3; ++n) {
    const std::vector<double> expected = logits_by_definition(state, images[n]);
    for (std::int64_t k = 0; k < 4; ++k) {
      EXPECT_NEAR(logits[n][k].item<double>(), expected[static_cast<std::size_t>(k)], 1e-10);
    }
  }
}

TEST(Resnet, NewStatisticsAndScalesAreNeutral) {
  const State state = state_map(*toy_network("resnet", {{"width", 2}}, 1));
  EXPECT_TRUE(torch::equal(state.at("bn1.weight"), torch::ones(2)));
  EXPECT_TRUE(torch::equal(state.at("bn1.bias"), torch::zeros(2)));
  EXPECT_TRUE(torch::equal(state.at("bn1.running_mean"), torch::zeros(2)));
  EXPECT_TRUE(torch::equal(state.at("bn1.running_var"), torch::ones(2)));
}

TEST(Resnet, LearnsAndIsTheSameWhenLoaded) {
  const auto network = toy_network("resnet", {{"width", 4}}, 3);
  const Dataset data = toy_data(256, 1);
  TrainingRecipe recipe;
  recipe.network = nlohmann::json::object();
  recipe.epochs = 6;
  recipe.batch = 32;
  recipe.optimizer.learning_rate = 0.05;
  const TrainingReport report = train(*network, data, recipe, {.progress = Progress::Mode::never});
  EXPECT_LT(report.epochs.back().loss, 0.5 * report.epochs.front().loss);
  const Dataset test = toy_data(200, 2);
  const Evaluation judged = evaluate(log_probabilities(predict_logits(*network, test)), test.labels,
                                     test.class_names, {.resamples = 0});
  EXPECT_GT(judged.accuracy, 0.8);

  const fs::path path =
      fs::temp_directory_path() / ("amalgam-resnet-" + std::to_string(getpid()) + ".safetensors");
  save_network(path, *network, false);
  const auto loaded = load_network(*open_checkpoint(path));
  fs::remove(path);
  EXPECT_TRUE(torch::equal(predict_logits(*network, test), predict_logits(*loaded, test)));
}

TEST(Resnet, GradientsReachEveryParameter) {
  const auto network = toy_network("resnet", {{"width", 2}}, 3);
  network->train();
  torch::log_softmax(network->forward(toy_data(8, 1).inputs), 1).select(1, 0).sum().backward();
  for (const auto& one : network->named_parameters()) {
    ASSERT_TRUE(one.value().grad().defined()) << one.key();
    EXPECT_TRUE(one.value().grad().isfinite().all().item<bool>()) << one.key();
  }
}

TEST(Resnet, RefusesOptionsNamingThem) {
  const auto error_with = [](const nlohmann::json& options) -> std::string {
    try {
      make_network(toy_description("resnet", options), "file");
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(error_with({{"blocks", {1, 2}}, {"widths", {4, 4}}}), "no error");
  EXPECT_THAT(error_with({{"depth", 9}}), HasSubstr("depth is 9; expected 6 n + 2"));
  EXPECT_THAT(error_with({{"depth", 14}, {"blocks", {1}}}), HasSubstr("either depth or blocks"));
  EXPECT_THAT(error_with({{"blocks", nlohmann::json::array()}}), HasSubstr("blocks"));
  EXPECT_THAT(error_with({{"widths", {4, 4}}}), HasSubstr("one width for each of 3 stages"));
  EXPECT_THAT(error_with({{"width", 8192}}), HasSubstr("width is 8192"));
  EXPECT_THAT(error_with({{"inner", {4}}}), HasSubstr("one number for each of 3 blocks"));
  EXPECT_THAT(error_with({{"widht", 4}}), HasSubstr("did you mean 'width'"));
}

TEST(Resnet, RefusesToTrainOnASingleExample) {
  const auto network = toy_network("resnet", {{"blocks", {1, 1, 1, 1}}, {"width", 2}}, 1);
  network->train();
  EXPECT_THROW(network->forward(toy_data(1, 1).inputs), InputError);
  network->eval();
  EXPECT_NO_THROW(network->forward(toy_data(1, 1).inputs));
}

// Running statistics after one batch: 0.9 * old + 0.1 * (the batch's mean and unbiased variance).
TEST(BatchNorm, FollowsTheBatchesWithMomentum) {
  BatchNorm norm(2);
  const torch::NoGradGuard no_grad;
  norm.weight.fill_(1);
  norm.bias.zero_();
  norm.running_mean.fill_(1);
  norm.running_var.fill_(2);
  // Channel 0 holds 1, 3; channel 1 holds 0, 4.
  const torch::Tensor x = torch::tensor({1.F, 0.F, 3.F, 4.F}).view({2, 2, 1, 1});
  const torch::Tensor y = norm.forward(x, {});
  EXPECT_NEAR(y[0][0].item<double>(), -1 / std::sqrt(1 + 1e-5), 1e-6);
  EXPECT_NEAR(norm.running_mean[0].item<double>(), 0.9 * 1 + 0.1 * 2, 1e-6);
  EXPECT_NEAR(norm.running_var[0].item<double>(), 0.9 * 2 + 0.1 * 2, 1e-6);
  EXPECT_NEAR(norm.running_var[1].item<double>(), 0.9 * 2 + 0.1 * 8, 1e-6);
  norm.eval();
  const torch::Tensor still = norm.forward(x, {});
  EXPECT_NEAR(still[1][1].item<double>(), (4 - 1.1) / std::sqrt(2.6 + 1e-5), 1e-5);
}

// With all data in one batch, evaluation sees at every layer the statistics it has, up to the
// factor n / (n - 1) between the variance that normalises a batch and the running one; n >= 360
// here.
TEST(ResetBatchNorm, GivesEveryLayerTheMomentsOfTheData) {
  const auto network = worn_resnet({{"width", 3}}, 5);
  const Dataset data = toy_data(90, 7);
  const torch::NoGradGuard no_grad;
  // The largest distance of means in deviations, and of variances from their ratio 1.
  const auto worst_distance = [&] {
    double worst = 0;
    int norms = 0;
    network->forward(
        data.inputs, [&](const Layer& layer, const torch::Tensor& input, const torch::Tensor&) {
          const auto* norm = dynamic_cast<const BatchNorm*>(&layer);
          if (norm == nullptr) return;
          ++norms;
          const torch::Tensor rows = input.to(torch::kDouble).transpose(0, 1).flatten(1);
          const torch::Tensor variance = rows.var(1, /*unbiased=*/true);
          const torch::Tensor moved = (norm->running_mean - rows.mean(1)).abs() / variance.sqrt();
          const torch::Tensor ratio = (norm->running_var / variance - 1).abs();
          worst = std::max({worst, moved.max().item<double>(), ratio.max().item<double>()});
        });
    EXPECT_EQ(norms, 9);
    return worst;
  };
  EXPECT_GT(worst_distance(), 0.5);
  reset_batch_norm(*network, data, 1000);
  EXPECT_FALSE(network->is_training());
  EXPECT_LT(worst_distance(), 0.02);
}

// What the first layer sees does not depend on the batches, whose moments are merged exactly.
TEST(ResetBatchNorm, MergesBatchesExactly) {
  const auto network = worn_resnet({{"width", 3}}, 5);
  const Dataset data = toy_data(65, 7);  // 32, and 33 rather than 32 and 1
  reset_batch_norm(*network, data, 32);
  const State state = state_map(*network);
  const torch::Tensor x = (data.inputs - 0.4) / 0.2;
  const torch::Tensor rows = torch::conv2d(x, state.at("conv1.weight"), {}, 1, 1)
                                 .to(torch::kDouble)
                                 .transpose(0, 1)
                                 .flatten(1);
  EXPECT_TRUE(
      torch::allclose(state.at("bn1.running_mean").to(torch::kDouble), rows.mean(1), 1e-5, 1e-6));
  EXPECT_TRUE(
      torch::allclose(state.at("bn1.running_var").to(torch::kDouble), rows.var(1), 1e-5, 1e-6));
  reset_batch_norm(*network, data, 32);
  for (const auto& [name, tensor] : state_of(*network)) {
    EXPECT_TRUE(torch::equal(tensor, state.at(name))) << name << ": the same again";
  }
}

TEST(ResetBatchNorm, RefusesTooFewExamples) {
  const auto network = worn_resnet({{"width", 2}}, 5);
  EXPECT_THROW(reset_batch_norm(*network, toy_data(1, 1)), InputError);
  EXPECT_FALSE(has_batch_norm(*toy_network("mlp", nlohmann::json::object(), 1)));
  EXPECT_TRUE(has_batch_norm(*network));
}

// The running statistics of the last epoch are not those of the averaged weights.
TEST(ResetBatchNorm, FollowsAveragesOfWeightsInTraining) {
  const auto network = toy_network("resnet", {{"width", 3}}, 3);
  const Dataset data = toy_data(64, 1);
  TrainingRecipe recipe;
  recipe.network = nlohmann::json::object();
  recipe.epochs = 3;
  recipe.batch = 16;
  recipe.average.kind = AverageOptions::Kind::swa;
  train(*network, data, recipe, {.progress = Progress::Mode::never});
  const State state = state_map(*network);
  const torch::Tensor x = (data.inputs - 0.4) / 0.2;
  const torch::Tensor rows = torch::conv2d(x, state.at("conv1.weight"), {}, 1, 1)
                                 .to(torch::kDouble)
                                 .transpose(0, 1)
                                 .flatten(1);
  EXPECT_TRUE(
      torch::allclose(state.at("bn1.running_mean").to(torch::kDouble), rows.mean(1), 1e-4, 1e-5));
  EXPECT_TRUE(
      torch::allclose(state.at("bn1.running_var").to(torch::kDouble), rows.var(1), 1e-4, 1e-5));
}

TEST(PermutationSpec, OfAResnetTiesItsStreams) {
  const auto network = worn_resnet({{"depth", 14}, {"width", 3}}, 6);
  const learned::PermutationSpec spec = learned::permutation_spec(*network);
  // Three streams, one per stage, and what is inside each of six blocks.
  ASSERT_EQ(spec.groups.size(), 9U);
  EXPECT_EQ(spec.groups[0].name, "conv1");
  std::vector<std::string> stream;
  for (const auto& axis : spec.groups[0].axes) {
    stream.push_back(axis.tensor + ":" + std::to_string(axis.axis));
  }
  EXPECT_THAT(
      stream,
      testing::UnorderedElementsAre(
          "conv1.weight:0", "bn1.weight:0", "bn1.bias:0", "bn1.running_mean:0", "bn1.running_var:0",
          "layer1.0.conv1.weight:1", "layer1.0.conv2.weight:0", "layer1.0.bn2.weight:0",
          "layer1.0.bn2.bias:0", "layer1.0.bn2.running_mean:0", "layer1.0.bn2.running_var:0",
          "layer1.1.conv1.weight:1", "layer1.1.conv2.weight:0", "layer1.1.bn2.weight:0",
          "layer1.1.bn2.bias:0", "layer1.1.bn2.running_mean:0", "layer1.1.bn2.running_var:0",
          "layer2.0.conv1.weight:1", "layer2.0.downsample.0.weight:1"));
  EXPECT_EQ(spec.layers.size(), 16U) << "convolutions and the last layer, no norms";
}

TEST(Permuted, ResnetsComputeTheSame) {
  const auto network = worn_resnet({{"depth", 14}, {"width", 4}}, 6);
  const learned::PermutationSpec spec = learned::permutation_spec(*network);
  learned::Permutations order;
  for (const auto& group : spec.groups) {
    order.push_back(learned::random_permutation(group.units, 1, group.name));
  }
  const auto other = network_with(*network, learned::permuted(spec, state_of(*network), order));
  const Dataset data = toy_data(50, 1);
  const torch::NoGradGuard no_grad;
  const torch::Tensor difference =
      (network->forward(data.inputs) - other->forward(data.inputs)).abs().max();
  EXPECT_LE(difference.item<double>(), 1e-4);
  EXPECT_FALSE(torch::equal(all_parameters(*network), all_parameters(*other)));
  EXPECT_NO_THROW(learned::check_specification(*network, spec, 3));

  // And both ways of matching find the order again.
  const learned::Matching by_weights = learned::match_weights(spec, *network, *other, {.seed = 1});
  EXPECT_EQ(by_weights.partners, learned::inverse(order));
  const learned::Matching by_activations =
      learned::match_activations(spec, learned::pair_grams(*network, *other, data));
  for (std::size_t g = 0; g < spec.groups.size(); ++g) {
    EXPECT_NEAR(by_activations.matched(g), 0, 1e-3) << spec.groups[g].name;
  }
}

}  // namespace
}  // namespace amalgam::learning
