#include "amalgam/checkpoint/row_map_source.hpp"

#include <gmock/gmock.h>

#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/core/error.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

using ::testing::ElementsAre;

RowMapSource::Input matrix(const Shape& shape, const std::vector<double>& values,
                           DType dtype = DType::f32) {
  std::vector<MemoryTensor> tensors;
  tensors.push_back(make_tensor("e", shape, values, dtype));
  return {std::make_shared<MemorySource>("m", std::move(tensors)), 0};
}

std::shared_ptr<const RowMap> map_of(const std::vector<std::vector<RowMap::Origin>>& rows) {
  auto map = std::make_shared<RowMap>();
  for (const auto& row : rows) map->push_row(row);
  return map;
}

std::vector<float> values_of(const TensorSource& source, std::uint64_t first, std::size_t count) {
  std::vector<float> values(count);
  source.read(0, first, std::span<float>(values));
  return values;
}

TEST(RowMapSource, TakesRowsMeansZerosAndPadding) {
  const auto a = matrix({3, 2}, {1, 2, 3, 4, 5, 6});
  const auto b = matrix({1, 2}, {9, 10}, DType::bf16);
  const RowMapSource source("e", "a", {a, b}, map_of({{{0, 1}}, {{0, 2}}, {{1, 0}, {0, 0}}, {}}),
                            6);
  EXPECT_THAT(source.tensors()[0].shape, ElementsAre(6, 2));
  // Mean of the first four rows: (3 + 5 + 5 + 0) / 4 and (4 + 6 + 6 + 0) / 4.
  EXPECT_THAT(values_of(source, 0, 12), ElementsAre(3, 4, 5, 6, 5, 6, 0, 0, 3.25F, 4, 3.25F, 4));
  EXPECT_THAT(values_of(source, 3, 3), ElementsAre(6, 5, 6));
  std::vector<std::byte> bytes(6);
  source.read_bytes(0, 2, bytes);
  float four = 0;
  std::memcpy(&four, bytes.data() + 2, sizeof four);
  EXPECT_EQ(four, 4.0F);
}

TEST(RowMapSource, RearrangesVectorsToo) {
  const RowMapSource source("bias", "a", {matrix({3}, {1, 2, 3})}, map_of({{{0, 2}}, {{0, 0}}}), 0);
  EXPECT_THAT(values_of(source, 0, 2), ElementsAre(3, 1));
}

TEST(RowMapSource, RefusesRowsThatAreNotThereAndOtherRowLengths) {
  expect_error<InputError>(
      [] {
        RowMapSource("e", "a", {matrix({2, 1}, {1, 2})}, map_of({{{0, 2}}}), 0);
      },
      "has 2 rows, but the vocabulary needs row 2");
  expect_error<InputError>(
      [] {
        RowMapSource("e", "a", {matrix({1, 2}, {1, 2}), matrix({2, 1}, {1, 2})}, map_of({{{0, 0}}}),
                     0);
      },
      "expected rows of one size");
}

}  // namespace
}  // namespace amalgam
