#include "amalgam/checkpoint/gguf_parts.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/create.hpp"
#include "amalgam/checkpoint/gguf.hpp"
#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/core/error.hpp"
#include "tests/checkpoint/gguf_bytes.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/checkpoint/tensor_access.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

// Five tensors of 4, 4, 12, 4 and 4 floats.
std::vector<MemoryTensor> tensors() {
  return {make_tensor("e", {4}, {1, 2, 3, 4}), make_tensor("d", {4}, {5, 6, 7, 8}),
          make_tensor("c", {3, 4}, std::vector<double>(12, 9)),
          make_tensor("b", {4}, {-1, -2, -3, -4}), make_tensor("a", {4}, {0, 0, 0, 1})};
}

std::vector<fs::path> write_parts(const fs::path& path, std::uint64_t part_bytes) {
  std::vector<TensorInfo> infos;
  for (const MemoryTensor& tensor : tensors()) infos.push_back(tensor.info);
  const GgufParts parts =
      create_gguf_parts(path, infos, minimal_gguf_metadata("llama", "tiny"), part_bytes);
  for (std::size_t t = 0; t < infos.size(); ++t) parts.sink->write(t, 0, tensors()[t].bytes);
  std::vector<std::byte> read(infos[3].bytes);
  parts.sink->read(3, 0, read);
  EXPECT_EQ(read, tensors()[3].bytes);
  parts.sink->finish();
  return parts.files;
}

std::vector<std::string> names_of(const std::vector<fs::path>& paths) {
  std::vector<std::string> names;
  for (const fs::path& path : paths) names.push_back(path.filename().string());
  return names;
}

TEST(GgufParts, AreReadAsOneByTheNameOfTheFirst) {
  const TemporaryFolder folder;
  // 16 + 16 bytes fit into 40, 48 are more than a part, 16 + 16 fit again.
  const std::vector<fs::path> files = write_parts(folder / "m.gguf", 40);
  EXPECT_EQ(names_of(files),
            (std::vector<std::string>{"m-00001-of-00003.gguf", "m-00002-of-00003.gguf",
                                      "m-00003-of-00003.gguf"}));
  std::vector<TensorInfo> infos;
  for (const MemoryTensor& tensor : tensors()) infos.push_back(tensor.info);
  EXPECT_EQ(output_parts(folder / "m.gguf", infos, 40), files);  // known before they are made
  EXPECT_TRUE(output_parts(folder / "m.gguf", infos, 1000).empty());
  EXPECT_TRUE(output_parts(folder / "m.gguf", infos, std::nullopt).empty());
  EXPECT_TRUE(output_parts(folder / "m.safetensors", infos, 40).empty());
  const auto source = open_checkpoint(files.front());
  ASSERT_EQ(source->tensors().size(), 5U);
  for (const MemoryTensor& tensor : tensors()) {
    EXPECT_EQ(bytes_of(*source, tensor.info.name), tensor.bytes) << tensor.info.name;
  }
  const GgufMetadata& metadata = *find_gguf_metadata(*source);
  EXPECT_EQ(metadata.find("general.architecture")->as_string(), "llama");
  EXPECT_EQ(metadata.find("split.count")->as_unsigned(), 3U);
  EXPECT_EQ(metadata.find("split.tensors.count")->as_unsigned(), 5U);
}

TEST(GgufParts, WritingThemAsOneDropsTheirKeys) {
  const TemporaryFolder folder;
  const auto source = open_gguf(write_parts(folder / "m.gguf", 40).front());
  const auto sink =
      create_gguf_file(folder / "whole.gguf", source->tensors(), *find_gguf_metadata(*source));
  for (std::size_t t = 0; t < source->tensors().size(); ++t) {
    sink->write(t, 0, bytes_of(*source, source->tensors()[t].name));
  }
  sink->finish();
  const auto whole = open_gguf(folder / "whole.gguf");
  EXPECT_EQ(find_gguf_metadata(*whole)->find("split.count"), nullptr);
  EXPECT_EQ(whole->tensors().size(), 5U);
}

TEST(GgufParts, AreFoundByTheNameThatWasSplit) {
  const TemporaryFolder folder;
  EXPECT_EQ(find_first_gguf_part(folder / "m.gguf"), std::nullopt);
  const std::vector<fs::path> files = write_parts(folder / "m.gguf", 40);
  EXPECT_EQ(find_first_gguf_part(folder / "m.gguf"), files.front());
  EXPECT_EQ(find_first_gguf_part(folder / "x.gguf"), std::nullopt);
  EXPECT_EQ(gguf_name_before_split(files.front()), folder / "m.gguf");
  EXPECT_EQ(gguf_name_before_split(files[1]), std::nullopt);
  for (const char* name : {"-00001-of-00003.gguf", "m-00001-of-0000x.gguf", "m.gguf", "m"}) {
    EXPECT_EQ(gguf_name_before_split(name), std::nullopt) << name;
  }
}

