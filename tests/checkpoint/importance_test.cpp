#include "amalgam/checkpoint/importance.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "amalgam/checkpoint/gguf.hpp"
#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/core/error.hpp"
#include "tests/checkpoint/gguf_bytes.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

// The older form by hand.
class LegacyBytes : public GgufBytes {
 public:
  LegacyBytes& entry(std::string_view name, std::int32_t calls, const std::vector<float>& values) {
    number(static_cast<std::int32_t>(name.size())).raw(name).number(calls);
    number(static_cast<std::int32_t>(values.size()));
    for (const float value : values) number(value);
    return *this;
  }
};

LegacyBytes legacy(std::int32_t entries) {
  LegacyBytes bytes;
  bytes.number(entries);
  return bytes;
}

std::vector<float> weights_of(const ImportanceMatrix& matrix, const std::string& name, Shape shape,
                              std::uint64_t first, std::size_t count) {
  std::vector<float> weights(count, -1.0F);
  matrix.weights_of(make_tensor_info(name, DType::f32, std::move(shape), "test"), first, weights);
  return weights;
}

std::filesystem::path write_gguf(const TemporaryFolder& folder,
                                 const std::vector<MemoryTensor>& tensors) {
  std::vector<TensorInfo> infos;
  for (const MemoryTensor& tensor : tensors) infos.push_back(tensor.info);
  const auto path = folder / "imatrix.gguf";
  const auto sink = create_gguf_file(path, infos, {});
  for (std::size_t t = 0; t < tensors.size(); ++t) sink->write(t, 0, tensors[t].bytes);
  return path;
}

TEST(ImportanceMatrix, ReadsTheOlderForm) {
  const TemporaryFolder folder;
  LegacyBytes bytes = legacy(2);
  bytes.entry("a.weight", 2, {2, 4, 6}).entry("b.weight", 0, {5, 7});
  // The number of chunks and the name of the data set, which newer files have.
  bytes.number(std::int32_t{10}).number(std::int32_t{4}).raw("wiki");
  const auto matrix = ImportanceMatrix::read(folder.write("imatrix.dat", bytes.bytes()));
  EXPECT_EQ(matrix.size(), 2U);
  EXPECT_TRUE(matrix.has("a.weight"));
  EXPECT_FALSE(matrix.has("c.weight"));
  // Means over two calls; from the second column of a row into the next.
  EXPECT_EQ(weights_of(matrix, "a.weight", {4, 3}, 1, 5), (std::vector<float>{2, 3, 1, 2, 3}));
  EXPECT_EQ(weights_of(matrix, "b.weight", {1, 2}, 0, 2), (std::vector<float>{5, 7}));
}

TEST(ImportanceMatrix, ReadsGgufWithAnExpertPerRow) {
  const TemporaryFolder folder;
  const auto matrix = ImportanceMatrix::read(
      write_gguf(folder, {make_tensor("e_exps.weight.in_sum2", {3, 2}, {2, 4, 9, 9, 8, 4}),
                          make_tensor("e_exps.weight.counts", {3, 1}, {2, 0, 4}),
                          make_tensor("w.weight.in_sum2", {1, 2}, {6, 3}),
                          make_tensor("w.weight.counts", {1, 1}, {3})}));
  EXPECT_EQ(matrix.size(), 2U);
  EXPECT_EQ(weights_of(matrix, "w.weight", {2, 2}, 0, 4), (std::vector<float>{2, 1, 2, 1}));
  // Three experts of two rows; the second was never met.
  EXPECT_EQ(weights_of(matrix, "e_exps.weight", {3, 2, 2}, 0, 12),
            (std::vector<float>{1, 2, 1, 2, 1, 1, 1, 1, 2, 1, 2, 1}));
  EXPECT_EQ(weights_of(matrix, "e_exps.weight", {3, 2, 2}, 7, 3), (std::vector<float>{1, 2, 1}));
}

TEST(ImportanceMatrix, AMatrixOfOtherColumnsIsRefused) {
  const TemporaryFolder folder;
  const auto matrix = ImportanceMatrix::read(
      folder.write("imatrix.dat", legacy(1).entry("a.weight", 1, {2, 4, 6}).bytes()));
  expect_error<InputError>(
      [&] {
        weights_of(matrix, "a.weight", {2, 4}, 0, 4);
      },
      "imatrix.dat", "3 values", "'a.weight'", "expected 4");
}

TEST(ImportanceMatrix, MalformedFilesAreRefusedByPlace) {
  const TemporaryFolder folder;
  const auto refused = [&](const GgufBytes& bytes, const auto&... parts) {
    const auto path = folder.write("bad.dat", bytes.bytes());
    expect_error<InputError>([&] { ImportanceMatrix::read(path); }, "bad.dat", parts...);
  };
  const float infinity = std::numeric_limits<float>::infinity();
  refused(legacy(0), "number of entries 0");
  refused(legacy(1000), "number of entries 1000");
  refused(legacy(1).entry("a", 1, {1, -1, 2, 3}), "'a' has the importance -1");
  refused(legacy(1).entry("a", 1, {infinity, 1, 1, 1}), "importance inf");
  refused(legacy(2).entry("a", 1, {1, 2, 3, 4}).entry("a", 1, {1, 2, 3, 4}), "twice");
  LegacyBytes long_name = legacy(1);
  long_name.number(std::int32_t{70000}).raw(std::string(64, 'x'));
  refused(long_name, "entry 0", "70000");
  LegacyBytes many = legacy(1);
  many.number(std::int32_t{1}).raw("a").number(std::int32_t{1}).number(std::int32_t{1 << 30});
  refused(many.raw(std::string(64, '\0')), "number of values 1073741824");
  refused(LegacyBytes(), "bad.dat");
  expect_error<InputError>(
      [&] {
        ImportanceMatrix::read(write_gguf(folder, {make_tensor("w", {2}, {1, 2})}));
      },
      "no importance matrix");
}

TEST(ImportanceMatrix, SumsWithoutCountsAreRefused) {
  const TemporaryFolder folder;
  expect_error<InputError>(
      [&] {
        ImportanceMatrix::read(write_gguf(folder, {make_tensor("w.in_sum2", {1, 2}, {6, 3})}));
      },
      "'w'", "w.counts");
}

}  // namespace
}  // namespace amalgam
