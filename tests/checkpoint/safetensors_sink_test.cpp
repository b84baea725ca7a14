#include "amalgam/checkpoint/safetensors_sink.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/folder.hpp"
#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/checkpoint/safetensors.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/parallel.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/checkpoint/tensor_access.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

TensorInfo info_of(const std::string& name, DType dtype, Shape shape) {
  return make_tensor_info(name, dtype, std::move(shape), "test");
}

void write_all(TensorSink& sink, const std::vector<MemoryTensor>& tensors) {
  for (std::size_t i = 0; i < tensors.size(); ++i) sink.write(i, 0, tensors[i].bytes);
  sink.finish();
}

std::vector<TensorInfo> infos_of(const std::vector<MemoryTensor>& tensors) {
  std::vector<TensorInfo> infos;
  infos.reserve(tensors.size());
  for (const MemoryTensor& tensor : tensors) infos.push_back(tensor.info);
  return infos;
}

TEST(SafetensorsSink, WritesTheBytesOfTheOfficialLibrary) {
  const TemporaryFolder folder;
  const std::vector<MemoryTensor> tensors = {make_tensor("z", {2}, {1, 2}, DType::u8),
                                             make_tensor("b", {1}, {1}, DType::f32),
                                             make_tensor("a", {}, {-2}, DType::f32)};
  const auto sink = create_safetensors_file(folder / "w.safetensors", infos_of(tensors));
  write_all(*sink, tensors);
  // F32 before U8 so that all are aligned, names in order; 188 bytes and 4 spaces make 192 = 0xc0.
  std::string header = R"({"__metadata__":{"format":"pt"},)"
                       R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                       R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},)"
                       R"("z":{"dtype":"U8","shape":[2],"data_offsets":[8,10]}})";
  header.append((8 - header.size() % 8) % 8, ' ');
  const std::string length{static_cast<char>(header.size()), 0, 0, 0, 0, 0, 0, 0};
  const std::string data("\x00\x00\x00\xc0\x00\x00\x80\x3f\x01\x02", 10);
  EXPECT_EQ(contents_of(folder / "w.safetensors"), length + header + data);
}

TEST(SafetensorsSink, IsTheSameWhateverTheOrderOfDeclaration) {
  const TemporaryFolder folder;
  std::vector<MemoryTensor> tensors = {make_tensor("x", {3}, {1, 2, 3}, DType::bf16),
                                       make_tensor("y", {1}, {4}, DType::f64),
                                       make_tensor("w", {2}, {5, 6}, DType::f8_e4m3)};
  write_all(*create_safetensors_file(folder / "1", infos_of(tensors), {{"k", "v"}}), tensors);
  std::reverse(tensors.begin(), tensors.end());
  write_all(*create_safetensors_file(folder / "2", infos_of(tensors), {{"k", "v"}}), tensors);
  EXPECT_EQ(contents_of(folder / "1"), contents_of(folder / "2"));
}

TEST(SafetensorsSink, KeepsGivenMetadata) {
  const TemporaryFolder folder;
  create_safetensors_file(folder / "w", {}, {{"format", "np"}, {"note", "a \"quoted\" one"}})
      ->finish();
  const auto source = open_safetensors(folder / "w");
  EXPECT_EQ(source->metadata(),
            (std::map<std::string, std::string>{{"format", "np"}, {"note", "a \"quoted\" one"}}));
}

TEST(SafetensorsSink, RefusesWhatTheFormatCannotHold) {
  const TemporaryFolder folder;
  const auto create = [&](std::vector<TensorInfo> infos) {
    create_safetensors_file(folder / "w.safetensors", std::move(infos));
  };
  expect_error<InputError>([&] { create({info_of("q", DType::q4_0, {32})}); }, "w.safetensors",
                           "'q' is Q4_0");
  expect_error<InputError>([&] { create({info_of("__metadata__", DType::u8, {1})}); },
                           "__metadata__");
  expect_error<InputError>(
      [&] {
        create({info_of("a", DType::u8, {1}), info_of("a", DType::u8, {2})});
      },
      "'a' would be written twice");
  expect_error<InputError>([&] { create({info_of("a\xff", DType::u8, {1})}); }, "not UTF-8");
  EXPECT_FALSE(fs::exists(folder / "w.safetensors"));
}

TEST(SafetensorsSink, NeverReplacesAFile) {
  const TemporaryFolder folder;
  folder.write("w.safetensors", "precious");
  expect_error<Error>([&] { create_safetensors_file(folder / "w.safetensors", {}); }, "exists");
  EXPECT_EQ(contents_of(folder / "w.safetensors"), "precious");
}

