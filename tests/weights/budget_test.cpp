#include "amalgam/weights/budget.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "amalgam/checkpoint/stored_tensors.hpp"
#include "amalgam/weights/rule.hpp"

namespace amalgam {
namespace {

// Tensors of which only the shapes are looked at.
class Shapes : public TensorSource {
 public:
  explicit Shapes(const std::vector<std::uint64_t>& elements) {
    std::vector<TensorInfo> infos;
    for (std::size_t i = 0; i < elements.size(); ++i) {
      infos.push_back(
          make_tensor_info("t" + std::to_string(i), DType::bf16, {elements[i]}, "test"));
    }
    set_tensors("test", std::move(infos));
  }
  void read_bytes(std::size_t, std::uint64_t, std::span<std::byte>) const override {}
};

class StoredShapes final : public Shapes, public StoredTensors {
 public:
  using Shapes::Shapes;
  bool is_stored(std::size_t /*tensor*/) const override { return true; }
};

// Base and two members, by model_stock, which passes over its inputs twice.
template <class Source>
MergePlan plan_of(const std::vector<std::uint64_t>& elements) {
  MergePlan plan;
  plan.rule = &find_merge_rule("model_stock");
  for (int i = 0; i < 3; ++i) plan.sources.push_back(std::make_shared<Source>(elements));
  Parameters parameters;
  parameters.set("filter_wise", false);
  for (std::size_t t = 0; t < elements.size(); ++t) {
    PlanTensor tensor;
    tensor.output = plan.sources[0]->tensors()[t];
    tensor.members = {{1, t}, {2, t}};
    tensor.base = PlanInput{0, t};
    tensor.member_parameters.resize(2);
    tensor.parameters = parameters;
    plan.tensors.push_back(tensor);
  }
  return plan;
}

template <class Source>
std::uint64_t limit_of(const std::vector<std::uint64_t>& elements) {
  const MergePlan plan = plan_of<Source>(elements);
  return resident_limit(plan, group_units(plan));
}

constexpr std::uint64_t kMillion = 1'000'000;

TEST(ResidentLimit, AFewLargeUnitsAreReadAgain) {
  // 38 units of 36 MB, and two of 300 MB: touching 264 MB more costs more than reading 600 MB
  // again.
  std::vector<std::uint64_t> elements(38, 6 * kMillion);
  elements.push_back(50 * kMillion);
  elements.push_back(50 * kMillion);
  EXPECT_EQ(limit_of<StoredShapes>(elements), 36 * kMillion);
  // Of five such it does not.
  elements.insert(elements.end(), 3, 50 * kMillion);
  EXPECT_EQ(limit_of<StoredShapes>(elements), 300 * kMillion);
}

TEST(ResidentLimit, ASingleLargeUnitIsReadAgainAndASmallOneKept) {
  EXPECT_EQ(limit_of<StoredShapes>({50 * kMillion}), 0U);
  EXPECT_EQ(limit_of<StoredShapes>({5 * kMillion}), 30 * kMillion);
  EXPECT_EQ(limit_of<StoredShapes>({}), 0U);
}

TEST(ResidentLimit, WhatIsComputedIsKept) {
  EXPECT_EQ(limit_of<Shapes>({50 * kMillion}), 300 * kMillion);
  EXPECT_EQ(limit_of<Shapes>({5 * kMillion, 50 * kMillion, kMillion}), 300 * kMillion);
}

}  // namespace
}  // namespace amalgam
