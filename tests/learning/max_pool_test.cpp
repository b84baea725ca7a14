#include "amalgam/learning/max_pool.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace amalgam::learning {
namespace {

// Values and gradients of libtorch's own pooling and of ours.
void expect_same(const torch::Tensor& images) {
  torch::Tensor ours = images.detach().clone().requires_grad_();
  torch::Tensor theirs = images.detach().clone().requires_grad_();
  const torch::Tensor pooled = max_pool_2x2(ours);
  const torch::Tensor expected = torch::max_pool2d(theirs, 2);
  ASSERT_EQ(pooled.sizes(), expected.sizes());
  ASSERT_TRUE(torch::allclose(pooled, expected, 0, 0, /*equal_nan=*/true));
  const torch::Tensor weights = torch::randn(expected.sizes(), images.options());
  pooled.backward(weights);
  expected.backward(weights);
  EXPECT_TRUE(torch::equal(ours.grad(), theirs.grad()));
}

TEST(MaxPool, IsThatOfLibtorchWithItsGradient) {
  torch::manual_seed(1);
  expect_same(torch::randn({3, 2, 8, 10}));
  expect_same(torch::randn({3, 2, 7, 9}));
  expect_same(torch::randn({40, 16, 28, 28}));
  expect_same(torch::randn({2, 3, 6, 6}, torch::kDouble));
  expect_same(torch::randn({2, 6, 6, 3}).permute({0, 3, 1, 2}));
}

// Rows of fewer windows than go into a vector, and of any number left over.
TEST(MaxPool, WorksForRowsOfAnyLength) {
  torch::manual_seed(4);
  for (std::int64_t columns = 2; columns < 20; ++columns) {
    for (const torch::ScalarType type : {torch::kFloat, torch::kDouble}) {
      expect_same(torch::randint(-2, 3, {2, 2, 5, columns}).to(type));
    }
  }
}

TEST(MaxPool, GivesTheGradientToTheFirstOfEqualValues) {
  torch::manual_seed(2);
  expect_same(torch::zeros({2, 2, 6, 6}));
  expect_same(torch::randint(-1, 2, {5, 3, 8, 8}).to(torch::kFloat));
}

TEST(MaxPool, SeesWhatIsNoNumber) {
  torch::manual_seed(3);
  torch::Tensor images = torch::randn({4, 2, 6, 6});
  images.masked_fill_(torch::rand({4, 2, 6, 6}) < 0.2, std::numeric_limits<float>::quiet_NaN());
  expect_same(images);
  expect_same(torch::full({1, 1, 4, 4}, -std::numeric_limits<float>::infinity()));
}

TEST(MaxPool, WorksWithoutGradients) {
  const torch::Tensor images = torch::randn({2, 2, 4, 4});
  const torch::InferenceMode inference;
  EXPECT_TRUE(torch::equal(max_pool_2x2(images), torch::max_pool2d(images, 2)));
}

}  // namespace
}  // namespace amalgam::learning