TEST(SafetensorsSink, RefusesWritesOutsideATensorAndAfterTheEnd) {
  const TemporaryFolder folder;
  const auto sink = create_safetensors_file(folder / "w", {info_of("a", DType::u8, {4})});
  const std::vector<std::byte> three(3);
  EXPECT_NO_THROW(sink->write(0, 1, three));
  EXPECT_THROW(sink->write(0, 2, three), Error);
  EXPECT_THROW(sink->write(0, ~std::uint64_t{0}, three), Error);
  sink->finish();
  expect_error<Error>([&] { sink->write(0, 0, three); }, "'a' is written after the end");
}

TEST(SafetensorsFolder, IsOneFileWhenEverythingFits) {
  const TemporaryFolder folder;
  const std::vector<MemoryTensor> tensors = {make_tensor("a", {2}, {1, 2}),
                                             make_tensor("b", {2}, {3, 4})};
  write_all(*create_safetensors_folder(folder / "out", infos_of(tensors), {}, 16), tensors);
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder / "out")) {
    names.insert(entry.path().filename().string());
  }
  EXPECT_EQ(names, std::set<std::string>{"model.safetensors"});
  EXPECT_EQ(values_of(*open_safetensors(folder / "out/model.safetensors"), "b"),
            (std::vector<double>{3, 4}));
}

TEST(SafetensorsFolder, SplitsBetweenTensorsAndWritesAnIndex) {
  const TemporaryFolder folder;
  // 8 bytes each but `c` with 24: with 16 per shard {a, b}, {c}, {d, e}.
  const std::vector<MemoryTensor> tensors = {
      make_tensor("e", {2}, {9, 10}), make_tensor("a", {2}, {1, 2}), make_tensor("b", {2}, {3, 4}),
      make_tensor("c", {6}, {5, 6, 7, 8, 9, 0}), make_tensor("d", {2}, {7, 8})};
  write_all(*create_safetensors_folder(folder / "out", infos_of(tensors), {}, 16), tensors);

  const auto index =
      nlohmann::json::parse(contents_of(folder / "out/model.safetensors.index.json"));
  EXPECT_EQ(index, nlohmann::json::parse(R"({"metadata": {"total_size": 56}, "weight_map": {
      "a": "model-00001-of-00003.safetensors", "b": "model-00001-of-00003.safetensors",
      "c": "model-00002-of-00003.safetensors",
      "d": "model-00003-of-00003.safetensors", "e": "model-00003-of-00003.safetensors"}})"));
  const auto source = open_folder(folder / "out");
  EXPECT_EQ(source->tensors().size(), 5U);
  for (const MemoryTensor& tensor : tensors) {
    EXPECT_EQ(bytes_of(*source, tensor.info.name), tensor.bytes) << tensor.info.name;
  }
}

TEST(SafetensorsFolder, NamesNeededAndFreeBytesWhenTheyDoNotFit) {
  const TemporaryFolder folder;
  const TensorInfo huge = info_of("huge", DType::u8, {std::uint64_t{1} << 55});
  expect_error<Error>([&] { create_safetensors_file(folder / "w.safetensors", {huge}); },
                      "w.safetensors: not enough free space: ", "36029 TB needed", "free");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

// A tensor of random type, shape and bytes.
MemoryTensor random_tensor(const std::string& name) {
  constexpr std::array kTypes = {DType::f64,     DType::f32,     DType::f16,    DType::bf16,
                                 DType::f8_e4m3, DType::f8_e5m2, DType::i8,     DType::i16,
                                 DType::i32,     DType::i64,     DType::u8,     DType::u16,
                                 DType::u32,     DType::u64,     DType::boolean};
  const DType dtype = *rc::gen::elementOf(kTypes);
  Shape shape(*rc::gen::inRange<std::size_t>(0, 4));
  for (auto& size : shape) size = *rc::gen::inRange<std::uint64_t>(0, 6);
  MemoryTensor tensor{info_of(name, dtype, shape), {}};
  tensor.bytes = *rc::gen::container<std::vector<std::byte>>(
      tensor.info.bytes, rc::gen::map(rc::gen::inRange(0, 256),
                                      [](int value) { return static_cast<std::byte>(value); }));
  return tensor;
}

RC_GTEST_PROP(SafetensorsFolder, ReadsBackWhatWasWrittenForAnyTensorsAndShardSize, ()) {
  const TemporaryFolder folder;
  // Every shard is flushed to the device: few of them, so that this takes a second.
  const auto names = *rc::gen::resize(
      12, rc::gen::unique<std::vector<std::string>>(rc::gen::nonEmpty(
              rc::gen::container<std::string>(rc::gen::elementOf(std::string("abc./_\"\\\n 7"))))));
  std::vector<MemoryTensor> tensors;
  tensors.reserve(names.size());
  for (const std::string& name : names) tensors.push_back(random_tensor(name));
  const auto shard_bytes = *rc::gen::inRange<std::uint64_t>(50, 900);
  const auto sink = create_safetensors_folder(folder / "out", infos_of(tensors), {}, shard_bytes);
  // In two pieces per tensor, the later one first.
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::span<const std::byte> bytes = tensors[i].bytes;
    const std::size_t half = bytes.size() / 3;
    sink->write(i, half, bytes.subspan(half));
    sink->write(i, 0, bytes.first(half));
  }
  sink->finish();

  const auto source = open_folder(folder / "out");
  RC_ASSERT(source->tensors().size() == tensors.size());
  for (const MemoryTensor& tensor : tensors) {
    const TensorInfo& found = source->tensors().at(index_of(*source, tensor.info.name));
    RC_ASSERT(found.dtype == tensor.info.dtype);
    RC_ASSERT(found.shape == tensor.info.shape);
    RC_ASSERT(bytes_of(*source, tensor.info.name) == tensor.bytes);
  }
  for (const auto& entry : fs::directory_iterator(folder / "out")) {
    if (entry.path().extension() != ".safetensors") continue;
    const auto shard = open_safetensors(entry.path());
    std::uint64_t bytes = 0;
    for (const TensorInfo& info : shard->tensors()) bytes += info.bytes;
    // Over the limit only for a tensor that is, alone but for empty ones.
    std::uint64_t largest = 0;
    for (const TensorInfo& info : shard->tensors()) largest = std::max(largest, info.bytes);
    const bool is_within = bytes <= shard_bytes || bytes == largest;
    RC_ASSERT(is_within);
  }
}

