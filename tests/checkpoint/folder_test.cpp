#include "amalgam/checkpoint/folder.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/core/error.hpp"
#include "tests/checkpoint/safetensors_bytes.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/checkpoint/tensor_access.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndex = "model.safetensors.index.json";

TEST(FolderWeights, FollowTheOrderOfHuggingFaceLibraries) {
  const TemporaryFolder folder;
  // Each name comes before those that were there already.
  for (const char* name :
       {"other.pth", "x.safetensors", "y.safetensors.index.json", "adapter_model.bin",
        "adapter_model.safetensors", "pytorch_model.bin.index.json", "pytorch_model.bin", kIndex,
        "model.safetensors"}) {
    folder.write(name, "x");
    EXPECT_EQ(find_folder_weights(folder.path()).path, folder / name);
  }
}

TEST(FolderWeights, KnowIndexesAndPyTorchFiles) {
  const auto kind = [](const char* name) {
    const TemporaryFolder folder;
    folder.write(name, "x");
    const FolderWeights weights = find_folder_weights(folder.path());
    return std::pair(weights.is_index, weights.is_torch);
  };
  EXPECT_EQ(kind("model.safetensors"), std::pair(false, false));
  EXPECT_EQ(kind(kIndex), std::pair(true, false));
  EXPECT_EQ(kind("pytorch_model.bin"), std::pair(false, true));
  EXPECT_EQ(kind("pytorch_model.bin.index.json"), std::pair(true, true));
  EXPECT_EQ(kind("diffusion_pytorch_model.safetensors"), std::pair(false, false));
}

TEST(FolderWeights, AreNotGuessed) {
  const TemporaryFolder folder;
  expect_error<InputError>([&] { find_folder_weights(folder.path()); }, folder.path().string(),
                           "the folder is empty");
  folder.write("config.json", "{}");
  expect_error<InputError>([&] { find_folder_weights(folder.path()); }, "no weights",
                           "found config.json");
  folder.write("m.gguf", "x");
  expect_error<InputError>([&] { find_folder_weights(folder.path()); }, "name the file itself",
                           "m.gguf");
  folder.write("b.safetensors", "x");
  folder.write("a.safetensors", "x");
  expect_error<InputError>([&] { find_folder_weights(folder.path()); },
                           "several files could be the weights (a.safetensors, b.safetensors)");
}

TEST(WeightMap, IsValidated) {
  EXPECT_EQ(
      parse_weight_map(R"({"metadata":{"total_size":3},"weight_map":{"a":"x","b":"s/y"}})", "i"),
      (std::map<std::string, std::string>{{"a", "x"}, {"b", "s/y"}}));
  const auto refuse = [](std::string_view json, std::string_view part) {
    expect_error<InputError>([&] { parse_weight_map(json, "index.json"); }, "index.json: ", part);
  };
  refuse("[]", "no 'weight_map'");
  refuse("{}", "no 'weight_map'");
  refuse(R"({"weight_map":[]})", "no 'weight_map'");
  refuse(R"({"weight_map":{}})", "lists no tensors");
  refuse(R"({"weight_map":{"a":1}})", "weight_map of 'a' is a JSON number");
  refuse(R"({"weight_map":{"a":"x","a":"y"}})", "'a' appears twice");
  refuse(R"({"weight_map":{"a":)", "not valid JSON");
}

TEST(WeightMap, NeverLeadsOutOfTheFolder) {
  for (const char* file : {"../x", "/etc/passwd", "a/../../x", "..", ".", "", "s/"}) {
    expect_error<InputError>(
        [&] {
          parse_weight_map(R"({"weight_map":{"w":")" + std::string(file) + "\"}}", "index.json");
        },
        "index.json: tensor 'w' is said to be in", "not a file in this folder");
  }
  expect_error<InputError>(
      [] { parse_weight_map(R"({"weight_map":{"w":"x\u0000y"}})", "index.json"); },
      "index.json: the file name of tensor 'w' contains a zero byte");
}

TEST(Folder, ReadsShards) {
  const TemporaryFolder folder;
  folder.write("1.safetensors", small_safetensors("a", "abcd"));
  folder.write("sub/2.safetensors", small_safetensors("b", "efgh"));
  folder.write(kIndex, R"({"weight_map":{"b":"sub/2.safetensors","a":"1.safetensors"}})");
  const auto source = open_checkpoint(folder.path());
  EXPECT_EQ(source->label(), folder.path().string());
  EXPECT_EQ(values_of(*source, "a"), (std::vector<double>{'a', 'b', 'c', 'd'}));
  EXPECT_EQ(values_of(*source, "b"), (std::vector<double>{'e', 'f', 'g', 'h'}));
  std::vector<float> two(2);
  source->read(index_of(*source, "b"), 1, std::span<float>(two));
  EXPECT_EQ(two, (std::vector<float>{'f', 'g'}));
  source->will_need(index_of(*source, "b"), 0, 4);
  EXPECT_EQ(detect_format(folder.path()), CheckpointFormat::safetensors_folder);
}

TEST(Folder, FollowsLinksAsTheHuggingFaceCacheMakesThem) {
  const TemporaryFolder folder;
  folder.write("blobs/0123", small_safetensors("a"));
  fs::create_directory(folder / "snapshot");
  fs::create_symlink("../blobs/0123", folder / "snapshot/model.safetensors");
  EXPECT_TRUE(open_checkpoint(folder / "snapshot")->find("a"));
}

