#include "amalgam/checkpoint/csr.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/checkpoint/safetensors.hpp"
#include "amalgam/checkpoint/safetensors_sink.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"

namespace amalgam {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// 3 x 4, of which 3 are not 0.
const std::vector<double> kSparse{0, 5, 0, 0, 0, 0, 0, 0, -1, 0, 0, 2};

MemoryTensor bits(const std::string& name, std::vector<std::byte> bytes) {
  return {make_tensor_info(name, DType::u8, {bytes.size()}, "test"), std::move(bytes)};
}

void write(const std::filesystem::path& path, const MemorySource& source,
           const std::map<std::string, std::string>& metadata) {
  const auto sink = create_safetensors_file(path, source.tensors(), metadata);
  for (std::size_t i = 0; i < sink->tensors().size(); ++i) {
    const std::size_t from = source.find(sink->tensors()[i].name).value();
    std::vector<std::byte> contents(source.tensors()[from].bytes);
    source.read_bytes(from, 0, contents);
    sink->write(i, 0, contents);
  }
  sink->finish();
}

class Csr : public testing::Test {
 protected:
  std::filesystem::path path(const std::string& name) const { return folder_.path() / name; }

  const TemporaryFolder folder_;
};

TEST_F(Csr, HasValuesColumnsAndStartsOfRows) {
  const MemorySource sparse("sparse", [] {
    std::vector<MemoryTensor> tensors;
    std::vector<double> wide(300, 0);
    std::copy(kSparse.begin(), kSparse.end(), wide.begin());
    tensors.push_back(make_tensor("w", {3, 100}, wide));
    tensors.push_back(make_tensor("b", {3}, {0, 0, 1}));
    tensors.push_back(make_tensor("full", {2, 2}, {1, 2, 3, 4}));
    return tensors;
  }());
  const CsrStatistics made = write_csr(sparse, nullptr, path("w.safetensors"));
  EXPECT_EQ(made.tensors, 1U);
  EXPECT_EQ(made.stored, 3U);
  EXPECT_EQ(made.elements, 300U);
  const auto raw = open_safetensors(path("w.safetensors"));
  EXPECT_THAT(values_of(*raw, "w.csr_values"), ElementsAre(5, -1, 2));
  EXPECT_THAT(values_of(*raw, "b"), ElementsAre(0, 0, 1));
  EXPECT_THAT(values_of(*raw, "full"), ElementsAre(1, 2, 3, 4));
  const auto whole = open_checkpoint(path("w.safetensors"));
  EXPECT_EQ(values_of(*whole, "w"), values_of(sparse, "w"));
  EXPECT_FALSE(whole->find("w.csr_values"));
  EXPECT_FALSE(whole->metadata().contains(kCsrKey));
}

// Every range of bytes, whichever rows and elements it cuts.
TEST_F(Csr, GivesEveryRangeOfBytesBack) {
  std::vector<MemoryTensor> tensors;
  std::vector<double> values(5 * 64, 0);
  for (std::size_t i = 0; i < values.size(); i += 2) values[i] = static_cast<double>(i) + .5;
  tensors.push_back(make_tensor("w", {5, 4, 16}, values, DType::bf16));
  const MemorySource source("dense", std::move(tensors));
  ASSERT_EQ(write_csr(source, nullptr, path("w.safetensors")).tensors, 0U) << "not smaller";
  std::vector<double> few(5 * 64, 0);
  few[0] = -0.0;
  few[70] = 1.5;
  few[319] = std::numeric_limits<double>::infinity();
  std::vector<MemoryTensor> sparser;
  sparser.push_back(make_tensor("w", {5, 4, 16}, few, DType::bf16));
  const MemorySource dense("dense", std::move(sparser));
  EXPECT_EQ(write_csr(dense, nullptr, path("few.safetensors")).stored, 3U) << "-0 has a bit";
  const auto whole = open_checkpoint(path("few.safetensors"));
  ASSERT_EQ(whole->tensors()[0].shape, (Shape{5, 4, 16}));
  std::vector<std::byte> expected(640);
  dense.read_bytes(0, 0, expected);
  for (std::uint64_t first = 0; first < 640; first += 13) {
    for (const std::uint64_t count : {1U, 2U, 3U, 150U, 640U}) {
      std::vector<std::byte> part(std::min<std::uint64_t>(count, 640 - first));
      whole->read_bytes(0, first, part);
      EXPECT_TRUE(std::equal(part.begin(), part.end(),
                             expected.begin() + static_cast<std::ptrdiff_t>(first)))
          << first << " " << count;
    }
  }
}

class CsrWithMask : public Csr {
 protected:
  // The mask keeps elements 1, 2, 8 and 11: a 0 among them.
  void write_mask(const std::string& metadata, std::byte first = std::byte{0b00000110},
                  std::byte second = std::byte{0b00001001}) {
    std::vector<MemoryTensor> tensors;
    tensors.push_back(bits("w", {first, second}));
    write(path("mask.safetensors"), MemorySource("mask", std::move(tensors)),
          {{"amalgam.mask", metadata}});
  }
  CsrStatistics converted() {
    std::vector<MemoryTensor> tensors;
    tensors.push_back(make_tensor("w", {3, 4}, kSparse));
    const MemorySource source("net", std::move(tensors));
    const auto mask = open_checkpoint_file(path("mask.safetensors"));
    return write_csr(source, mask.get(), path("w.safetensors"));
  }
  std::string refusal() {
    return error_of([&] { (void)converted(); });
  }
};

TEST_F(CsrWithMask, StoresTheZerosThatTheMaskKeeps) {
  write_mask(R"({"parts": [["w", [3, 4]]]})");
  EXPECT_EQ(converted().stored, 4U);
  const auto raw = open_safetensors(path("w.safetensors"));
  EXPECT_THAT(values_of(*raw, "w.csr_values"), ElementsAre(5, 0, -1, 2));
  EXPECT_EQ(values_of(*open_checkpoint(path("w.safetensors")), "w"), kSparse);
}

TEST_F(CsrWithMask, RefusesMasksOfOtherTensorsAndDamagedOnes) {
  write_mask(R"({"parts": [["w", [4, 3]]]})");
  EXPECT_THAT(refusal(), HasSubstr("'w' has shape [4, 3], but in net it is [3, 4]"));
  std::filesystem::remove(path("mask.safetensors"));
  write_mask(R"({"parts": [["v", [3, 4]]]})");
  EXPECT_THAT(refusal(), HasSubstr("in net it is missing"));
  std::filesystem::remove(path("mask.safetensors"));
  write_mask(R"({"parts": [["w", 3]]})");
  EXPECT_THAT(refusal(), HasSubstr("expected a name and a shape"));
  std::filesystem::remove(path("mask.safetensors"));
  write_mask(R"({"parts": [["w", [3, 4]]]})", std::byte{0b00000100});
  EXPECT_THAT(refusal(), HasSubstr("element 1 of 'w' is not 0, but the mask does not keep it"));
}

// Integers as the little-endian bytes of a tensor.
template <class T>
MemoryTensor integers(const std::string& name, DType dtype, const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {make_tensor_info(name, dtype, {values.size()}, "test"), {bytes.begin(), bytes.end()}};
}

class DamagedCsr : public Csr {
 protected:
  std::string refusal(const std::vector<std::int32_t>& columns,
                      const std::vector<std::int64_t>& rows, const std::string& shape = "[2, 3]") {
    std::vector<MemoryTensor> tensors;
    tensors.push_back(make_tensor("w.csr_values", {2}, {1, 2}));
    tensors.push_back(integers("w.csr_columns", DType::i32, columns));
    tensors.push_back(integers("w.csr_rows", DType::i64, rows));
    std::filesystem::remove(path("bad.safetensors"));
    write(path("bad.safetensors"), MemorySource("bad", std::move(tensors)),
          {{kCsrKey, "{\"w\": " + shape + "}"}});
    return error_of([&] { (void)values_of(*open_checkpoint(path("bad.safetensors")), "w"); });
  }
};

TEST_F(DamagedCsr, IsRefusedNamingThePlace) {
  EXPECT_EQ(refusal({0, 2}, {0, 1, 2}), "no error");
  EXPECT_THAT(refusal({0, 3}, {0, 1, 2}), HasSubstr("columns of row 1 of 'w'"));
  EXPECT_THAT(refusal({0, -1}, {0, 1, 2}), HasSubstr("columns of row 1"));
  EXPECT_THAT(refusal({1, 1}, {0, 2, 2}), HasSubstr("columns of row 0"));
  EXPECT_THAT(refusal({0, 2}, {0, 2, 1}), HasSubstr("do not rise from 0 to 2"));
  EXPECT_THAT(refusal({0, 2}, {0, 1, 3}), HasSubstr("do not rise from 0 to 2"));
  EXPECT_THAT(refusal({0, 2}, {0, 1, 1}), HasSubstr("do not rise from 0 to 2"));
  EXPECT_THAT(refusal({0, 2}, {-1, 1, 2}), HasSubstr("do not rise"));
  EXPECT_THAT(refusal({0}, {0, 1, 2}), HasSubstr("has 2 values, 1 columns"));
  EXPECT_THAT(refusal({0, 2}, {0, 1, 2}, "[3, 2]"), HasSubstr("3 row starts"));
  EXPECT_THAT(refusal({0, 2}, {0, 1, 2}, "[6]"), HasSubstr("expected a shape"));
  EXPECT_THAT(refusal({0, 2}, {0, 1, 2}, "[2, 9223372036854775807]"), HasSubstr("w"));
}

}  // namespace
}  // namespace amalgam
