#include "amalgam/checkpoint/torch_archive.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <numeric>
#include <thread>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/core/error.hpp"
#include "tests/checkpoint/pickle_bytes.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/checkpoint/tensor_access.hpp"
#include "tests/checkpoint/zip_bytes.hpp"

namespace amalgam {
namespace {

using namespace std::string_literals;
using Values = std::vector<double>;
using Aliases = std::map<std::string, std::string>;

std::filesystem::path fixture(std::string_view name) {
  return std::filesystem::path(AMALGAM_TEST_DATA) / "torch" / name;
}

std::vector<std::string> names_of(const TensorSource& source) {
  std::vector<std::string> names;
  for (const TensorInfo& info : source.tensors()) names.push_back(info.name);
  return names;
}

// start, start + 1, ...
Values count_from(double start, int count) {
  Values values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), start);
  return values;
}

// An archive of this pickle body and one storage '0' of bytes 0, 1, 2, ...
ZipBytes archive(const std::string& body, std::size_t storage_bytes = 16) {
  std::string storage;
  for (std::size_t i = 0; i < storage_bytes; ++i) storage += static_cast<char>(i);
  ZipBytes zip;
  return zip.add("m/data.pkl", made::pickle(body)).add("m/data/0", storage);
}

std::string byte_tensor(std::int64_t offset, const std::vector<std::int64_t>& size,
                        const std::vector<std::int64_t>& stride) {
  return made::tensor(made::storage("ByteStorage", "0", 16), offset, size, stride);
}

std::unique_ptr<TensorSource> open_bytes(const TemporaryFolder& folder, const ZipBytes& zip) {
  return open_torch_archive(folder.write("model.pt", zip.bytes()));
}

template <class... Parts>
void expect_refused(const std::string& bytes, const Parts&... parts) {
  const TemporaryFolder folder;
  const auto path = folder.write("model.pt", bytes);
  expect_error<InputError>([&] { open_torch_archive(path); }, path.string() + ": ", parts...);
}
template <class... Parts>
void expect_refused(const ZipBytes& zip, const Parts&... parts) {
  expect_refused(zip.bytes(), parts...);
}

TEST(TorchArchive, ReadsAStateDictWithTiedTensors) {
  for (const char* name : {"tied.bin", "protocol4.pt"}) {
    const auto source = open_checkpoint(fixture(name));
    EXPECT_EQ(names_of(*source), (std::vector<std::string>{"embed.weight", "head.weight",
                                                           "hidden.bias", "hidden.weight"}));
    EXPECT_EQ(source->tensors()[0].shape, (Shape{5, 4}));
    EXPECT_EQ(values_of(*source, "embed.weight"), count_from(0, 20));
    EXPECT_EQ(values_of(*source, "head.weight"), count_from(0, 20));
    EXPECT_EQ(values_of(*source, "hidden.weight"), count_from(100, 16));
    EXPECT_EQ(values_of(*source, "hidden.bias"), count_from(200, 4));
    EXPECT_EQ(source->aliases(), (Aliases{{"head.weight", "embed.weight"}}));
  }
}

TEST(TorchArchive, TakesTheStateDictOfATrainingCheckpoint) {
  const auto source = open_torch_archive(fixture("nested.pt"));
  EXPECT_EQ(source->tensors().size(), 4U);
  EXPECT_EQ(values_of(*source, "hidden.bias"), count_from(200, 4));
  EXPECT_EQ(source->metadata().at("root"), "state_dict");
  EXPECT_EQ(source->metadata().at("ignored"),
            "optimizer, epoch, best, notes, digest, empty_bytes, input, large, done");
}

TEST(TorchArchive, FlattensContainersWithoutAKnownRoot) {
  const auto source = open_torch_archive(fixture("containers.pt"));
  EXPECT_EQ(names_of(*source), (std::vector<std::string>{"7", "encoder.weight", "layers.0",
                                                         "layers.1.0", "layers.1.1"}));
  EXPECT_EQ(values_of(*source, "encoder.weight"), count_from(0, 6));
  EXPECT_EQ(values_of(*source, "layers.1.1"), Values{6});
  EXPECT_EQ(values_of(*source, "7"), (Values{7, 8}));
  EXPECT_EQ(source->metadata().at("ignored"), "epoch");
  EXPECT_EQ(source->metadata().count("root"), 0U);
  EXPECT_EQ(values_of(*open_torch_archive(fixture("lone.pt")), "tensor"), count_from(0, 4));
}