TEST(GgufParts, ThatDoNotBelongTogetherAreRefused) {
  const TemporaryFolder folder;
  const std::vector<fs::path> files = write_parts(folder / "m.gguf", 40);
  expect_error<InputError>([&] { open_gguf(files[1]); }, "part 2 of the 3", "-00001-of-00003.gguf");
  fs::copy_file(files[0], folder / "renamed.gguf");
  expect_error<InputError>([&] { open_gguf(folder / "renamed.gguf"); }, "does not end in",
                           "--merge");
  fs::copy_file(files[2], files[1], fs::copy_options::overwrite_existing);
  expect_error<InputError>([&] { open_gguf(files[0]); }, files[1].string(), "part 3 of 3",
                           "expected part 2 of 3");
  fs::remove(files[1]);
  expect_error<InputError>([&] { open_gguf(files[0]); }, files[1].string());
}

TEST(GgufParts, ATensorThatIsMissingOrThereTwiceIsNoticed) {
  const TemporaryFolder folder;
  const auto part = [&](std::uint16_t number, std::string_view name, std::int32_t total) {
    GgufBytes bytes;
    bytes.header(1, 3);
    bytes.string("split.no").u32(2).number(number);
    bytes.string("split.count").u32(2).number(std::uint16_t{2});
    bytes.string("split.tensors.count").u32(5).number(total);
    return bytes.tensor(name, {2}, 0).data(8).bytes();
  };
  const fs::path first = folder.write("x-00001-of-00002.gguf", part(0, "a", 3));
  folder.write("x-00002-of-00002.gguf", part(1, "b", 3));
  expect_error<InputError>([&] { open_gguf(first); }, "3 tensors, but they have 2");
  folder.write("x-00001-of-00002.gguf", part(0, "a", 2));
  EXPECT_EQ(open_gguf(first)->tensors().size(), 2U);
  folder.write("x-00002-of-00002.gguf", part(1, "a", 2));
  expect_error<InputError>([&] { open_gguf(first); }, "'a' appears twice");
}

TEST(GgufParts, ComeIntoPlaceAsAnOutput) {
  const TemporaryFolder folder;
  const fs::path place = folder / "out.gguf";
  {
    OutputTransaction transaction(place, {});
    transaction.place_parts(write_parts(transaction.work_path(), 40));
    EXPECT_FALSE(fs::exists(folder / "out-00001-of-00003.gguf"));
    transaction.commit();
  }
  EXPECT_EQ(open_gguf(folder / "out-00001-of-00003.gguf")->tensors().size(), 5U);
  EXPECT_FALSE(fs::exists(folder / ".out.gguf.partial"));
  EXPECT_FALSE(fs::exists(place));
  // One that comes to exist meanwhile: none of the others stays.
  {
    OutputTransaction transaction(folder / "late.gguf", {});
    transaction.place_parts(write_parts(transaction.work_path(), 40));
    const fs::path in_the_way = folder.write("late-00001-of-00003.gguf", "x");
    expect_error<InputError>([&] { transaction.commit(); }, in_the_way.string());
    EXPECT_FALSE(fs::exists(folder / "late-00003-of-00003.gguf"));
  }
  // One that ended between the last part and the first is gone on with.
  {
    OutputTransaction transaction(folder / "killed.gguf", {.resume = true});
    const std::vector<fs::path> parts = write_parts(transaction.work_path(), 40);
    fs::rename(parts[2], folder / parts[2].filename().string());
    folder.write(".killed.gguf.partial/placing",
                 "killed-00001-of-00003.gguf\nkilled-00002-of-00003.gguf\n"
                 "killed-00003-of-00003.gguf\n");
  }
  {
    OutputTransaction transaction(folder / "killed.gguf", {.resume = true});
    std::vector<fs::path> parts;
    for (const char* number : {"1", "2", "3"}) {
      parts.push_back(transaction.partial_path() /
                      (std::string("killed-0000") + number + "-of-00003.gguf"));
    }
    EXPECT_TRUE(fs::exists(parts[2]));
    transaction.place_parts(parts);
    transaction.commit();
  }
  EXPECT_EQ(open_gguf(folder / "killed-00001-of-00003.gguf")->tensors().size(), 5U);
  EXPECT_FALSE(fs::exists(folder / ".killed.gguf.partial"));
  OutputTransaction again(place, {});
  expect_error<InputError>([&] { again.place_parts(write_parts(again.work_path(), 40)); },
                           "out-00001-of-00003.gguf", "--overwrite");
}

}  // namespace
}  // namespace amalgam
