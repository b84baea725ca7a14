// The engine's promises: the same bits for any threads and memory, every block once, exact copies,
// and clear refusals.
#include "amalgam/weights/engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>

#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/tensor/kernels.hpp"
#include "amalgam/weights/rules/typed.hpp"
#include "amalgam/weights/units.hpp"

namespace amalgam {
namespace {

using ::testing::HasSubstr;

// Subtracts from the first member the mean over the unit of all members' values: one reduction
// whose result depends on the order of floating-point additions, and on every element.
class CentreStatistic final : public TypedStatistic<CentreStatistic> {
 public:
  template <class T>
  void absorb_block(const Block<T>& block) {
    for (const T* member : block.members) {
      sum += kernels::sum(std::span<const T>(member, block.count));
    }
    count += block.count * block.members.size();
  }
  void combine_with(CentreStatistic& right) {
    sum += right.sum;
    count += right.count;
  }
  double sum = 0;
  std::uint64_t count = 0;
};

class CentreMerge final : public TypedMerge<CentreMerge> {
 public:
  bool needs_pass() const override { return !solved_; }
  std::unique_ptr<Statistic> make_statistic() const override {
    return std::make_unique<CentreStatistic>();
  }
  void solve(std::unique_ptr<Statistic> total) override {
    solved_ = true;
    if (!total) return;
    const auto& statistic = static_cast<const CentreStatistic&>(*total);
    counted = statistic.count;
    mean_ = statistic.sum / static_cast<double>(statistic.count);
  }
  template <class T>
  void apply_block(const Block<T>& block, std::span<double> out) const {
    for (std::size_t i = 0; i < block.count; ++i) {
      out[i] = static_cast<double>(block.members[0][i]) - mean_;
    }
  }
  std::uint64_t counted = 0;

 private:
  bool solved_ = false;
  double mean_ = 0;
};

class CentreRule final : public MergeRule {
 public:
  explicit CentreRule(Scope scope, bool rows = false) : scope_(scope), rows_(rows) {}
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{.name = "centre", .summary = "test", .source = "test"};
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return scope_; }
  bool whole_rows(const Parameters&) const override { return rows_; }
  std::vector<std::string> passes(const Parameters&) const override { return {"sum", "apply"}; }
  std::unique_ptr<UnitMerge> begin(const MergeUnit&) const override {
    return std::make_unique<CentreMerge>();
  }

 private:
  Scope scope_;
  bool rows_;
};

std::vector<double> random_values(std::uint64_t seed, std::size_t count) {
  RandomStream stream(seed, "values");
  std::vector<double> values(count);
  for (double& value : values) value = stream.normal();
  return values;
}

// Two members with tensors from empty to several leaves, in three types.
struct Fixture {
  std::vector<Shape> shapes = {{}, {0}, {7}, {3, 5}, {300, 401}, {131072 + 8192 + 3}, {2, 150001}};
  std::vector<DType> dtypes = {DType::f32, DType::bf16, DType::f64};
  MergePlan plan;

  explicit Fixture(const MergeRule& rule) {
    plan.rule = &rule;
    std::vector<TensorInfo> infos;
    for (std::size_t member = 0; member < 2; ++member) {
      std::vector<MemoryTensor> tensors;
      for (std::size_t i = 0; i < shapes.size(); ++i) {
        const std::string name = "layers." + std::to_string(i / 2) + ".t" + std::to_string(i);
        tensors.push_back(make_tensor(name, shapes[i],
                                      random_values(i * 2 + member, element_count(shapes[i], "t")),
                                      dtypes[i % dtypes.size()]));
        if (member == 0) infos.push_back(tensors.back().info);
      }
      plan.sources.push_back(
          std::make_shared<MemorySource>("member" + std::to_string(member), std::move(tensors)));
    }
    for (std::size_t i = 0; i < infos.size(); ++i) {
      PlanTensor tensor;
      tensor.output = infos[i];
      tensor.members = {{0, i}, {1, i}};
      tensor.member_parameters.resize(2);
      tensor.layer = i / 2;
      plan.tensors.push_back(tensor);
    }
  }