TEST(TorchArchive, ReadsEveryType) {
  const auto source = open_torch_archive(fixture("types.pt"));
  const std::pair<const char*, DType> types[] = {
      {"f64", DType::f64},   {"f32", DType::f32}, {"f16", DType::f16},
      {"bf16", DType::bf16}, {"i8", DType::i8},   {"i16", DType::i16},
      {"i32", DType::i32},   {"i64", DType::i64}, {"u8", DType::u8}};
  for (const auto& [name, dtype] : types) {
    EXPECT_EQ(source->tensors()[index_of(*source, name)].dtype, dtype) << name;
    EXPECT_EQ(values_of(*source, name), count_from(0, 6)) << name;
  }
  EXPECT_EQ(source->tensors()[index_of(*source, "bool")].dtype, DType::boolean);
  EXPECT_EQ(values_of(*source, "bool"), (Values{1, 0, 1}));
}

TEST(TorchArchive, GathersViews) {
  const auto source = open_torch_archive(fixture("views.pt"));
  EXPECT_EQ(values_of(*source, "base"), count_from(0, 24));
  EXPECT_EQ(source->tensors()[index_of(*source, "transposed")].shape, (Shape{6, 4}));
  Values transposed;
  for (int row = 0; row < 6; ++row) {
    for (int column = 0; column < 4; ++column) transposed.push_back(column * 6 + row);
  }
  EXPECT_EQ(values_of(*source, "transposed"), transposed);
  EXPECT_EQ(values_of(*source, "rows"), count_from(6, 12));
  EXPECT_EQ(values_of(*source, "block"), (Values{8, 9, 10, 14, 15, 16}));
  EXPECT_EQ(values_of(*source, "every_second"),
            (Values{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22}));
  EXPECT_EQ(values_of(*source, "column"), (Values{1, 7, 13, 19}));
  EXPECT_EQ(values_of(*source, "expanded"), (Values{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(values_of(*source, "diagonal"), (Values{0, 7, 14, 21}));
  EXPECT_EQ(values_of(*source, "scalar"), Values{15});
  EXPECT_EQ(values_of(*source, "empty"), Values{});
  // cube[i][j][k] = 12 i + 4 j + k; the view is [k][i][j].
  Values permuted;
  for (int k = 0; k < 4; ++k) {
    for (int i = 0; i < 2; ++i) {
      for (int j = 0; j < 3; ++j) permuted.push_back(12 * i + 4 * j + k);
    }
  }
  EXPECT_EQ(values_of(*source, "permuted"), permuted);
  // Only the same elements in the same order are aliases, not every view of a shared storage.
  EXPECT_EQ(source->aliases(), Aliases{});
}

TEST(TorchArchive, ReadsAnyByteRangeOfAView) {
  const auto source = open_torch_archive(fixture("views.pt"));
  for (const char* name : {"large_transposed", "block", "base", "expanded"}) {
    const std::size_t tensor = index_of(*source, name);
    std::vector<std::byte> whole(source->tensors()[tensor].bytes);
    source->read_bytes(tensor, 0, whole);
    for (std::size_t offset = 0; offset <= whole.size(); offset += 7) {
      for (const std::size_t size : {std::size_t{1}, std::size_t{5}, whole.size() - offset}) {
        if (offset + size > whole.size()) continue;
        std::vector<std::byte> part(size);
        source->read_bytes(tensor, offset, part);
        ASSERT_TRUE(std::equal(part.begin(), part.end(),
                               whole.begin() + static_cast<std::ptrdiff_t>(offset)))
            << name << " " << offset << " " << size;
      }
    }
    std::array<std::byte, 2> two{};
    EXPECT_THROW(source->read_bytes(tensor, whole.size() - 1, two), Error);
    EXPECT_THROW(source->read_bytes(tensor, ~std::uint64_t{0}, two), Error);
    source->will_need(tensor, 0, 4);
  }
}

TEST(TorchArchive, ThreadsMayReadAtOnce) {
  const auto source = open_torch_archive(fixture("views.pt"));
  const Values expected = values_of(*source, "large_transposed");
  std::array<bool, 4> same{};
  std::vector<std::thread> threads;
  for (bool& mine : same) {
    threads.emplace_back([&] {
      mine = true;
      for (int i = 0; i < 20; ++i) mine &= values_of(*source, "large_transposed") == expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(same, (std::array{true, true, true, true}));
}

TEST(TorchArchive, RefusesForbiddenGlobalsWithoutRunningThem) {
  expect_error<InputError>([] { open_torch_archive(fixture("forbidden.pt")); },
                           "forbidden.pt: ", "pickle asks for 'posix.system'", "refusing");
  expect_error<InputError>([] { open_torch_archive(fixture("complex.pt")); },
                           "ComplexFloatStorage");
}

TEST(TorchArchive, RefusesOtherKindsOfFiles) {
  expect_error<InputError>([] { open_torch_archive(fixture("legacy.pt")); },
                           "legacy.pt: ", "before PyTorch 1.6", "torch.save(torch.load(");
  expect_error<InputError>([] { open_torch_archive(fixture("script.pt")); },
                           "script.pt: ", "TorchScript", "state_dict()");
  expect_refused(""s, "not a zip archive");
  expect_refused("hello, world"s, "not a zip archive");
  expect_refused("PK\x03\x04 and then nothing of the kind"s, "not a valid zip archive");
  expect_refused(ZipBytes().add("word/document.xml", "x"), "no FOLDER/data.pkl");
  expect_refused(ZipBytes().add("data.pkl", "x"), "no FOLDER/data.pkl");
  expect_refused(ZipBytes().add("a/data.pkl", "x").add("b/data.pkl", "x"), "two pickles");
  expect_refused(ZipBytes().add("a/data.pkl", "x").add("a/constants.pkl", "x"), "TorchScript");
}

TEST(TorchArchive, ChecksTheByteOrder) {
  const std::string tensor = byte_tensor(0, {16}, {1});
  expect_refused(archive(tensor).add("m/byteorder", "big"), "byte order is 'big'");
  expect_refused(archive(tensor).add("m/byteorder", std::string(17, 'l')), "17 bytes");
  const TemporaryFolder folder;
  EXPECT_EQ(values_of(*open_bytes(folder, archive(tensor).add("m/byteorder", "little")), "tensor"),
            count_from(0, 16));
}

TEST(TorchArchive, PrefersTheKnownRootsInTheirOrder) {
  const TemporaryFolder folder;
  const std::string tensor = byte_tensor(0, {16}, {1});
  const std::string inner = made::dict({made::text("w"), tensor});
  const auto names = [&](const std::string& body) {
    return names_of(*open_bytes(folder, archive(body)));
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names(made::dict({made::text("model"), inner, made::text("state_dict"),
                              made::dict({made::text("s"), tensor})})),
            Names{"s"});
  EXPECT_EQ(names(made::dict({made::text("model"), inner, made::text("x"), tensor})), Names{"w"});
  EXPECT_EQ(names(made::dict({made::text("module"), inner, made::text("x"), tensor})), Names{"w"});
  // Not a dict, or without tensors: not a root.
  EXPECT_EQ(names(made::dict({made::text("model"), tensor, made::text("x"), tensor})),
            (Names{"model", "x"}));
  EXPECT_EQ(names(made::dict({made::text("state_dict"), "}", made::text("x"), tensor})),
            Names{"x"});
  EXPECT_EQ(names(made::dict({made::text("ema"), inner, made::text("x"), tensor})),
            (Names{"ema.w", "x"}));
}

TEST(TorchArchive, RefusesTensorsOutsideTheirStorage) {
  expect_refused(archive(byte_tensor(1, {16}, {1})),
                 "'tensor' reaches element 16 of a storage of 16");
  expect_refused(archive(byte_tensor(0, {2, 9}, {8, 1})), "reaches element 16");
  expect_refused(archive(byte_tensor(0, {2}, {16})), "reaches element 16");
  expect_refused(archive(byte_tensor(16, {}, {})), "reaches element 16");
  constexpr std::int64_t kLarge = std::int64_t{1} << 62;
  expect_refused(archive(byte_tensor(0, {5}, {kLarge})), "overflow");
  expect_refused(archive(byte_tensor(kLarge, {4}, {kLarge})), "overflow");
  expect_refused(archive(byte_tensor(0, {kLarge, 4}, {0, 0})), "'tensor'");
}

TEST(TorchArchive, AcceptsTensorsUpToTheEndOfTheirStorage) {
  const TemporaryFolder folder;
  const auto source =
      open_bytes(folder, archive(made::dict({made::text("last"), byte_tensor(15, {}, {}),
                                             made::text("zero"), byte_tensor(999, {0}, {1}),
                                             made::text("wide"), byte_tensor(0, {2, 8}, {8, 1})})));
  EXPECT_EQ(values_of(*source, "last"), Values{15});
  EXPECT_EQ(values_of(*source, "wide"), count_from(0, 16));
  EXPECT_EQ(values_of(*source, "zero"), Values{});
}

TEST(TorchArchive, RefusesBadStorages) {
  const std::string tensor = byte_tensor(0, {16}, {1});
  expect_refused(archive(tensor, 15),
                 "storage '0' has 15 bytes, but its 16 elements of U8 take 16");
  expect_refused(archive(tensor, 17), "storage '0' has 17 bytes");
  expect_refused(archive(made::tensor(made::storage("FloatStorage", "0", 16), 0, {1}, {1})),
                 "storage '0' has 16 bytes, but its 16 elements of F32 take 64");
  expect_refused(ZipBytes().add("m/data.pkl", made::pickle(tensor)),
                 "'m/data/0' is missing in the archive");
  const auto with_storage = [&](const ZipBytes::Options& options) {
    return ZipBytes()
        .add("m/data.pkl", made::pickle(tensor))
        .add("m/data/0", std::string(16, 'x'), options);
  };
  expect_refused(with_storage({.method = 8}), "compressed");
  expect_refused(with_storage({.local_name = "m/data/1"}), "model.pt");
  expect_refused(with_storage({.claimed_bytes = 1000}), "model.pt");
  // A key is a name in the archive and nothing else.
  expect_refused(
      archive(made::tensor(made::storage("ByteStorage", "../data.pkl", 16), 0, {1}, {1})),
      "'m/data/../data.pkl' is missing");
}

// Float8 tensors lie in untyped storages, whose size is in bytes.
TEST(TorchArchive, ReadsTypesOverUntypedStorages) {
  const auto float16_view = [](std::int64_t elements) {
    const std::string storage =
        made::tuple({made::text("storage"), made::global("torch.storage", "UntypedStorage"),
                     made::text("0"), made::text("cpu"), made::integer(16)}) +
        "Q";
    return made::call(made::global("torch._utils", "_rebuild_tensor_v3"),
                      {storage, made::integer(0), made::integers({elements}), made::integers({1}),
                       "\x89", "}", made::global("torch", "uint16")});
  };
  const TemporaryFolder folder;
  const auto source = open_bytes(folder, archive(float16_view(8)));
  EXPECT_EQ(source->tensors()[0].dtype, DType::u16);
  EXPECT_EQ(values_of(*source, "tensor")[7], 0x0f0e);
  expect_refused(archive(float16_view(9)), "reaches element 8 of a storage of 8");
}

TEST(TorchArchive, RefusesBadContents) {
  const std::string tensor = byte_tensor(0, {16}, {1});
  expect_refused(archive("N"), "there is no tensor in it");
  expect_refused(archive(made::dict({made::text("a.b"), tensor, made::text("a"),
                                     made::dict({made::text("b"), tensor})})),
                 "'a.b' appears twice");
  expect_refused(archive(made::dict({made::text("w"), tensor, made::text("w"), tensor})),
                 "'w' appears twice");
  expect_refused(archive(made::dict({made::text("\xff"), tensor})), "'\\xff'", "UTF-8");
  expect_refused(archive(made::dict({made::text(std::string(5000, 'n')), tensor})), "too long");
  expect_refused(ZipBytes().add("m/data.pkl", "junk"), "not a pickle");
}

TEST(TorchArchive, ListsWhatItLeavesOut) {
  std::vector<std::string> items = {made::text("w"), byte_tensor(0, {16}, {1})};
  for (int i = 0; i < 25; ++i) {
    items.push_back(made::text("k" + std::to_string(i)));
    items.push_back("N");
  }
  const TemporaryFolder folder;
  const auto source = open_bytes(folder, archive(made::dict(items)));
  EXPECT_NE(source->metadata().at("ignored").find("k0, k1, "), std::string::npos);
  EXPECT_NE(source->metadata().at("ignored").find("k19 and 5 more"), std::string::npos);
  const auto odd = open_bytes(
      folder, archive(made::dict({made::text("w"), byte_tensor(0, {16}, {1}), "N", "N"})));
  EXPECT_NE(odd->metadata().at("ignored").find("None as a key"), std::string::npos);
}

// Forty bytes that each double what a walk sees would give 2^40 names.
TEST(TorchArchive, RefusesPicklesThatUnfoldWithoutEnd) {
  std::string body = "](" + byte_tensor(0, {16}, {1}) +
                     "eq\1"
                     "0";
  for (int i = 0; i < 40; ++i)
    body +=
        "](h\1h\1eq\1"
        "0";
  expect_refused(archive(body + "h\1"), "share parts");
  expect_refused(archive("]q\1h\1a"), "nested deeper than 64");
  expect_refused(archive(std::string(100, ']') + std::string(99, 'a')), "nested deeper than 64");
}

TEST(TorchArchive, EveryTruncationIsRefused) {
  const std::string whole = contents_of(fixture("containers.pt"));
  const TemporaryFolder folder;
  for (std::size_t size = 0; size < whole.size(); size += 13) {
    const auto path = folder.write("t.pt", whole.substr(0, size));
    EXPECT_THROW(open_torch_archive(path), InputError) << size;
  }
}

TEST(TorchArchive, TruncationAfterOpeningIsAnInputError) {
  const TemporaryFolder folder;
  const auto path = folder.write("t.pt", contents_of(fixture("views.pt")));
  const auto source = open_torch_archive(path);
  ASSERT_EQ(::truncate(path.c_str(), 500), 0);
  expect_error<InputError>([&] { values_of(*source, "large_transposed"); }, path.string(),
                           "truncated");
  expect_error<InputError>([&] { values_of(*source, "rows"); }, path.string(), "truncated");
}

TEST(ZipArchive, RefusesBadDirectories) {
  const std::string good = archive(byte_tensor(0, {16}, {1})).bytes();
  const std::size_t end = good.size() - 22;
  const auto with = [&](std::size_t at, std::string_view bytes) {
    std::string changed = good;
    changed.replace(at, bytes.size(), bytes);
    return changed;
  };
  expect_refused(with(end + 10, "\x03"), "fewer members");
  expect_refused(with(end + 10, "\xff\xff"), "fewer members");
  expect_refused(with(end + 10, "\x01"), "more members");
  expect_refused(with(end + 12, "\xff\xff\xff\x7f"), "outside the file");
  expect_refused(with(end + 16, "\xff\xff\xff\x7f"), "outside the file");
  expect_refused(with(end + 4, "\x01"), "several disks");
  expect_refused(with(end, "XX"), "no directory at its end");
  expect_refused(good + "tail", "no directory at its end");
  expect_refused(ZipBytes(archive("N")).add("m/data/0", "again"), "model.pt");
  const std::size_t directory = good.find("PK\x01\x02");
  expect_refused(with(directory, "XX"), "damaged");
  expect_refused(with(directory + 28, "\xff\xff"), "damaged");
}

TEST(ZipArchive, ChecksTheChecksumOfThePickle) {
  std::string bytes = archive(byte_tensor(0, {16}, {1})).bytes();
  const std::size_t at = bytes.find("cpu");
  bytes[at] = 'g';
  expect_refused(bytes, "cannot read 'm/data.pkl'");
}

}  // namespace
}  // namespace amalgam
