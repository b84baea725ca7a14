#include "amalgam/checkpoint/decorators.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/tensor/convert.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/checkpoint/tensor_access.hpp"

namespace amalgam {
namespace {

SharedSource memory(std::vector<MemoryTensor> tensors, std::string label = "m") {
  return std::make_shared<MemorySource>(std::move(label), std::move(tensors));
}

// A source whose tensor `tied` shares the bytes of `owner`.
class TiedSource final : public TensorSource {
 public:
  TiedSource() {
    set_tensors("tied", {make_tensor_info("free", DType::u8, {1}, "t"),
                         make_tensor_info("owner", DType::u8, {1}, "t"),
                         make_tensor_info("tied", DType::u8, {1}, "t")});
  }
  void read_bytes(std::size_t, std::uint64_t, std::span<std::byte>) const override {}
  std::map<std::string, std::string> aliases() const override { return {{"tied", "owner"}}; }
};

std::vector<double> ramp(std::size_t count, double start = 0) {
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = start + static_cast<double>(i);
  return values;
}

// Whatever range is asked for, in bytes or elements, must be that part of the whole.
void expect_consistent(const TensorSource& source, const std::string& name) {
  const std::size_t tensor = index_of(source, name);
  const TensorInfo& info = source.tensors()[tensor];
  const std::vector<std::byte> whole = bytes_of(source, name);
  std::vector<double> decoded(info.elements);
  decode(info.dtype, whole, std::span<double>(decoded));
  EXPECT_EQ(values_of(source, name), decoded);

  const auto offset = *rc::gen::inRange<std::uint64_t>(0, info.bytes + 1);
  std::vector<std::byte> part(*rc::gen::inRange<std::uint64_t>(0, info.bytes - offset + 1));
  source.read_bytes(tensor, offset, part);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<long>(offset)));

  const std::uint64_t unit = dtype_block_elements(info.dtype);
  const auto first = *rc::gen::inRange<std::uint64_t>(0, info.elements / unit + 1) * unit;
  const auto count = *rc::gen::inRange<std::uint64_t>(0, (info.elements - first) / unit + 1) * unit;
  std::vector<double> doubles(count);
  std::vector<float> floats(count);
  source.read(tensor, first, std::span<double>(doubles));
  source.read(tensor, first, std::span<float>(floats));
  for (std::size_t i = 0; i < count; ++i) {
    EXPECT_EQ(doubles[i], decoded[first + i]);
    EXPECT_EQ(floats[i], static_cast<float>(decoded[first + i]));
  }
  source.will_need(tensor, offset, part.size());
  EXPECT_THROW(source.read_bytes(tensor, info.bytes, std::span(part.data(), 1)), Error);
}

TEST(ReadElements, AnswersForRangesInsideQuantisedBlocks) {
  const auto source = memory({make_tensor("q", {3, 32}, ramp(96, -40), DType::q8_0)});
  const std::vector<double> whole = values_of(*source, "q");
  for (const std::size_t first : {0U, 1U, 31U, 32U, 60U}) {
    for (const std::size_t count : {0U, 1U, 4U, 32U, 36U}) {
      std::vector<double> part(count);
      read_elements(*source, 0, first, std::span<double>(part));
      EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<long>(first)))
          << first << " " << count;
    }
  }
}

TEST(RenamedSource, PicksTensorsUnderNewNames) {
  const auto inner = memory({make_tensor("l.0.w", {2}, {1, 2}), make_tensor("l.1.w", {2}, {3, 4}),
                             make_tensor("l.2.w", {2}, {5, 6})});
  const RenamedSource view(inner, {{"l.1.w", "l.2.w"}, {"l.0.w", "l.1.w"}, {"l.2.w", "l.2.w"}});
  EXPECT_EQ(view.label(), "m");
  EXPECT_EQ(values_of(view, "l.0.w"), (std::vector<double>{3, 4}));
  EXPECT_EQ(values_of(view, "l.1.w"), (std::vector<double>{5, 6}));
  EXPECT_EQ(values_of(view, "l.2.w"), (std::vector<double>{5, 6}));
  EXPECT_EQ(bytes_of(view, "l.0.w"), bytes_of(*inner, "l.1.w"));
}

TEST(RenamedSource, RefusesWhatIsNotThereOrTwice) {
  const auto inner = memory({make_tensor("a", {1}, {1}), make_tensor("b", {1}, {1})});
  const auto make = [&](std::vector<RenamedSource::Pick> picks) {
    const RenamedSource view(inner, std::move(picks));
  };
  expect_error<InputError>([&] { make({{"x", "c"}}); }, "m: no tensor 'c'");
  expect_error<InputError>([&] { make({{"x", "a"}, {"x", "b"}}); }, "'x' appears twice");
}

