// What merging into FP8 with scales promises: the bits of the plain definition whatever memory and
// threads there are, and inputs that are read once where memory suffices.
#include <gtest/gtest.h>

#include <memory>

#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/tensor/convert.hpp"
#include "amalgam/weights/engine.hpp"
#include "amalgam/weights/fp8_conversion.hpp"
#include "amalgam/weights/fp8_stretches.hpp"
#include "amalgam/weights/planner.hpp"
#include "tests/checkpoint/tensor_access.hpp"

namespace amalgam {
namespace {

constexpr std::uint64_t kLittle = 64'000'000;
constexpr std::uint64_t kPlenty = 2'000'000'000;
const std::string kWeight = "layers.0.experts.w.weight";

std::vector<float> random_values(const Shape& shape) {
  RandomStream random(5, "fp8");
  std::vector<float> values(element_count(shape, "test"));
  // Cheap, and of different size in different places.
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto word = static_cast<float>(random.below(1 << 20)) - float{1 << 19};
    values[i] = word * static_cast<float>(1 + i / 3000 % 17);
  }
  return values;
}

std::shared_ptr<const TensorSource> model_of(const Shape& shape, const std::vector<float>& values) {
  MemoryTensor weight{make_tensor_info(kWeight, DType::f32, shape, "test"), {}};
  const auto bytes = std::as_bytes(std::span(values));
  weight.bytes.assign(bytes.begin(), bytes.end());
  return std::make_shared<MemorySource>(
      "model", std::vector<MemoryTensor>{std::move(weight),
                                         make_tensor("layers.0.norm.weight", {4}, {1, 2, 3, 4})});
}

struct Made {
  std::unique_ptr<MemorySource> output;
  MergeStatistics statistics;
};

Made convert(const std::shared_ptr<const TensorSource>& model, Fp8Scaling scaling,
             std::uint64_t memory, std::size_t threads) {
  const MergePlan plan = plan_fp8_conversion(model, Fp8Choice::with(scaling, *model));
  MemorySink sink(outputs_of(plan));
  EngineOptions options;
  options.memory = memory;
  options.parallel = {threads, Runner::std_thread};
  Made made{.output = nullptr, .statistics = run_merge(plan, sink, options)};
  made.output = sink.take("made");
  return made;
}

// Codes and scales from whole passes over the weight.
void expect_as_defined(const TensorSource& made, const Shape& shape,
                       const std::vector<float>& values, Fp8Scaling scaling) {
  const Fp8Format format = Fp8Format::usual(scaling);
  const Fp8Grid grid(shape, format);
  Fp8Magnitudes magnitudes(grid);
  magnitudes.add(0, values);
  const std::vector<float> scales = magnitudes.scales(false);
  std::vector<std::byte> codes(values.size());
  encode_fp8(grid, scales, 0, values, codes);
  EXPECT_EQ(bytes_of(made, kWeight), codes);
  const std::vector<double> found = values_of(made, kWeight + format.ending);
  EXPECT_EQ(std::vector<float>(found.begin(), found.end()), scales);
}

// 16 MB of merged floats: with little memory they do not fit.
struct Fit {
  Shape shape;
  Fp8Scaling scaling;
  bool fits_little;
};

TEST(Fp8Merge, HasTheBitsOfTheDefinitionAndReadsOnceWhatFits) {
  for (const Fit& fit :
       {Fit{{2048, 2048}, Fp8Scaling::block, true},
        Fit{{2000, 2053}, Fp8Scaling::block, false},  // 128 rows end in no leaf
        Fit{{2048, 2048}, Fp8Scaling::channel, true}, Fit{{2048, 2048}, Fp8Scaling::tensor, false},
        Fit{{5, 300, 520}, Fp8Scaling::block, true}, Fit{{5, 300, 520}, Fp8Scaling::channel, true},
        Fit{{5, 300, 520}, Fp8Scaling::tensor, true}, Fit{{3, 7}, Fp8Scaling::block, true}}) {
    SCOPED_TRACE(format_shape(fit.shape) + " " + std::string(fp8_scaling_name(fit.scaling)));
    const std::vector<float> values = random_values(fit.shape);
    const auto model = model_of(fit.shape, values);
    const std::uint64_t once = values.size() * sizeof(float) + 4 * sizeof(float);
    for (const std::uint64_t memory : {kLittle, kPlenty}) {
      for (const std::size_t threads : {1, 3}) {
        const Made made = convert(model, fit.scaling, memory, threads);
        expect_as_defined(*made.output, fit.shape, values, fit.scaling);
        const bool fits = fit.fits_little || memory == kPlenty;
        EXPECT_EQ(made.statistics.bytes_read, fits ? once : once + values.size() * sizeof(float))
            << memory << " bytes, " << threads << " threads";
      }
    }
  }
}

TEST(Fp8Merge, TheErrorDoesNotDependOnWhatFits) {
  const Shape shape = {2000, 2053};
  const auto model = model_of(shape, random_values(shape));
  const auto error_of = [&](std::uint64_t memory) {
    return convert(model, Fp8Scaling::block, memory, 3).statistics.errors.at(0);
  };
  EXPECT_EQ(error_of(kLittle).squared_error, error_of(kPlenty).squared_error);
  EXPECT_EQ(error_of(kLittle).squares, error_of(kPlenty).squares);
  EXPECT_GT(error_of(kLittle).relative(), 0.02);
}

// Makes only some leaves, as a run that goes on with another, or one that checks samples.
class EveryThird final : public LeafLog {
 public:
  bool wants(const OutputLeaf& leaf) override { return leaf.tensor == 0 && leaf.number % 3 == 1; }
  void made(const OutputLeaf& /*leaf*/, std::uint64_t /*checksum*/) override {}
};

TEST(Fp8Merge, LeavesThatAreMadeAloneAreTheSame) {
  const Shape shape = {2048, 2048};
  const auto model = model_of(shape, random_values(shape));
  const MergePlan plan = plan_fp8_conversion(model, Fp8Choice::with(Fp8Scaling::block, *model));
  const Made whole = convert(model, Fp8Scaling::block, kPlenty, 1);
  MemorySink sink(outputs_of(plan));
  EveryThird some;
  EngineOptions options;
  options.leaves = &some;
  const MergeStatistics statistics = run_merge(plan, sink, options);
  const auto made = sink.take("made");
  const std::vector<std::byte> expected = bytes_of(*whole.output, kWeight);
  const std::vector<std::byte> found = bytes_of(*made, kWeight);
  constexpr std::size_t kLeaf = kBlockElements * kLeafBlocks;
  for (std::size_t leaf = 0; leaf < 32; ++leaf) {
    const auto from = static_cast<std::ptrdiff_t>(leaf * kLeaf);
    const bool is_equal =
        std::equal(found.begin() + from, found.begin() + from + kLeaf, expected.begin() + from);
    EXPECT_EQ(is_equal, leaf % 3 == 1) << leaf;
  }
  // 11 leaves in 11 of 16 stretches of two.
  EXPECT_EQ(statistics.bytes_read, 11 * 2 * kLeaf * sizeof(float));
}

TEST(Fp8Stretches, ShareNoScale) {
  for (const Shape& shape : {Shape{1000, 384}, Shape{700, 513}, Shape{3, 300, 512},
                             Shape{4, 256, 640}, Shape{90000, 3}}) {
    for (const Fp8Scaling scaling : {Fp8Scaling::block, Fp8Scaling::channel, Fp8Scaling::tensor}) {
      const Fp8Grid scales(shape, Fp8Format::usual(scaling));
      const BlockGrid leaves = make_grid(shape, false);
      for (const std::uint64_t kept : {0, 1 << 20, 4 << 20, 1 << 30}) {
        for (const std::size_t workers : {1, 2, 16}) {
          const Fp8Stretches cut = cut_into_stretches(leaves, scales, kept, workers);
          const std::uint64_t step = cut.leaves * leaves.leaf_elements();
          ASSERT_GT(step, 0U);
          for (std::uint64_t at = step; at < leaves.elements; at += step) {
            ASSERT_NE(scales.scale_at(at - 1), scales.scale_at(at)) << format_shape(shape);
          }
          const std::uint64_t bytes = sizeof(float) * std::min(step, leaves.elements);
          if (cut.kept) EXPECT_LE(bytes * (cut.side_by_side ? workers : 1), kept);
          EXPECT_EQ(cut_into_stretches(leaves, scales, wanted_kept_bytes(leaves, scales, workers),
                                       workers)
                        .kept,
                    true);
        }
      }
    }
  }
}

}  // namespace
}  // namespace amalgam