  std::vector<TensorInfo> outputs() const {
    std::vector<TensorInfo> infos;
    for (const PlanTensor& tensor : plan.tensors) infos.push_back(tensor.output);
    return infos;
  }

  std::vector<std::byte> merged(const EngineOptions& options) const {
    MemorySink sink(outputs());
    run_merge(plan, sink, options);
    const auto result = sink.take("merged");
    std::vector<std::byte> all;
    for (std::size_t i = 0; i < result->tensors().size(); ++i) {
      std::vector<std::byte> bytes(result->tensors()[i].bytes);
      result->read_bytes(i, 0, bytes);
      all.insert(all.end(), bytes.begin(), bytes.end());
    }
    return all;
  }
};

EngineOptions options_of(std::size_t threads, std::uint64_t memory, Runner runner) {
  EngineOptions options;
  options.parallel = {threads, runner};
  options.memory = memory;
  return options;
}

TEST(Engine, GivesTheSameBitsForAnyThreadsMemoryAndRunner) {
  for (const Scope scope : {Scope::tensor, Scope::layer, Scope::model}) {
    for (const bool rows : {false, true}) {
      const CentreRule rule(scope, rows);
      const Fixture fixture(rule);
      const auto expected = fixture.merged(options_of(1, 2'000'000'000, Runner::sequential));
      for (const std::size_t threads : {2, 3, 7}) {
        for (const std::uint64_t memory : {64'000'000ULL, 512'000'000ULL}) {
          for (const Runner runner : {Runner::std_thread, Runner::tbb}) {
            EXPECT_EQ(fixture.merged(options_of(threads, memory, runner)), expected)
                << "threads " << threads << " memory " << memory;
          }
        }
      }
    }
  }
}

TEST(Engine, SubtractsTheMeanOfEachScope) {
  // Two one-element tensors 1 and 5 in member 0, 3 and 7 in member 1. Means: per tensor 2 and 6,
  // per model 4.
  for (const auto& [scope, expected] :
       {std::pair{Scope::tensor, std::pair{-1.0, -1.0}}, {Scope::model, {-3.0, 1.0}}}) {
    const CentreRule rule(scope);
    MergePlan plan;
    plan.rule = &rule;
    for (const double add : {0.0, 2.0}) {
      std::vector<MemoryTensor> tensors;
      tensors.push_back(make_tensor("a", {1}, {1 + add}));
      tensors.push_back(make_tensor("b", {1}, {5 + add}));
      plan.sources.push_back(std::make_shared<MemorySource>("m", std::move(tensors)));
    }
    for (std::size_t i = 0; i < 2; ++i) {
      PlanTensor tensor;
      tensor.output = plan.sources[0]->tensors()[i];
      tensor.members = {{0, i}, {1, i}};
      tensor.member_parameters.resize(2);
      plan.tensors.push_back(tensor);
    }
    MemorySink sink({plan.tensors[0].output, plan.tensors[1].output});
    run_merge(plan, sink, options_of(2, 64'000'000, Runner::std_thread));
    const auto merged = sink.take("merged");
    EXPECT_DOUBLE_EQ(values_of(*merged, "a")[0], expected.first);
    EXPECT_DOUBLE_EQ(values_of(*merged, "b")[0], expected.second);
  }
}

TEST(Engine, GroupsTensorsByScope) {
  const CentreRule tensor_rule(Scope::tensor);
  EXPECT_EQ(group_units(Fixture(tensor_rule).plan).size(), 7U);
  const CentreRule layer_rule(Scope::layer);
  EXPECT_EQ(group_units(Fixture(layer_rule).plan).size(), 4U);
  const CentreRule model_rule(Scope::model);
  EXPECT_EQ(group_units(Fixture(model_rule).plan).size(), 1U);
  Fixture outside(layer_rule);
  outside.plan.tensors[0].layer.reset();
  outside.plan.tensors[1].layer.reset();
  EXPECT_EQ(group_units(outside.plan).size(), 5U);
}

// Records which blocks it was shown; wants only even ones in its pass.
class RecordingRule final : public MergeRule {
 public:
  struct Seen {
    std::mutex mutex;
    std::vector<std::pair<std::uint64_t, std::size_t>> pass;
    std::vector<std::pair<std::uint64_t, std::size_t>> apply;
  };
  class Recorded final : public TypedStatistic<Recorded> {
   public:
    explicit Recorded(Seen& seen) : seen_(seen) {}
    template <class T>
    void absorb_block(const Block<T>& block) {
      const std::scoped_lock lock(seen_.mutex);
      seen_.pass.emplace_back(block.first, block.count);
    }
    void combine_with(Recorded&) {}

   private:
    Seen& seen_;
  };
  class Merge final : public TypedMerge<Merge> {
   public:
    explicit Merge(Seen& seen) : seen_(seen) {}
    bool needs_pass() const override { return !done_; }
    std::unique_ptr<Statistic> make_statistic() const override {
      return std::make_unique<Recorded>(seen_);
    }
    bool wants_block(std::size_t, std::uint64_t first) const override {
      return first / kBlockElements % 2 == 0;
    }
    void solve(std::unique_ptr<Statistic>) override { done_ = true; }
    template <class T>
    void apply_block(const Block<T>& block, std::span<double> out) const {
      const std::scoped_lock lock(seen_.mutex);
      seen_.apply.emplace_back(block.first, block.count);
      std::fill(out.begin(), out.end(), 0.0);
    }

   private:
    Seen& seen_;
    bool done_ = false;
  };
  explicit RecordingRule(Seen& seen) : seen_(seen) {}
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{.name = "recording", .summary = "test", .source = "test"};
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::tensor; }
  std::vector<std::string> passes(const Parameters&) const override { return {"see", "apply"}; }
  std::unique_ptr<UnitMerge> begin(const MergeUnit&) const override {
    return std::make_unique<Merge>(seen_);
  }

 private:
  Seen& seen_;
};

TEST(Engine, ShowsEveryWantedBlockOnceAndSkipsTheOthers) {
  RecordingRule::Seen seen;
  const RecordingRule rule(seen);
  const std::size_t elements = 40 * kBlockElements + 5;
  MergePlan plan;
  plan.rule = &rule;
  std::vector<MemoryTensor> tensors;
  tensors.push_back(make_tensor("t", {elements}, std::vector<double>(elements, 1.0)));
  plan.sources.push_back(std::make_shared<MemorySource>("m", std::move(tensors)));
  PlanTensor tensor;
  tensor.output = plan.sources[0]->tensors()[0];
  tensor.members = {{0, 0}};
  tensor.member_parameters.resize(1);
  plan.tensors.push_back(tensor);
  MemorySink sink({tensor.output});
  run_merge(plan, sink, options_of(3, 64'000'000, Runner::std_thread));
  std::sort(seen.pass.begin(), seen.pass.end());
  std::sort(seen.apply.begin(), seen.apply.end());
  ASSERT_EQ(seen.pass.size(), 21U);
  ASSERT_EQ(seen.apply.size(), 41U);
  for (std::size_t i = 0; i < seen.apply.size(); ++i) {
    EXPECT_EQ(seen.apply[i].first, i * kBlockElements);
    EXPECT_EQ(seen.apply[i].second, i < 40 ? kBlockElements : 5);
    if (i % 2 == 0) {
      EXPECT_EQ(seen.pass[i / 2].first, i * kBlockElements);
    }
  }
}

TEST(Engine, GivesWholeRowsWhenAsked) {
  for (const auto& [shape, block] : {std::pair{Shape{100, 3}, 8190U},
                                     {Shape{4, 5000}, 5000U},
                                     {Shape{2, 20000}, 20000U},
                                     {Shape{12}, 12U * 682},
                                     {Shape{}, 8192U}}) {
    EXPECT_EQ(make_grid(shape, true).block_elements, block) << format_shape(shape);
  }
}

TEST(Engine, CountsTiedTensorsOnceInStatistics) {
  const CentreRule rule(Scope::model);
  MergePlan plan;
  plan.rule = &rule;
  std::vector<MemoryTensor> tensors;
  tensors.push_back(make_tensor("a", {2}, {1, 2}));
  tensors.push_back(make_tensor("b", {1}, {6}));
  tensors.push_back(make_tensor("c", {1}, {6}));
  plan.sources.push_back(std::make_shared<MemorySource>("m", std::move(tensors)));
  std::vector<TensorInfo> infos;
  for (std::size_t i = 0; i < 3; ++i) {
    PlanTensor tensor;
    tensor.output = plan.sources[0]->tensors()[i];
    tensor.members = {{0, i}};
    tensor.member_parameters.resize(1);
    tensor.tied = i == 2;
    infos.push_back(tensor.output);
    plan.tensors.push_back(tensor);
  }
  MemorySink sink(infos);
  run_merge(plan, sink, options_of(2, 64'000'000, Runner::std_thread));
  const auto merged = sink.take("merged");
  EXPECT_DOUBLE_EQ(values_of(*merged, "a")[0], -2.0);  // mean of 1, 2, 6 is 3
  EXPECT_DOUBLE_EQ(values_of(*merged, "c")[0], 3.0);   // a tied tensor is still written
}

MergePlan one_tensor_plan(const MergeRule& rule, const std::vector<double>& values, DType in,
                          DType out) {
  MergePlan plan;
  plan.rule = &rule;
  std::vector<MemoryTensor> tensors;
  tensors.push_back(make_tensor("layer.weight", {values.size()}, values, in));
  plan.sources.push_back(std::make_shared<MemorySource>("member.safetensors", std::move(tensors)));
  PlanTensor tensor;
  tensor.output = make_tensor_info("layer.weight", out, {values.size()}, "output");
  tensor.members = {{0, 0}};
  tensor.member_parameters.resize(1);
  tensor.member_parameters[0].set("weight", 1.0);
  tensor.parameters.set("normalize", true);
  plan.tensors.push_back(tensor);
  return plan;
}

std::string error_of(const MergePlan& plan, EngineOptions options = {}) {
  MemorySink sink({plan.tensors[0].output});
  try {
    run_merge(plan, sink, options);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Engine, RefusesNaNAndInfinityNamingTensorAndIndex) {
  std::vector<double> values(20000, 1.0);
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
      values[12345] = bad;
      const std::string message =
          error_of(one_tensor_plan(find_merge_rule("linear"), values, dtype, dtype));
      EXPECT_THAT(message, HasSubstr("member.safetensors: tensor 'layer.weight'"));
      EXPECT_THAT(message, HasSubstr("index 12345"));
      EXPECT_THAT(message, HasSubstr(std::isnan(bad) ? "NaN" : "infinity"));
    }
  }
}

TEST(Engine, PropagatesNaNWhenAsked) {
  const MergePlan plan =
      one_tensor_plan(find_merge_rule("linear"), {1.0, std::nan(""), 3.0}, DType::f32, DType::f32);
  EngineOptions options;
  options.non_finite = NonFinite::propagate;
  MemorySink sink({plan.tensors[0].output});
  run_merge(plan, sink, options);
  const auto values = values_of(*sink.take("merged"), "layer.weight");
  EXPECT_EQ(values[0], 1.0);
  EXPECT_TRUE(std::isnan(values[1]));
  EXPECT_EQ(values[2], 3.0);
}

TEST(Engine, RefusesAResultThatOverflowsTheOutputType) {
  const std::string message =
      error_of(one_tensor_plan(find_merge_rule("linear"), {1.0, 70000.0}, DType::f32, DType::f16));
  EXPECT_THAT(message, HasSubstr("70000"));
  EXPECT_THAT(message, HasSubstr("index 1"));
  EXPECT_THAT(message, HasSubstr("F16"));
}

TEST(Engine, RefusesABudgetBelowTheLeast) {
  const MergePlan plan = one_tensor_plan(find_merge_rule("linear"), {1.0}, DType::f32, DType::f32);
  EXPECT_THAT(error_of(plan, options_of(1, 63'999'999, Runner::sequential)), HasSubstr("--memory"));
}

TEST(Engine, SaysWhenOneRowDoesNotFitTheBudget) {
  // A row-wise rule must hold whole rows: 5 million elements of 4 bytes, decoded and merged.
  const CentreRule rule(Scope::tensor, true);
  const MergePlan plan =
      one_tensor_plan(rule, std::vector<double>(5'000'000, 1.0), DType::bf16, DType::bf16);
  const std::string message = error_of(plan, options_of(1, 64'000'000, Runner::sequential));
  EXPECT_THAT(message, HasSubstr("raise --memory"));
  EXPECT_THAT(message, HasSubstr("layer.weight"));
}

TEST(Engine, CopiesBytesUnchanged) {
  std::vector<double> values(1'500'000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i % 251);
  MergePlan plan = one_tensor_plan(find_merge_rule("linear"), values, DType::u8, DType::u8);
  plan.tensors[0].action = PlanTensor::Action::copy;
  MemorySink sink({plan.tensors[0].output});
  const MergeStatistics statistics =
      run_merge(plan, sink, options_of(3, 64'000'000, Runner::std_thread));
  EXPECT_EQ(values_of(*sink.take("merged"), "layer.weight"), values);
  EXPECT_EQ(statistics.tensors_copied, 1U);
  EXPECT_EQ(statistics.bytes_read, 1'500'000U);
  EXPECT_EQ(statistics.bytes_written, 1'500'000U);
}

TEST(Engine, StopsWhenInterrupted) {
  const MergePlan plan = one_tensor_plan(find_merge_rule("linear"), {1.0}, DType::f32, DType::f32);
  MemorySink sink({plan.tensors[0].output});
  set_interrupt(true);
  EXPECT_THROW(run_merge(plan, sink, {}), Interrupted);
  set_interrupt(false);
}

class FullDiskSink final : public TensorSink {
 public:
  explicit FullDiskSink(const std::vector<TensorInfo>& tensors) : TensorSink(tensors) {}
  void write(std::size_t, std::uint64_t, std::span<const std::byte>) override {
    throw Error("out.safetensors: no space left");
  }
  void finish() override {}
};

TEST(Engine, PassesOnTheErrorOfASink) {
  const CentreRule rule(Scope::tensor);
  const Fixture fixture(rule);
  FullDiskSink sink(fixture.outputs());
  EXPECT_THROW(run_merge(fixture.plan, sink, options_of(3, 64'000'000, Runner::std_thread)), Error);
}

TEST(Engine, EstimatesWhatItReadsAndWrites) {
  const CentreRule rule(Scope::tensor);
  const Fixture fixture(rule);
  const EngineOptions options = options_of(2, 512'000'000, Runner::std_thread);
  const WorkEstimate estimate = estimate_work(fixture.plan, options);
  MemorySink sink(fixture.outputs());
  const MergeStatistics done = run_merge(fixture.plan, sink, options);
  EXPECT_EQ(estimate.bytes_read, done.bytes_read);
  EXPECT_EQ(estimate.bytes_written, done.bytes_written);
}

}  // namespace
}  // namespace amalgam
