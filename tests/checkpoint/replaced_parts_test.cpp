// What replacing a GGUF output promises: when the new one is in place, in however many files, the
// older one is gone, in however many it was, and nothing else is.
#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/create.hpp"
#include "amalgam/checkpoint/gguf.hpp"
#include "amalgam/checkpoint/gguf_parts.hpp"
#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/core/error.hpp"
#include "tests/checkpoint/gguf_bytes.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/checkpoint/tensor_access.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

// Bytes per part; of five tensors of 16, 16, 48, 16 and 16 bytes.
constexpr std::uint64_t kOneFile = 1000;
constexpr std::uint64_t kTwoParts = 80;
constexpr std::uint64_t kThreeParts = 40;
constexpr std::uint64_t kFiveParts = 16;

std::vector<MemoryTensor> tensors(double value) {
  std::vector<MemoryTensor> all;
  for (const char* name : {"e", "d", "c", "b", "a"}) {
    const Shape shape = name[0] == 'c' ? Shape{3, 4} : Shape{4};
    all.push_back(
        make_tensor(name, shape,
                    std::vector<double>(name[0] == 'c' ? std::size_t{12} : std::size_t{4}, value)));
  }
  return all;
}

std::vector<TensorInfo> infos() {
  std::vector<TensorInfo> all;
  for (const MemoryTensor& tensor : tensors(0)) all.push_back(tensor.info);
  return all;
}

// All numbers are `value`; returns the parts, none of one file.
std::vector<fs::path> write_model(const fs::path& path, std::uint64_t part_bytes, double value) {
  const GgufMetadata metadata = minimal_gguf_metadata("llama", "tiny");
  GgufParts made;
  if (part_bytes == kOneFile) {
    made.sink = create_gguf_file(path, infos(), metadata);
  } else {
    made = create_gguf_parts(path, infos(), metadata, part_bytes);
  }
  const std::vector<MemoryTensor> all = tensors(value);
  for (std::size_t t = 0; t < all.size(); ++t) made.sink->write(t, 0, all[t].bytes);
  made.sink->finish();
  return made.files;
}

// Files of a folder, hidden folders and what is in them left out, and their contents.
std::map<std::string, std::string> files_in(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file()) {
      files[entry.path().filename().string()] = contents_of(entry.path());
    }
  }
  return files;
}

// What write_model makes of "m.gguf".
std::map<std::string, std::string> expected(std::uint64_t part_bytes, double value) {
  const TemporaryFolder folder;
  write_model(folder / "m.gguf", part_bytes, value);
  return files_in(folder.path());
}

void replace(const fs::path& place, std::uint64_t part_bytes, double value,
             OutputOptions options = {.overwrite = true}) {
  OutputTransaction transaction(place, options);
  transaction.place_parts(output_parts(transaction.work_path(), infos(), part_bytes));
  write_model(transaction.work_path(), part_bytes, value);
  transaction.commit();
}

TEST(ReplacedParts, AreGoneWhenTheNewOutputIsInPlaceAndNotBefore) {
  const std::vector<std::uint64_t> sizes = {kOneFile, kTwoParts, kThreeParts, kFiveParts};
  std::vector<std::vector<std::uint64_t>> olds = {
      {}, {kOneFile, kThreeParts}, {kTwoParts, kThreeParts, kFiveParts}};
  for (const std::uint64_t size : sizes) olds.push_back({size});
  for (const std::vector<std::uint64_t>& old : olds) {
    for (const std::uint64_t size : sizes) {
      const TemporaryFolder folder;
      for (const std::uint64_t one : old) write_model(folder / "m.gguf", one, 1);
      const auto before = files_in(folder.path());
      {
        OutputTransaction transaction(folder / "m.gguf", {.overwrite = true});
        transaction.place_parts(output_parts(transaction.work_path(), infos(), size));
        write_model(transaction.work_path(), size, 2);
        EXPECT_EQ(files_in(folder.path()), before);
      }
      EXPECT_EQ(files_in(folder.path()), before);  // no commit
      replace(folder / "m.gguf", size, 2);
      EXPECT_EQ(files_in(folder.path()), expected(size, 2));
      EXPECT_FALSE(fs::exists(folder / ".m.gguf.partial"));
    }
  }
}

