#include "amalgam/weights/adapter_methods.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/random.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"

namespace amalgam {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pointwise;

std::vector<double> normal(std::size_t count, std::uint64_t seed) {
  RandomStream random(seed, "adapter methods");
  std::vector<double> values(count);
  for (double& value : values) value = random.normal();
  return values;
}

SharedSource memory(std::vector<MemoryTensor> tensors, std::string label) {
  return std::make_shared<MemorySource>(std::move(label), std::move(tensors));
}

MemoryTensor zero(const Shape& shape) {
  return make_tensor("q.weight", shape, std::vector<double>(shape[0] * shape[1], 0.0));
}

Adapter lora(std::size_t rows, std::size_t columns, std::size_t rank, std::uint64_t seed) {
  AdapterConfig config;
  config.rank = rank;
  config.alpha = 3;
  return make_adapter(memory({make_tensor("base_model.model.q.lora_A.weight", {rank, columns},
                                          normal(rank * columns, seed)),
                              make_tensor("base_model.model.q.lora_B.weight", {rows, rank},
                                          normal(rows * rank, seed + 1))},
                             "lora"),
                      config, "lora");
}

// What an adapter adds to q.weight.
std::vector<double> change_of(Adapter adapter, const Shape& shape) {
  return values_of(*apply_adapter(memory({zero(shape)}, "zero"), std::move(adapter)), "q.weight");
}

Adapter written(const AdapterResult& result) {
  const TemporaryFolder folder;
  write_adapter(folder.path(), result.adapter, DType::f32);
  return open_adapter(folder.path());
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

RC_GTEST_PROP(AdapterMerge, ConcatenationAndExactAreTheWeightedSum, ()) {
  const auto rows = *rc::gen::inRange<std::size_t>(2, 20);
  const auto columns = *rc::gen::inRange<std::size_t>(2, 20);
  const Shape shape = {rows, columns};
  const Adapter a = lora(rows, columns, *rc::gen::inRange<std::size_t>(1, 5), 1);
  const Adapter b = lora(rows, columns, *rc::gen::inRange<std::size_t>(1, 5), 7);
  std::vector<double> expected = change_of(a, shape);
  const std::vector<double> other = change_of(b, shape);
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = 0.5 * expected[i] - 2 * other[i];
  for (const char* method : {"cat", "exact"}) {
    const AdapterResult merged = merge_adapters({a, b}, {.method = method, .weights = {0.5, -2}});
    RC_ASSERT(distance(change_of(written(merged), shape), expected) < 1e-4);
  }
}

TEST(AdapterMerge, ExactFindsThatEqualAdaptersNeedNoMoreFactors) {
  const Adapter a = lora(12, 9, 3, 1);
  const AdapterResult merged = merge_adapters({a, a}, {.method = "exact"});
  ASSERT_EQ(merged.modules.size(), 1U);
  EXPECT_EQ(merged.modules[0].rank, 3U);
}

TEST(AdapterMerge, SvdLeavesTheErrorItReports) {
  const Shape shape = {15, 11};
  const Adapter a = lora(15, 11, 3, 1);
  const Adapter b = lora(15, 11, 3, 7);
  const auto whole = change_of(written(merge_adapters({a, b}, {.method = "cat"})), shape);
  const AdapterResult merged = merge_adapters({a, b}, {.method = "svd", .keep = {.rank = 2}});
  EXPECT_EQ(merged.modules[0].rank, 2U);
  const double error = distance(change_of(written(merged), shape), whole);
  const double norm = distance(whole, std::vector<double>(whole.size()));
  EXPECT_NEAR(error * error / (norm * norm), 1 - merged.modules[0].energy, 1e-5);
  EXPECT_LT(merged.modules[0].energy, 0.999);
}

TEST(AdapterMerge, RulesWorkOnTheChanges) {
  // TIES of [4 -1 .5 2] and [-2 3 1 .1] at density 0.5 is [4 3 0 2] (docs/formats/recipes.md).
  const auto row = [](const std::vector<double>& values) {
    AdapterConfig config;
    config.rank = 1;
    config.alpha = 1;
    return make_adapter(memory({make_tensor("base_model.model.q.lora_A.weight", {1, 4}, values),
                                make_tensor("base_model.model.q.lora_B.weight", {1, 1}, {1})},
                               "row"),
                        config, "row");
  };
  const AdapterResult merged =
      merge_adapters({row({4, -1, 0.5, 2}), row({-2, 3, 1, 0.1})},
                     {.method = "ties", .parameters = {"density=0.5", "weight=1"}});
  EXPECT_THAT(change_of(written(merged), {1, 4}), Pointwise(DoubleNear(1e-5), {4., 3., 0., 2.}));
}

TEST(AdapterMerge, NamesTheAdapterAndModuleOfWhatIsNotFinite) {
  Adapter bad = lora(3, 3, 1, 1);
  bad.tensors = memory({make_tensor("base_model.model.q.lora_A.weight", {1, 3}, {1, NAN, 1}),
                        make_tensor("base_model.model.q.lora_B.weight", {3, 1}, {1, 1, 1})},
                       "bad");
  bad.label = "bad";
  for (const char* method : {"cat", "exact", "svd"}) {
    EXPECT_THAT(error_of([&] {
                  merge_adapters({lora(3, 3, 1, 2), bad}, {.method = method, .keep = {.rank = 1}});
                }),
                HasSubstr("bad: module 'q' has nan in a factor"))
        << method;
  }
}

TEST(AdapterMerge, RefusesWhatHasNoSum) {
  const auto error = [](std::vector<Adapter> adapters, const std::string& method) {
    return error_of([&] { merge_adapters(std::move(adapters), {.method = method}); });
  };
  EXPECT_THAT(error({lora(3, 3, 1, 1), lora(3, 4, 1, 1)}, "cat"),
              HasSubstr("changes a weight of shape [3, 4], but another adapter one of [3, 3]"));
  EXPECT_THAT(error({lora(3, 3, 1, 1), lora(3, 3, 1, 2)}, "svd"), HasSubstr("give the rank"));
  EXPECT_THAT(error({lora(3, 3, 1, 1), lora(3, 3, 1, 2)}, "tise"), HasSubstr("'ties'"));
  EXPECT_THAT(error({lora(3, 3, 1, 1)}, "cat"), HasSubstr("at least two"));
}

TEST(AdapterExtract, FullRankGivesTheTunedModelBack) {
  const auto base = memory(
      {make_tensor("conv.weight", {3, 2, 2, 2}, normal(24, 1)),
       make_tensor("embed_tokens.weight", {7, 4}, normal(28, 2)),
       make_tensor("lm_head.weight", {7, 4}, normal(28, 3)),
       make_tensor("norm.weight", {4}, normal(4, 4)), make_tensor("q.bias", {5}, normal(5, 5)),
       make_tensor("q.weight", {5, 4}, normal(20, 6)),
       make_tensor("same.weight", {2, 2}, normal(4, 7))},
      "base");
  const auto tuned = memory(
      {make_tensor("conv.weight", {3, 2, 2, 2}, normal(24, 11)),
       make_tensor("embed_tokens.weight", {7, 4}, normal(28, 12)),
       make_tensor("lm_head.weight", {9, 4}, normal(36, 13)),
       make_tensor("norm.weight", {4}, normal(4, 14)), make_tensor("q.bias", {5}, normal(5, 15)),
       make_tensor("q.weight", {5, 4}, normal(20, 16)),
       make_tensor("same.weight", {2, 2}, normal(4, 7))},
      "tuned");
  for (const bool transposed : {false, true}) {
    const AdapterResult result =
        extract_adapter(*base, *tuned, {.keep = {.rank = 100}, .transposed = transposed});
    EXPECT_EQ(result.modules.size(), transposed ? 2U : 3U);
    const auto model = apply_adapter(base, written(result));
    for (const TensorInfo& info : tuned->tensors()) {
      EXPECT_LT(distance(values_of(*model, info.name), values_of(*tuned, info.name)), 2e-6)
          << info.name;
    }
    EXPECT_EQ(values_of(*model, "norm.weight"), values_of(*tuned, "norm.weight"));
  }
}

TEST(AdapterExtract, KeepsAsManyValuesAsTheEnergyNeeds) {
  // The change is diag(3, 1, 0): one value holds 0.9 of the energy.
  const auto base = memory({make_tensor("q.weight", {3, 3}, std::vector<double>(9, 1.0))}, "base");
  const auto tuned =
      memory({make_tensor("q.weight", {3, 3}, {4, 1, 1, 1, 2, 1, 1, 1, 1})}, "tuned");
  const auto rank = [&](double energy) {
    return extract_adapter(*base, *tuned, {.keep = {.energy = energy}}).modules.at(0).rank;
  };
  EXPECT_EQ(rank(0.85), 1U);
  EXPECT_EQ(rank(0.95), 2U);
  const auto one = extract_adapter(*base, *tuned, {.keep = {.rank = 1}});
  EXPECT_NEAR(one.modules.at(0).energy, 0.9, 1e-12);
  EXPECT_THAT(error_of([&] { extract_adapter(*base, *base, {}); }), HasSubstr("do not differ"));
}

TEST(AdapterExtract, RefusesModelsThatWereNotTunedFromTheBase) {
  const auto base = memory(
      {make_tensor("a.weight", {2, 2}, normal(4, 1)), make_tensor("b.weight", {2, 2}, normal(4, 2)),
       make_tensor("c.weight", {2, 2}, normal(4, 3))},
      "base");
  const auto error = [&](std::vector<MemoryTensor> tensors) {
    return error_of([&] { extract_adapter(*base, *memory(std::move(tensors), "tuned"), {}); });
  };
  const MemoryTensor a = make_tensor("a.weight", {2, 2}, normal(4, 4));
  const MemoryTensor b = make_tensor("b.weight", {2, 2}, normal(4, 5));
  EXPECT_THAT(error({a, b}), HasSubstr("tuned: tensor 'c.weight' of base is missing"));
  EXPECT_THAT(error({a}),
              HasSubstr("tuned: 2 tensors of base are missing, 'b.weight' the first of them"));
  EXPECT_THAT(error({make_tensor("x.weight", {2, 2}, normal(4, 4))}),
              HasSubstr("('x.weight' here, 'a.weight' there)"));
  EXPECT_THAT(error({a, b, make_tensor("c.weight", {2, 2}, {1, 2, INFINITY, 3})}),
              HasSubstr("tuned: tensor 'c.weight' has inf at index 2"));
}

// As libraries save them: constants, and a head that is tied to the embedding, are left out.
TEST(AdapterExtract, WhatNoTuningChangesMayBeMissing) {
  const auto base = memory({make_tensor("embed_tokens.weight", {3, 2}, normal(6, 1)),
                            make_tensor("h.0.attn.bias", {1, 1, 2, 2}, {1, 0, 1, 1}),
                            make_tensor("ids", {2}, {0, 1}, DType::i64),
                            make_tensor("lm_head.weight", {3, 2}, normal(6, 1)),
                            make_tensor("rotary_emb.inv_freq", {2}, {1, 2})},
                           "base");
  const auto tuned = memory({make_tensor("embed_tokens.weight", {3, 2}, normal(6, 2))}, "tuned");
  EXPECT_EQ(extract_adapter(*base, *tuned, {}).modules.size(), 1U);
  const auto untied = memory({make_tensor("embed_tokens.weight", {3, 2}, normal(6, 1)),
                              make_tensor("lm_head.weight", {3, 2}, normal(6, 3))},
                             "base");
  EXPECT_THAT(error_of([&] { extract_adapter(*untied, *tuned, {}); }),
              HasSubstr("tensor 'lm_head.weight' of base is missing"));
}

}  // namespace
}  // namespace amalgam
