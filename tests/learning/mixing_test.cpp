// CutMix, mixup and what they refuse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/batches.hpp"
#include "amalgam/learning/trainer.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learning {
namespace {

using testing::HasSubstr;

TrainingRecipe recipe_of(nlohmann::json json) {
  json["network"] = {{"architecture", "mlp"}, {"hidden", {4}}};
  return parse_recipe(std::move(json), "test");
}

// Images of 8 x 10 in which every pixel of example n is n.
Dataset numbered_images(std::int64_t count) {
  Dataset data;
  data.source = "numbered";
  data.class_names = {"even", "odd"};
  data.inputs = torch::arange(count, torch::kFloat)
                    .view({count, 1, 1, 1})
                    .expand({-1, 1, 8, 10})
                    .contiguous();
  data.labels = torch::arange(count).remainder(2);
  return data;
}

// The card's worked numbers: 28 x 28, a quarter of the area.
TEST(CutBox, HasTheAreaThatIsAskedForAndIsClipped) {
  const CutBox middle = cut_box(28, 28, .75, 14, 14);
  EXPECT_EQ(middle.area(), 196);
  EXPECT_EQ(middle.top, 7);
  EXPECT_EQ(middle.bottom, 21);
  const CutBox corner = cut_box(28, 28, .75, 0, 0);
  EXPECT_EQ(corner.area(), 49);
  EXPECT_EQ(corner.right, 7);
  EXPECT_EQ(cut_box(28, 28, 1, 14, 14).area(), 0);
  EXPECT_EQ(cut_box(28, 28, 0, 14, 14).area(), 28 * 28);
  // Sides keep the image's shape: half of 8 and of 20.
  const CutBox wide = cut_box(8, 20, .75, 4, 10);
  EXPECT_EQ(wide.bottom - wide.top, 4);
  EXPECT_EQ(wide.right - wide.left, 10);
}

TEST(Batches, CutmixReplacesABoxAndWeighsByWhatIsLeft) {
  const Dataset data = numbered_images(6);
  const TrainingRecipe recipe = recipe_of({{"batch", 6}, {"cutmix", 1.0}});
  Batches batches(data, recipe);
  double shares = 0;
  bool was_mixed = false;
  constexpr int kDraws = 400;
  for (std::uint64_t epoch = 0; epoch < kDraws; ++epoch) {
    const Batch batch = batches.get(epoch, 0);
    const Batch plain = Batches(data, recipe_of({{"batch", 6}})).get(epoch, 0);
    ASSERT_TRUE(torch::equal(batch.labels, plain.labels));
    ASSERT_TRUE(torch::equal(batch.second_labels, plain.labels.flip(0)));
    for (std::int64_t i = 0; i < 6; ++i) {
      const auto own = plain.inputs[i][0][0][0].item<float>();
      const auto other = plain.inputs[5 - i][0][0][0].item<float>();
      const torch::Tensor pixels = batch.inputs[i][0];
      const auto kept = pixels.eq(own).sum().item<std::int64_t>();
      ASSERT_EQ(pixels.eq(other).sum().item<std::int64_t>(), 80 - kept);
      ASSERT_NEAR(static_cast<double>(kept) / 80, batch.share, 1e-12);
    }
    was_mixed = was_mixed || (batch.share > 0 && batch.share < 1);
    shares += batch.share;
  }
  EXPECT_TRUE(was_mixed);
  // Boxes take half of the image on average before clipping, which makes them smaller.
  EXPECT_GT(shares / kDraws, 0.5);
  EXPECT_LT(shares / kDraws, 0.8);
}

TEST(Batches, AnExampleAloneIsNotMixed) {
  const Dataset data = numbered_images(1);
  for (const char* kind : {"mixup", "cutmix"}) {
    const Batch batch = Batches(data, recipe_of({{"batch", 4}, {kind, 1.0}})).get(0, 0);
    EXPECT_EQ(batch.share, 1.0);
    EXPECT_FALSE(batch.second_labels.defined());
    EXPECT_TRUE(torch::equal(batch.inputs, data.inputs));
  }
}

TEST(TrainingLoss, MixingAnExampleWithOneOfItsClassIsItsOwnLoss) {
  Batch batch;
  batch.labels = torch::tensor({1L});
  const torch::Tensor logits = torch::tensor({{1.0F, 2.0F, 0.5F}});
  const double plain = training_loss(logits, batch, 0.1).item<double>();
  batch.second_labels = batch.labels;
  for (const double share : {0.5, 1.0}) {
    batch.share = share;
    EXPECT_NEAR(training_loss(logits, batch, 0.1).item<double>(), plain, 1e-6);
  }
}

// Label smoothing by 0.1 over ten classes: the least loss is the entropy of the target (.91, nine
// times .01), 0.500288 nats, at logits that differ by ln 91.
TEST(TrainingLoss, SmoothedTargetsAreReachedAtTheirEntropy) {
  Batch batch;
  batch.labels = torch::tensor({0L});
  torch::Tensor logits = torch::zeros({1, 10});
  logits[0][0] = 4.510860;
  EXPECT_NEAR(training_loss(logits, batch, 0.1).item<double>(), 0.500288, 1e-5);
  for (const double other : {4.4, 4.6}) {
    logits[0][0] = other;
    EXPECT_GT(training_loss(logits, batch, 0.1).item<double>(), 0.500288 + 1e-6);
  }
}

TEST(Mixing, IsRefusedForDataThatCannotBeMixed) {
  Dataset table = numbered_images(4);
  table.inputs = torch::rand({4, 3, 1, 1});
  table.source = "t.csv";
  Dataset text = table;
  text.inputs = torch::zeros({4, 5}, torch::kLong);
  text.labels = text.inputs;
  const auto refused = [](const nlohmann::json& json, const Dataset& data, const char* part) {
    try {
      check_mixing(recipe_of(json), data);
      ADD_FAILURE() << "accepted " << json;
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr(part));
    }
  };
  refused({{"cutmix", 1.0}}, table, "t.csv: the recipe's 'cutmix' needs images");
  refused({{"cutmix", 1.0}}, text, "'cutmix'");
  refused({{"mixup", 1.0}}, text, "'mixup'");
  refused({{"augment", {{"noise", 0.1}}}}, table, "'augment'");
  check_mixing(recipe_of({{"mixup", 1.0}}), table);
  EXPECT_THROW(recipe_of({{"mixup", 0.2}, {"cutmix", 1.0}}), InputError);
  EXPECT_THROW(recipe_of({{"cutmix", -1.0}}), InputError);
}

}  // namespace
}  // namespace amalgam::learning