TEST(RenamedSource, CarriesTiesOverButDoesNotTieCopies) {
  const auto inner = std::make_shared<TiedSource>();
  using Ties = std::map<std::string, std::string>;
  EXPECT_EQ(RenamedSource(inner, {{"a", "tied"}, {"z", "owner"}}).aliases(), (Ties{{"a", "z"}}));
  EXPECT_EQ(RenamedSource(inner, {{"a", "tied"}}).aliases(), Ties{});
  EXPECT_EQ(RenamedSource(inner, {{"a", "free"}, {"b", "free"}, {"c", "owner"}}).aliases(), Ties{});
}

TEST(DifferenceSource, SubtractsOnceInFloat32) {
  // 2^24 + 2 and 1 are floats; their difference 2^24 + 1 is not and goes to the even neighbour
  // 2^24.
  const auto model = memory({make_tensor("a", {2}, {16777218, 3})}, "model");
  const auto base = memory({make_tensor("a", {2}, {1, 0.5})}, "base");
  const DifferenceSource difference(model, base);
  EXPECT_EQ(difference.label(), "model - base");
  EXPECT_EQ(difference.tensors()[0].dtype, DType::f32);
  EXPECT_EQ(values_of(difference, "a"), (std::vector<double>{16777216, 2.5}));
}

TEST(DifferenceSource, IsF64WhereEitherIs) {
  const auto model = memory({make_tensor("a", {2}, {16777218, 3})});
  const auto base = memory({make_tensor("a", {2}, {1, 0.5}, DType::f64)});
  const DifferenceSource difference(model, base);
  EXPECT_EQ(difference.tensors()[0].dtype, DType::f64);
  EXPECT_EQ(values_of(difference, "a"), (std::vector<double>{16777217, 2.5}));
}

TEST(DifferenceSource, LeavesOutIntegersAndLonelyTensors) {
  const auto model = memory({make_tensor("a", {1}, {1}), make_tensor("i", {1}, {1}, DType::i64),
                             make_tensor("only model", {1}, {1})});
  const auto base = memory({make_tensor("a", {1}, {1}), make_tensor("i", {1}, {1}, DType::i64),
                            make_tensor("only base", {1}, {1})});
  const DifferenceSource difference(model, base);
  ASSERT_EQ(difference.tensors().size(), 1U);
  EXPECT_EQ(difference.tensors()[0].name, "a");
}

TEST(DifferenceSource, RefusesDifferentShapes) {
  const auto model = memory({make_tensor("a", {1, 2}, {1, 2})}, "model");
  const auto base = memory({make_tensor("a", {2, 1}, {1, 2})}, "base");
  expect_error<InputError>([&] { const DifferenceSource d(model, base); }, "model: tensor 'a'",
                           "[1, 2]", "'base' has [2, 1]");
}

RC_GTEST_PROP(DifferenceSource, AnswersForAnyRange, ()) {
  constexpr std::array kTypes = {DType::f64, DType::f32, DType::bf16, DType::q8_0};
  const std::size_t count = 32 * *rc::gen::inRange<std::size_t>(0, 40);
  const auto tensor = [&](double start) {
    return make_tensor("a", {count}, ramp(count, start), *rc::gen::elementOf(kTypes));
  };
  expect_consistent(DifferenceSource(memory({tensor(0.25)}), memory({tensor(-7)})), "a");
}

TEST(DifferenceSource, IsTheSameInPiecesLongerThanItsBuffers) {
  constexpr std::size_t kCount = 50'000;
  const DifferenceSource difference(
      memory({make_tensor("a", {kCount}, ramp(kCount)), make_tensor("b", {kCount}, ramp(kCount))}),
      memory({make_tensor("a", {kCount}, ramp(kCount, 3)),
              make_tensor("b", {kCount}, ramp(kCount, 3), DType::f64)}));
  const std::vector<double> expected(kCount, -3);
  for (const char* name : {"a", "b"}) {
    EXPECT_EQ(values_of(difference, name), expected);
    std::vector<float> floats(kCount);
    difference.read(index_of(difference, name), 0, std::span<float>(floats));
    EXPECT_EQ(floats, std::vector<float>(kCount, -3));
    std::vector<double> decoded(kCount);
    decode(difference.tensors()[index_of(difference, name)].dtype, bytes_of(difference, name),
           std::span<double>(decoded));
    EXPECT_EQ(decoded, expected);
  }
}

TEST(CastSource, RoundsOnceToNearestEven) {
  // BF16 keeps 8 significant bits: 1 + 2^-8 is half way and goes to even 1; a little more goes up.
  // Through float, 1 + 2^-8 + 2^-40 would lose its last bit and go down.
  const double half = 1 + std::ldexp(1, -8);
  const auto inner =
      memory({make_tensor("a", {3}, {half, half + std::ldexp(1, -40), 3}, DType::f64),
              make_tensor("i", {1}, {77}, DType::i32)});
  const CastSource cast(inner, DType::bf16);
  const double up = 1 + std::ldexp(1, -7);
  EXPECT_EQ(values_of(cast, "a"), (std::vector<double>{1, up, 3}));
  const MemoryTensor expected = make_tensor("a", {3}, {1, up, 3}, DType::bf16);
  EXPECT_EQ(bytes_of(cast, "a"), expected.bytes);
  EXPECT_EQ(cast.tensors()[1].dtype, DType::i32);
  EXPECT_EQ(values_of(cast, "i"), std::vector<double>{77});
}