TEST(ReplacedParts, AreNoFilesThatOnlyLookLikeThem) {
  const TemporaryFolder folder;
  write_model(folder / "m.gguf", kThreeParts, 1);
  const std::string part = contents_of(folder / "m-00002-of-00003.gguf");
  folder.write("m-00001-of-00009.gguf", "no GGUF file");
  folder.write("m-00002-of-00009.gguf", part);  // says that it is one of three
  folder.write("m-00003-of-00003.gguf.bak", part);
  folder.write("m-00004-of-00003.gguf", part);
  folder.write("m-0002-of-0003.gguf", part);
  folder.write("m-00002-of-00003.GGUF", part);
  folder.write("mm-00002-of-00003.gguf", part);
  folder.write("-00002-of-00003.gguf", part);
  folder.write("m-00002-of-00004.gguf/m-00002-of-00003.gguf", part);
  {
    const MemoryTensor tensor = tensors(1)[0];
    create_gguf_file(folder / "m-00001-of-00001.gguf", {tensor.info}, {});
  }
  std::map<std::string, std::string> after = files_in(folder.path());
  for (const auto& [name, contents] : expected(kThreeParts, 1)) after.erase(name);
  after.merge(expected(kTwoParts, 2));
  replace(folder / "m.gguf", kTwoParts, 2);
  EXPECT_EQ(files_in(folder.path()), after);
  EXPECT_TRUE(fs::exists(folder / "m-00002-of-00004.gguf/m-00002-of-00003.gguf"));
}

TEST(ReplacedParts, StayWithoutOverwrite) {
  for (const std::uint64_t size : {kOneFile, kTwoParts}) {
    const TemporaryFolder folder;
    write_model(folder / "m.gguf", kThreeParts, 1);
    auto after = expected(size, 2);
    after.merge(files_in(folder.path()));
    replace(folder / "m.gguf", size, 2, {});
    EXPECT_EQ(files_in(folder.path()), after);
  }
}

TEST(ReplacedParts, AreNoInputs) {
  const TemporaryFolder folder;
  const fs::path first = write_model(folder / "m.gguf", kThreeParts, 1).front();
  fs::create_symlink(first, folder / "link.gguf");
  const auto before = files_in(folder.path());
  for (const fs::path& input : {first, folder / "link.gguf"}) {
    for (const std::uint64_t size : {kOneFile, kTwoParts}) {
      OutputTransaction transaction(folder / "m.gguf", {.overwrite = true});
      const auto parts = output_parts(transaction.work_path(), infos(), size);
      expect_error<InputError>([&] { transaction.place_parts(parts, {input}); }, first.string(),
                               "and an input", "--overwrite");
    }
  }
  EXPECT_EQ(files_in(folder.path()), before);
  EXPECT_FALSE(fs::exists(folder / ".m.gguf.partial"));
}

// A run that ended when the new output was in place and some of the older one was still there.
TEST(ReplacedParts, OfARunThatEndedAreDeletedByTheNext) {
  const TemporaryFolder folder;
  for (const bool resume : {false, true}) {
    write_model(folder / "m.gguf", kFiveParts, 1);
    fs::remove(folder / "m-00001-of-00005.gguf");
    fs::create_directory(folder / ".m.gguf.partial");
    replace(folder / "m.gguf", kOneFile, 2, {.overwrite = true, .resume = resume});
    EXPECT_EQ(files_in(folder.path()), expected(kOneFile, 2));
    EXPECT_FALSE(fs::exists(folder / ".m.gguf.partial"));
  }
}

// What a run leaves that ends while its parts take the places of others of the same names.
class HalfPlaced : public ::testing::Test {
 protected:
  HalfPlaced() {
    write_model(folder_ / "m.gguf", kThreeParts, 1);
    fs::create_directories(partial_ / "replaced");
    write_model(partial_ / "m.gguf", kThreeParts, 2);
    std::string names;
    for (const auto& [name, contents] : expected(kThreeParts, 1)) names += name + "\n";
    folder_.write(".m.gguf.partial/placing", names);
  }
  void set_aside(const std::string& number) const {
    fs::rename(folder_ / name_of(number), partial_ / "replaced" / name_of(number));
  }
  void place(const std::string& number) const {
    fs::rename(partial_ / name_of(number), folder_ / name_of(number));
  }
  static std::string name_of(const std::string& number) {
    return "m-0000" + number + "-of-00003.gguf";
  }