TEST(Folder, RefusesAnIndexThatIsWrong) {
  const TemporaryFolder folder;
  folder.write("1.safetensors", small_safetensors("a"));
  folder.write("2.safetensors", small_safetensors("b"));
  const auto refuse = [&](std::string_view json, const auto&... parts) {
    folder.write(kIndex, json);
    expect_error<InputError>([&] { open_checkpoint(folder.path()); }, folder.path().string(),
                             parts...);
  };
  refuse(R"({"weight_map":{"a":"1.safetensors","b":"3.safetensors"}})",
         "the shard '3.safetensors' is missing");
  refuse(R"({"weight_map":{"a":"1.safetensors","b":"1.safetensors"}})",
         "tensor 'b' is said to be in '1.safetensors', but it is not there");
  folder.write("2.safetensors", small_safetensors("a"));
  folder.write("3.safetensors", small_safetensors("b"));
  refuse(R"({"weight_map":{"a":"2.safetensors","b":"3.safetensors","a2":"1.safetensors"}})",
         "'a2' is said to be in");
  // `a` is in both shards; that the index takes one of them does not say which is right.
  folder.write("1.safetensors",
               safetensors_bytes(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                 R"("b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                                 "xy"));
  refuse(R"({"weight_map":{"b":"1.safetensors","a":"2.safetensors"}})", "tensor 'a' is in both",
         "1.safetensors", "2.safetensors");
  // A folder as a shard must not make the reader descend.
  fs::create_directory(folder / "loop");
  refuse(R"({"weight_map":{"a":"loop"}})", "not a regular file");
  folder.write("2.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\n");
  refuse(R"({"weight_map":{"a":"2.safetensors"}})", "2.safetensors: this is a Git LFS pointer");
}

TEST(Folder, ReadsTensorsThatTheIndexForgets) {
  const TemporaryFolder folder;
  folder.write("1.safetensors",
               safetensors_bytes(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                 R"("b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                                 "xy"));
  folder.write(kIndex, R"({"weight_map":{"a":"1.safetensors"}})");
  EXPECT_TRUE(open_checkpoint(folder.path())->find("b"));
}

TEST(DetectFormat, GoesByContents) {
  const TemporaryFolder folder;
  EXPECT_EQ(detect_format(folder.write("a.bin", small_safetensors("a"))),
            CheckpointFormat::safetensors_file);
  EXPECT_EQ(detect_format(folder.write("b.safetensors", "GGUF\3\0\0\0")), CheckpointFormat::gguf);
  EXPECT_EQ(detect_format(folder.write("c", "PK\3\4....")), CheckpointFormat::torch_archive);
  const TemporaryFolder torch;
  torch.write("pytorch_model.bin", "PK\3\4....");
  EXPECT_EQ(detect_format(torch.path()), CheckpointFormat::torch_folder);
}

TEST(OpenCheckpoint, SaysWhatItFoundInstead) {
  using namespace std::string_view_literals;
  const TemporaryFolder folder;
  const auto refuse = [&](std::string_view contents, const auto&... parts) {
    const auto path = folder.write("model.bin", contents);
    expect_error<InputError>([&] { open_checkpoint(path); }, path.string() + ": ", parts...);
  };
  refuse("", "the file is empty");
  refuse("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
         "this is a Git LFS pointer; download the real file");
  refuse("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02"sv,
         "PyTorch file of the format before version 1.6", "save it again");
  refuse("\x80\x04\x95\x10\0\0"sv, "bare Python pickle");
  refuse("merge_method: ties\nbase: x\n", "this is a text file");
  refuse("<!DOCTYPE html><title>404</title>", "this is a web page");
  refuse("\x89HDF\r\n\x1a\n\0\0"sv, "this is an HDF5 file");
  refuse("\x1f\x8b\x08\0\0"sv, "compressed with gzip");
  refuse(
      "\x7f"
      "ELF\2\1\1\0\0\0\0"sv,
      "not a known checkpoint format");
  expect_error<InputError>([&] { open_checkpoint(folder / "none"); }, "no such file or folder");
  expect_error<InputError>([&] { open_checkpoint(folder / "model.bin/x"); }, "model.bin/x: ");
  expect_error<InputError>(
      [&] { open_checkpoint(folder.write("cut.safetensors", "\xff\xff\0\0"sv)); },
      "4 bytes, too short for a safetensors file");
}

// Root may read every file: the test goes on as another user until the end of the scope.
class AsOrdinaryUser {
 public:
  AsOrdinaryUser() : before_(::geteuid()) {
    if (before_ == 0) is_ordinary_ = ::seteuid(65534) == 0;
  }
  ~AsOrdinaryUser() { (void)!::seteuid(before_); }
  AsOrdinaryUser(const AsOrdinaryUser&) = delete;
  AsOrdinaryUser& operator=(const AsOrdinaryUser&) = delete;
  bool is_ordinary() const { return is_ordinary_; }

 private:
  uid_t before_;
  bool is_ordinary_ = true;
};

TEST(OpenCheckpoint, SaysWhenAFileMayNotBeRead) {
  const TemporaryFolder folder;
  const auto path = folder.write("w.safetensors", small_safetensors("a"));
  fs::create_directory(folder / "closed");
  ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path.c_str(), 0), 0);
  ASSERT_EQ(::chmod((folder / "closed").c_str(), 0), 0);
  const AsOrdinaryUser user;
  if (!user.is_ordinary()) GTEST_SKIP() << "cannot stop being root";
  expect_error<InputError>([&] { open_checkpoint(path); }, path.string(), "cannot open",
                           "Permission denied");
  expect_error<InputError>([&] { open_checkpoint(folder / "closed"); }, "closed",
                           "Permission denied");
}

}  // namespace
}  // namespace amalgam