TEST(SafetensorsFolder, TakesWritesFromManyThreads) {
  const TemporaryFolder folder;
  constexpr std::size_t kTensors = 8;
  constexpr std::size_t kBytes = 300'000;
  constexpr std::size_t kPiece = 7'001;
  constexpr std::size_t kPieces = (kBytes + kPiece - 1) / kPiece;
  std::vector<TensorInfo> infos;
  for (std::size_t i = 0; i < kTensors; ++i) {
    infos.push_back(info_of("t" + std::to_string(i), DType::u8, {kBytes}));
  }
  const auto value = [](std::size_t tensor, std::size_t at) {
    return static_cast<std::byte>((at * 31 + tensor * 7 + at / 251) & 0xff);
  };
  const auto sink = create_safetensors_folder(folder / "out", infos, {}, 2 * kBytes);
  const Parallel parallel{4, Runner::std_thread};
  parallel_for(parallel, kTensors * kPieces, [&](std::size_t job, std::size_t) {
    const std::size_t tensor = job % kTensors;
    const std::size_t offset = job / kTensors * kPiece;
    std::vector<std::byte> piece(std::min(kPiece, kBytes - offset));
    for (std::size_t i = 0; i < piece.size(); ++i) piece[i] = value(tensor, offset + i);
    sink->write(tensor, offset, piece);
  });
  sink->finish();

  const auto source = open_folder(folder / "out");
  std::atomic<std::size_t> wrong{0};
  parallel_for(parallel, kTensors, [&](std::size_t tensor, std::size_t) {
    const auto bytes = bytes_of(*source, "t" + std::to_string(tensor));
    for (std::size_t i = 0; i < bytes.size(); ++i) wrong += bytes[i] != value(tensor, i);
  });
  EXPECT_EQ(wrong, 0U);
}

// A file system of 2 MB, where this process may mount one.
class SmallDisk {
 public:
  SmallDisk() { mounted_ = ::mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, "size=2m") == 0; }
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.path().c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }
  const TemporaryFolder& folder() const { return folder_; }

 private:
  TemporaryFolder folder_;
  bool mounted_ = false;
};

TEST(SafetensorsSink, LeavesNothingBehindOnADiskThatIsTooSmall) {
  const SmallDisk disk;
  if (!disk.mounted()) GTEST_SKIP() << "needs root to mount a tmpfs";
  expect_error<Error>(
      [&] {
        create_safetensors_folder(
            disk.folder() / "out",
            {info_of("a", DType::u8, {1'500'000}), info_of("b", DType::u8, {1'500'000})}, {},
            1'500'000);
      },
      "out: not enough free space: 3.00 MB needed, 2.10 MB free");
  EXPECT_TRUE(fs::is_empty(disk.folder() / "out"));
}

TEST(File, SaysWhenTheDiskFillsUpWhileReservingOrWriting) {
  const SmallDisk disk;
  if (!disk.mounted()) GTEST_SKIP() << "needs root to mount a tmpfs";
  File file = File::create(disk.folder() / "f");
  expect_error<Error>([&] { file.reserve(3'000'000); },
                      "f: not enough free space: 3.00 MB needed, 2.10 MB free");
  const std::vector<std::byte> bytes(3'000'000);
  expect_error<Error>([&] { file.write_exactly(0, bytes); }, "f: the disk is full");
}

}  // namespace
}  // namespace amalgam