  // The next run finds the older output as it was, and all of the new one if it goes on with it.
  void expect_taken_back() const {
    {
      const OutputTransaction next(folder_ / "m.gguf", {.overwrite = true, .resume = true});
      EXPECT_EQ(files_in(folder_.path()), expected(kThreeParts, 1));
      EXPECT_EQ(files_in(partial_), expected(kThreeParts, 2));
    }
    const OutputTransaction plain(folder_ / "m.gguf", {.overwrite = true});
    EXPECT_EQ(files_in(folder_.path()), expected(kThreeParts, 1));
    EXPECT_TRUE(fs::is_empty(partial_));
  }

  const TemporaryFolder folder_;
  const fs::path partial_ = folder_ / ".m.gguf.partial";
};

TEST_F(HalfPlaced, NothingWasMovedYet) { expect_taken_back(); }

TEST_F(HalfPlaced, SomeOldPartsWereSetAside) {
  set_aside("1");
  set_aside("2");
  expect_taken_back();
}

TEST_F(HalfPlaced, SomeNewPartsWereInPlace) {
  for (const char* number : {"1", "2", "3"}) set_aside(number);
  place("3");
  place("2");
  expect_taken_back();
}

TEST_F(HalfPlaced, APlainRunDoesSoToo) {
  for (const char* number : {"1", "2", "3"}) set_aside(number);
  place("3");
  expect_error<InputError>(
      [&] {
        OutputTransaction next(folder_ / "m.gguf", {});
        next.place_parts(output_parts(next.work_path(), infos(), kThreeParts));
      },
      "m-00001-of-00003.gguf: already exists");
  EXPECT_EQ(files_in(folder_.path()), expected(kThreeParts, 1));
  EXPECT_FALSE(fs::exists(partial_));
}

TEST_F(HalfPlaced, WhatWasAllInPlaceStays) {
  for (const char* number : {"1", "2", "3"}) set_aside(number);
  for (const char* number : {"3", "2", "1"}) place(number);
  const OutputTransaction next(folder_ / "m.gguf", {.overwrite = true});
  EXPECT_EQ(files_in(folder_.path()), expected(kThreeParts, 2));
  EXPECT_TRUE(fs::is_empty(partial_));
}

TEST(ReplacedParts, AreBackWhereTheNewOnesCannotBePlaced) {
  const TemporaryFolder folder;
  write_model(folder / "m.gguf", kThreeParts, 1);
  const auto before = files_in(folder.path());
  {
    OutputTransaction transaction(folder / "m.gguf", {.overwrite = true});
    const auto parts = write_model(transaction.work_path(), kThreeParts, 2);
    transaction.place_parts(parts);
    fs::remove(parts.front());
    expect_error<Error>([&] { transaction.commit(); }, "m-00001-of-00003.gguf", "cannot rename");
    EXPECT_EQ(files_in(folder.path()), before);
  }
  EXPECT_EQ(files_in(folder.path()), before);
  EXPECT_FALSE(fs::exists(folder / ".m.gguf.partial"));
}

TEST(GgufPartName, IsReadFromTheEndOfTheName) {
  const auto part = parse_gguf_part_name("a/x-00001-of-00002-00003-of-00012.gguf");
  ASSERT_TRUE(part);
  EXPECT_EQ(part->stem, "x-00001-of-00002");
  EXPECT_EQ(part->number, 2U);
  EXPECT_EQ(part->count, 12U);
  for (const char* name : {"x-00000-of-00002.gguf", "x-00003-of-00002.gguf", "x-00001-of-2.gguf",
                           "x-00001_of_00002.gguf", "x-000a1-of-00002.gguf", "-00001-of-00002.gguf",
                           "x-00001-of-00002.bin", "x-00001-of-00000.gguf"}) {
    EXPECT_FALSE(parse_gguf_part_name(name)) << name;
  }
}

}  // namespace
}  // namespace amalgam