TEST(CastSource, AsksForTheTypeOfEveryTensor) {
  const auto inner =
      memory({make_tensor("m", {2, 32}, ramp(64)), make_tensor("v", {3}, {1, 2, 3})});
  const CastSource cast(inner, [](const TensorInfo& info) {
    return info.shape.size() == 2 ? DType::q8_0 : DType::f16;
  });
  EXPECT_EQ(cast.tensors()[0].dtype, DType::q8_0);
  EXPECT_EQ(cast.tensors()[0].bytes, 68U);  // two blocks of a scale and 32 bytes
  EXPECT_EQ(cast.tensors()[1].dtype, DType::f16);
  EXPECT_EQ(bytes_of(cast, "m"), make_tensor("m", {2, 32}, ramp(64), DType::q8_0).bytes);
  expect_error<InputError>([&] { const CastSource bad(inner, DType::q4_0); }, "m: tensor 'v'",
                           "multiples of 32");
}

RC_GTEST_PROP(CastSource, AnswersForAnyRangeAndTypes, ()) {
  constexpr std::array kTypes = {DType::f64,     DType::f32,  DType::f16,  DType::bf16,
                                 DType::f8_e5m2, DType::q4_0, DType::q5_1, DType::q8_0};
  const std::size_t count = 32 * *rc::gen::inRange<std::size_t>(0, 40);
  const auto inner =
      memory({make_tensor("a", {count}, ramp(count, -3.3), *rc::gen::elementOf(kTypes))});
  expect_consistent(CastSource(inner, *rc::gen::elementOf(kTypes)), "a");
}

TEST(SubmatrixSource, TakesTheFirstRowsAndColumns) {
  const auto inner = memory({make_tensor("e", {3, 4}, ramp(12)), make_tensor("v", {2}, {8, 9})});
  const SubmatrixSource view(inner, {{"e", {2, 3}}});
  EXPECT_EQ(view.tensors()[0].shape, (Shape{2, 3}));
  EXPECT_EQ(values_of(view, "e"), (std::vector<double>{0, 1, 2, 4, 5, 6}));
  EXPECT_EQ(values_of(view, "v"), (std::vector<double>{8, 9}));
  EXPECT_EQ(bytes_of(view, "e"), make_tensor("e", {2, 3}, {0, 1, 2, 4, 5, 6}).bytes);
  EXPECT_EQ(values_of(SubmatrixSource(inner, {{"e", {1, 4}}}), "e"), ramp(4));
  EXPECT_EQ(values_of(SubmatrixSource(inner, {{"e", {3, 0}}}), "e"), std::vector<double>{});
}

TEST(SubmatrixSource, RefusesWhatDoesNotFit) {
  const auto inner = memory({make_tensor("e", {3, 4}, ramp(12)), make_tensor("v", {2}, {8, 9})});
  const auto make = [&](const std::string& name, Shape shape) {
    const SubmatrixSource view(inner, {{name, std::move(shape)}});
  };
  expect_error<InputError>([&] { make("e", {4, 4}); }, "m: tensor 'e' of shape [3, 4]", "[4, 4]");
  expect_error<InputError>([&] { make("e", {3, 5}); }, "'e'");
  expect_error<InputError>([&] { make("v", {2}); }, "'v'");
  expect_error<InputError>([&] { make("x", {1, 1}); }, "no tensor 'x'");
}

RC_GTEST_PROP(SubmatrixSource, AnswersForAnyRange, ()) {
  const bool quantised = *rc::gen::arbitrary<bool>();
  const std::uint64_t unit = quantised ? 32 : 1;
  const auto rows = *rc::gen::inRange<std::uint64_t>(0, 9);
  const auto columns = unit * *rc::gen::inRange<std::uint64_t>(0, 9);
  const auto inner = memory({make_tensor("e", {rows, columns}, ramp(rows * columns),
                                         quantised ? DType::q5_0 : DType::f16)});
  const Shape shape{*rc::gen::inRange<std::uint64_t>(0, rows + 1),
                    *rc::gen::inRange<std::uint64_t>(0, columns / unit + 1) * unit};
  const SubmatrixSource view(inner, {{"e", shape}});
  expect_consistent(view, "e");
  const std::vector<double> whole = values_of(*inner, "e");
  const std::vector<double> part = values_of(view, "e");
  for (std::uint64_t row = 0; row < shape[0]; ++row) {
    for (std::uint64_t column = 0; column < shape[1]; ++column) {
      RC_ASSERT(part[row * shape[1] + column] == whole[row * columns + column]);
    }
  }
}

}  // namespace
}  // namespace amalgam
