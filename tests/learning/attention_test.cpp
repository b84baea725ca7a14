#include "amalgam/learning/attention.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam::learning {
namespace {

torch::Tensor random_tensor(const std::vector<std::int64_t>& shape, std::uint64_t seed) {
  torch::Tensor tensor = torch::empty(shape, torch::kDouble);
  RandomStream random(seed, "attention");
  auto* values = tensor.data_ptr<double>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i) values[i] = random.normal();
  return tensor;
}

// The formula, by libtorch's own operations.
torch::Tensor by_formula(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                         bool causal) {
  const std::int64_t shared = q.size(1) / k.size(1);
  torch::Tensor scores = torch::matmul(q, k.repeat_interleave(shared, 1).transpose(-2, -1)) /
                         std::sqrt(static_cast<double>(q.size(3)));
  if (causal) {
    scores =
        scores + torch::triu(torch::full({q.size(2), k.size(2)},
                                         -std::numeric_limits<double>::infinity(), q.options()),
                             1);
  }
  return torch::matmul(torch::softmax(scores, -1), v.repeat_interleave(shared, 1));
}

TEST(Attention, EqualsTheFormulaAndItsGradients) {
  for (const bool causal : {false, true}) {
    for (const std::int64_t key_heads : {1, 2, 4}) {
      const torch::Tensor q = random_tensor({3, 4, 7, 6}, 1).requires_grad_(true);
      const torch::Tensor k = random_tensor({3, key_heads, 7, 6}, 2).requires_grad_(true);
      const torch::Tensor v = random_tensor({3, key_heads, 7, 6}, 3).requires_grad_(true);
      const torch::Tensor ours = attend(q, k, v, causal);
      const torch::Tensor expected = by_formula(q, k, v, causal);
      EXPECT_TRUE(torch::allclose(ours, expected, 1e-10, 1e-12));
      const torch::Tensor direction = random_tensor({3, 4, 7, 6}, 4);
      const auto gradients = torch::autograd::grad({(ours * direction).sum()}, {q, k, v});
      const auto theirs = torch::autograd::grad({(expected * direction).sum()}, {q, k, v});
      for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_TRUE(torch::allclose(gradients[i], theirs[i], 1e-10, 1e-12)) << i;
      }
    }
  }
}

// Views into one tensor, as networks have them, and rows that are not whole.
TEST(Attention, TakesAnyStrides) {
  const torch::Tensor qkv = random_tensor({2, 5, 3, 4, 6}, 1).to(torch::kFloat);
  const torch::Tensor parts = qkv.permute({2, 0, 3, 1, 4});
  const torch::Tensor ours = attend(parts[0], parts[1], parts[2], false);
  const torch::Tensor whole =
      attend(parts[0].contiguous(), parts[1].contiguous(), parts[2].contiguous(), false);
  EXPECT_TRUE(torch::equal(ours, whole));
  const torch::Tensor turned = parts[0].transpose(2, 3).contiguous().transpose(2, 3);
  EXPECT_TRUE(torch::equal(attend(turned, parts[1], parts[2], false), whole));
  EXPECT_TRUE(torch::allclose(whole, by_formula(parts[0], parts[1], parts[2], false), 1e-5, 1e-6));
}

TEST(Attention, OfMoreKeysThanQueries) {
  const torch::Tensor q = random_tensor({1, 2, 3, 4}, 1);
  const torch::Tensor k = random_tensor({1, 2, 9, 4}, 2);
  const torch::Tensor v = random_tensor({1, 2, 9, 4}, 3);
  EXPECT_TRUE(torch::allclose(attend(q, k, v, false), by_formula(q, k, v, false), 1e-10, 1e-12));
  EXPECT_THROW(attend(q, k, v, true), Error);
  EXPECT_THROW(attend(q, k.to(torch::kFloat), v, false), Error);
  EXPECT_THROW(attend(q, random_tensor({1, 2, 9, 5}, 2), v, false), Error);
}

TEST(Attention, IsFiniteForHugeScores) {
  const torch::Tensor q = torch::full({1, 1, 2, 2}, 1e4F);
  const torch::Tensor out = attend(q, q, torch::ones({1, 1, 2, 2}), true);
  EXPECT_TRUE(torch::equal(out, torch::ones({1, 1, 2, 2})));
}

}  // namespace
}  // namespace amalgam::learning
