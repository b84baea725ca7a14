#include <gtest/gtest.h>

#include <string>

#include "amalgam/checkpoint/restricted_pickle.hpp"
#include "amalgam/core/error.hpp"
#include "tests/checkpoint/pickle_bytes.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

using namespace std::string_literals;

PickleTree read(std::string_view bytes) { return read_restricted_pickle(bytes, "file.pt"); }

// The value of a pickle of plain values.
template <class T>
T value_of(const std::string& body) {
  const PickleTree tree = read(made::pickle(body));
  return std::get<T>(tree.at(tree.root));
}

template <class... Parts>
void expect_refused(const std::string& bytes, const Parts&... parts) {
  expect_error<InputError>([&] { read(bytes); }, "file.pt: ", parts...);
}

TEST(RestrictedPickle, ReadsPlainValues) {
  EXPECT_EQ(value_of<std::int64_t>("K\xff"), 255);
  EXPECT_EQ(value_of<std::int64_t>("M\x34\x12"), 0x1234);
  EXPECT_EQ(value_of<std::int64_t>("J\xfe\xff\xff\xff"), -2);
  EXPECT_EQ(value_of<std::int64_t>("\x8a\x00"s), 0);
  EXPECT_EQ(value_of<std::int64_t>("\x8a\x01\xff"), -1);
  EXPECT_EQ(value_of<std::int64_t>("\x8a\x02\xff\x00"s), 255);
  EXPECT_EQ(value_of<std::int64_t>(made::integer(-(std::int64_t{1} << 62))),
            -(std::int64_t{1} << 62));
  EXPECT_EQ(value_of<std::int64_t>("\x8b\x01\x00\x00\x00\x07"s), 7);
  value_of<PickleBigInteger>("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01"s);
  EXPECT_EQ(value_of<double>("G\x3f\xf8\x00\x00\x00\x00\x00\x00"s), 1.5);
  EXPECT_EQ(value_of<bool>("\x88"), true);
  EXPECT_EQ(value_of<bool>("\x89"), false);
  value_of<PickleNone>("N");
  EXPECT_EQ(value_of<std::string>(made::text("grüße")), "grüße");
  EXPECT_EQ(value_of<std::string>("\x8c\x02hi"), "hi");
  EXPECT_EQ(value_of<std::string>("\x8d\x02\x00\x00\x00\x00\x00\x00\x00hi"s), "hi");
  EXPECT_EQ(value_of<std::string>("U\x02hi"), "hi");
  EXPECT_EQ(value_of<std::string>("T\x02\x00\x00\x00hi"s), "hi");
  value_of<PickleBytes>("C\x02\xff\x00"s);
  value_of<PickleBytes>("B\x01\x00\x00\x00x"s);
  value_of<PickleBytes>("\x8e\x01\x00\x00\x00\x00\x00\x00\x00x"s);
}

TEST(RestrictedPickle, ReadsContainers) {
  const PickleTree tree = read(made::pickle(made::dict(
      {made::text("list"), made::list({made::integer(1), made::integer(2)}), made::text("tuple"),
       made::tuple({made::integer(3)}), made::text("three"), "K\1K\2K\3\x87"})));
  const auto& dict = std::get<PickleDict>(tree.at(tree.root));
  ASSERT_EQ(dict.items.size(), 3U);
  EXPECT_EQ(std::get<std::string>(tree.at(dict.items[0].first)), "list");
  EXPECT_EQ(std::get<PickleList>(tree.at(dict.items[0].second)).items.size(), 2U);
  EXPECT_EQ(std::get<PickleTuple>(tree.at(dict.items[1].second)).items.size(), 1U);
  const auto& three = std::get<PickleTuple>(tree.at(dict.items[2].second)).items;
  ASSERT_EQ(three.size(), 3U);
  EXPECT_EQ(std::get<std::int64_t>(tree.at(three[2])), 3);
}

TEST(RestrictedPickle, BuildsContainersItemByItem) {
  EXPECT_EQ(value_of<PickleList>("]K\1aK\2a").items.size(), 2U);
  EXPECT_EQ(value_of<PickleList>("(K\1K\2l").items.size(), 2U);
  EXPECT_EQ(value_of<PickleDict>("}K\1K\2s").items.size(), 1U);
  EXPECT_EQ(value_of<PickleDict>("(K\1K\2K\3K\4d").items.size(), 2U);
  EXPECT_EQ(value_of<PickleTuple>(")").items.size(), 0U);
  EXPECT_EQ(value_of<PickleTuple>("K\1\x85").items.size(), 1U);
  EXPECT_EQ(value_of<PickleTuple>("K\1K\2\x86").items.size(), 2U);
}

TEST(RestrictedPickle, RemembersValues) {
  // A list of one string twice, by the short memo, the long one and MEMOIZE.
  const std::string bodies[] = {"]" + made::text("a") + "q\5ah\5a",
                                "]" + made::text("a") + "r\1\1\1\1aj\1\1\1\1a",
                                "]" + made::text("a") + "\x94" + "ah\0a"s};
  for (const std::string& body : bodies) {
    const auto items = value_of<PickleList>(body).items;
    ASSERT_EQ(items.size(), 2U);
    EXPECT_EQ(items[0], items[1]);
  }
  EXPECT_EQ(value_of<std::int64_t>("K\1K\2"
                                   "0"),
            1);
  EXPECT_EQ(value_of<std::int64_t>("K\1(K\2K\3"
                                   "1"),
            1);
  EXPECT_EQ(value_of<PickleTuple>("K\1"
                                  "2\x86")
                .items.size(),
            2U);
}

TEST(RestrictedPickle, ReadsFramedProtocols) {
  for (const char protocol : {'\4', '\5'}) {
    const std::string framed = "\x95\x02\x00\x00\x00\x00\x00\x00\x00K\7"s;
    const PickleTree tree = read(made::pickle(framed, protocol));
    EXPECT_EQ(std::get<std::int64_t>(tree.at(tree.root)), 7);
  }
}

TEST(RestrictedPickle, ReadsTensors) {
  const PickleTree tree =
      read(made::pickle(made::tensor(made::storage("HalfStorage", "12", 40), 3, {2, 5}, {5, 1})));
  const PickleTensor& tensor = tree.tensors.at(std::get<PickleTensorRef>(tree.at(tree.root)).index);
  EXPECT_EQ(tensor.dtype, DType::f16);
  EXPECT_EQ(tensor.offset, 3U);
  EXPECT_EQ(tensor.shape, (Shape{2, 5}));
  EXPECT_EQ(tensor.strides, (std::vector<std::uint64_t>{5, 1}));
  EXPECT_EQ(tree.storages.at(tensor.storage).elements, 40U);
  EXPECT_EQ(tree.key_of(tree.storages.at(tensor.storage)), "12");
}

TEST(RestrictedPickle, KnowsEveryStorageType) {
  const std::pair<const char*, DType> types[] = {
      {"DoubleStorage", DType::f64},    {"FloatStorage", DType::f32}, {"HalfStorage", DType::f16},
      {"BFloat16Storage", DType::bf16}, {"CharStorage", DType::i8},   {"ShortStorage", DType::i16},
      {"IntStorage", DType::i32},       {"LongStorage", DType::i64},  {"ByteStorage", DType::u8},
      {"BoolStorage", DType::boolean}};
  for (const auto& [name, dtype] : types) {
    const PickleTree tree =
        read(made::pickle(made::tensor(made::storage(name, "0", 1), 0, {1}, {1})));
    EXPECT_EQ(tree.tensors.at(0).dtype, dtype) << name;
  }
  expect_refused(made::pickle(made::storage("ComplexFloatStorage", "0", 1)), "ComplexFloatStorage",
                 "not read");
  expect_refused(made::pickle(made::storage("QInt8Storage", "0", 1)), "QInt8Storage", "not read");
}

// How current PyTorch saves types that never had a storage class of their own.
TEST(RestrictedPickle, ReadsTensorsOverUntypedStorages) {
  const std::string storage =
      made::tuple({made::text("storage"), made::global("torch.storage", "UntypedStorage"),
                   made::text("0"), made::text("cpu"), made::integer(8)}) +
      "Q";
  const auto rebuild = [&](const std::string& dtype) {
    return made::call(made::global("torch._utils", "_rebuild_tensor_v3"),
                      {storage, made::integer(0), made::integers({4}), made::integers({1}), "\x89",
                       made::call(made::global("collections", "OrderedDict"), {}), dtype});
  };
  const PickleTree tree = read(made::pickle(rebuild(made::global("torch", "float8_e4m3fn"))));
  EXPECT_EQ(tree.tensors.at(0).dtype, DType::f8_e4m3);
  EXPECT_TRUE(tree.storages.at(0).is_untyped);
  expect_refused(made::pickle(rebuild("N")), "a tensor's dtype is None, expected a dtype");
  expect_refused(made::pickle(made::tensor(storage, 0, {1}, {1})), "untyped storage has no dtype");
}

TEST(RestrictedPickle, ReadsParametersSizesAndBytesOfProtocol2) {
  const std::string tensor = made::tensor(made::storage("FloatStorage", "0", 1), 0, {1}, {1});
  const PickleTree tree = read(made::pickle(
      made::call(made::global("torch._utils", "_rebuild_parameter"), {tensor, "\x88", "}"})));
  EXPECT_TRUE(std::holds_alternative<PickleTensorRef>(tree.at(tree.root)));
  EXPECT_EQ(
      value_of<PickleTuple>(made::call(made::global("torch", "Size"), {made::integers({1, 2})}))
          .items.size(),
      2U);
  value_of<PickleBytes>(
      made::call(made::global("_codecs", "encode"), {made::text("abc"), made::text("latin1")}));
  value_of<PickleBytes>(made::call(made::global("__builtin__", "bytes"), {}));
}

TEST(RestrictedPickle, DropsTheAttributesOfAStateDict) {
  const std::string ordered = made::call(made::global("collections", "OrderedDict"), {});
  EXPECT_EQ(value_of<PickleDict>(ordered + made::text("k") + "K\1s" +
                                 made::dict({made::text("_metadata"), "}"}) + "b")
                .items.size(),
            1U);
}

TEST(RestrictedPickle, RefusesEveryOtherGlobalByName) {
  expect_refused(made::pickle(made::call(made::global("os", "system"), {made::text("id")})),
                 "pickle asks for 'os.system', which is not a tensor, dict, list, number or "
                 "string; refusing");
  const std::pair<const char*, const char*> forbidden[] = {
      {"posix", "system"},
      {"builtins", "eval"},
      {"__builtin__", "exec"},
      {"builtins", "getattr"},
      {"subprocess", "Popen"},
      {"nt", "system"},
      {"torch", "load"},
      {"torch.hub", "load"},
      {"collections", "defaultdict"},
      {"torch._utils", "eval"},
      {"numpy", "ndarray"},
      {"torch.nn", "Module"},
      {"torch", "float32\rx"},
      {"", ""},
      {"collections.OrderedDict", ""},
      {"_codecs", "decode"},
      {"torch.storage", "_load_from_bytes"},
      {"torch._utils", "_rebuild_tensor"},
  };
  for (const auto& [module, name] : forbidden) {
    expect_refused(made::pickle(made::global(module, name)), "pickle asks for '", "refusing");
  }
  // The same by protocol 4's opcode, and names that would play with the terminal.
  expect_refused(made::pickle("\x8c\2os\x8c\6system\x93", 4), "pickle asks for 'os.system'");
  expect_refused(made::pickle(made::global("\x1b[2J", "x")), "'\\x1b[2J.x'");
}

TEST(RestrictedPickle, CallsNothingButItsOwnFunctions) {
  expect_refused(made::pickle(made::call(made::text("os.system"), {})), "pickle calls a string");
  expect_refused(made::pickle(made::call(made::global("torch", "FloatStorage"), {})),
                 "pickle calls a type");
  expect_refused(made::pickle(made::call(made::global("torch.storage", "UntypedStorage"), {})),
                 "UntypedStorage");
  expect_refused(made::pickle(made::global("collections", "OrderedDict") + "NR"), "not a tuple");
  expect_refused(made::pickle(made::call(made::global("collections", "OrderedDict"), {"]"})),
                 "OrderedDict with 1 arguments");
  expect_refused(made::pickle(made::call(made::global("_codecs", "encode"),
                                         {made::text("x"), made::text("rot13")})),
                 "_codecs.encode");
  expect_refused(made::pickle(made::call(made::global("torch", "Size"), {"N"})),
                 "the argument of torch.Size is None, expected a tuple");
  expect_refused(
      made::pickle(made::call(made::global("torch._utils", "_rebuild_parameter"), {"N", "N", "N"})),
      "the argument of _rebuild_parameter is None, expected a tensor");
}

TEST(RestrictedPickle, RefusesOpcodesThatMakeObjects) {
  expect_refused(made::pickle("(ios\nsystem\n"), "INST");
  expect_refused(made::pickle("(N"
                              "o"),
                 "OBJ");
  expect_refused(made::pickle("N)\x81"), "NEWOBJ");
  expect_refused(made::pickle("N)}\x92"), "NEWOBJ_EX");
  expect_refused(made::pickle("\x82\1"), "EXT1");
  expect_refused(made::pickle("\x8f"), "EMPTY_SET");
  expect_refused(made::pickle("I1\n"), "0x49");
  expect_refused(made::pickle("P0\n"), "PERSID");
  expect_refused(made::pickle("N}b"), "attributes are set on what is not a dict");
  expect_refused(made::pickle("}Nb"), "attributes that are not a dict");
}

TEST(RestrictedPickle, RefusesBadTensors) {
  const std::string storage = made::storage("FloatStorage", "0", 4);
  const auto rebuild = [](const std::vector<std::string>& arguments) {
    return made::pickle(made::call(made::global("torch._utils", "_rebuild_tensor_v2"), arguments));
  };
  const std::string zero = made::integer(0);
  const std::string one = made::integers({1});
  expect_refused(rebuild({storage, zero, one, one}), "with 4 arguments");
  expect_refused(rebuild({"N", zero, one, one, "N", "N"}), "a tensor's storage is None");
  expect_refused(rebuild({storage, "N", one, one, "N", "N"}), "a tensor's storage offset is None");
  expect_refused(rebuild({storage, made::integer(-1), one, one, "N", "N"}), "offset is -1");
  expect_refused(rebuild({storage, zero, "N", one, "N", "N"}), "a tensor's size is None");
  expect_refused(rebuild({storage, zero, made::integers({-1}), one, "N", "N"}), "size is -1");
  expect_refused(rebuild({storage, zero, one, made::integers({-1}), "N", "N"}), "stride is -1");
  expect_refused(rebuild({storage, zero, one, made::integers({1, 1}), "N", "N"}),
                 "1 sizes but 2 strides");
  expect_refused(rebuild({storage, zero, made::tuple({"\x88"}), one, "N", "N"}),
                 "a tensor's size is a bool");
  const std::string many = made::integers(std::vector<std::int64_t>(65, 1));
  expect_refused(rebuild({storage, zero, many, many, "N", "N"}), "65 dimensions", "at most 64");
  expect_refused(
      rebuild({storage, zero, one, one, "N", "N", made::dict({made::text("neg"), "\x88"})}),
      "negated or conjugated");
}

TEST(RestrictedPickle, RefusesBadPersistentIds) {
  const std::string type = made::global("torch", "FloatStorage");
  const auto with = [](const std::vector<std::string>& parts) {
    return made::pickle(made::tuple(parts) + "Q");
  };
  expect_refused(made::pickle("NQ"), "persistent id");
  expect_refused(with({made::text("storage"), type, made::text("0"), "N"}), "persistent id");
  expect_refused(with({made::text("module"), type, made::text("0"), "N", made::integer(1)}),
                 "does not name a storage");
  expect_refused(with({made::text("storage"), type, made::integer(0), "N", made::integer(1)}),
                 "does not name a storage");
  expect_refused(with({made::text("storage"), made::text("FloatStorage"), made::text("0"), "N",
                       made::integer(1)}),
                 "type of a storage is a string");
  expect_refused(with({made::text("storage"), made::global("torch", "float32"), made::text("0"),
                       "N", made::integer(1)}),
                 "type of a storage");
  expect_refused(with({made::text("storage"), type, made::text("0"), "N", made::integer(-1)}),
                 "number of elements of a storage is -1");
  expect_refused(with({made::text("storage"), type, made::text("0"), "N",
                       made::integer(std::int64_t{1} << 61)}),
                 "claims 2305843009213693952 elements");
}

TEST(RestrictedPickle, RefusesMalformedPickles) {
  expect_refused("", "not a pickle");
  expect_refused("(lp0\n.", "not a pickle");
  expect_refused(made::pickle("N", 1), "protocol 1");
  expect_refused(made::pickle("N", 6), "protocol 6");
  expect_refused("\x80\2N", "truncated");
  expect_refused("\x80\2X\xff\xff\xff\xff.", "truncated", "4294967295 bytes");
  expect_refused("\x80\2\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "truncated");
  expect_refused("\x80\2\x8b\xff\xff\xff\xff.", "negative length");
  expect_refused("\x80\2\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", "frame");
  expect_refused("\x80\2cos", "unfinished name");
  expect_refused("\x80\2c" + std::string(2000, 'a') + "\nb\n.", "unfinished name");
  expect_refused(made::pickle(""), "ends with 0 values");
  expect_refused(made::pickle("NN"), "ends with 2 values");
  expect_refused(made::pickle("N("), "ends with");
  expect_refused(made::pickle("N") + "N", "1 bytes follow");
  expect_refused(made::pickle("0"), "nothing on the stack");
  expect_refused(made::pickle("N(a"), "nothing on the stack");
  expect_refused(made::pickle("N\x86"), "nothing on the stack");
  expect_refused(made::pickle("t"), "no mark");
  expect_refused(made::pickle("1"), "no mark");
  expect_refused(made::pickle("h\1"), "never memorised");
  expect_refused(made::pickle("NNa"), "not a list");
  expect_refused(made::pickle("NNNs"), "not a dict");
  expect_refused(made::pickle("}(Nu"), "key without a value");
  expect_refused(made::pickle("NN\x93"), "not a string");
}

TEST(RestrictedPickle, EveryTruncationIsRefused) {
  const std::string whole = made::pickle(made::dict(
      {made::text("w"), made::tensor(made::storage("FloatStorage", "0", 4), 0, {2, 2}, {2, 1})}));
  EXPECT_NO_THROW(read(whole));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(read(whole.substr(0, size)), InputError) << size;
  }
}

TEST(RestrictedPickle, KeepsItsLimits) {
  const PickleLimits limits{.bytes = 1000, .values = 100};
  const auto read_small = [&](const std::string& body) {
    return [&, body] { read_restricted_pickle(made::pickle(body), "file.pt", limits); };
  };
  expect_error<InputError>(read_small(std::string(1000, 'N')), "1003 bytes", "at most 1000");
  expect_error<InputError>(read_small(std::string(101, 'N')), "more than 100 values");
  expect_error<InputError>(read_small("N" + std::string(101, '2')), "more than 100 values");
  expect_error<InputError>(read_small(std::string(101, '(')), "more than 100 values");
  std::string memo = "N";
  for (char i = 0; i < 101; ++i) memo += std::string("q") + i;
  expect_error<InputError>(read_small(memo), "more than 100 values");
}

// A shape remembered once and used again and again costs a few bytes a time.
TEST(RestrictedPickle, BoundsWhatRememberedShapesUnfoldInto) {
  std::string body = made::storage("FloatStorage", "0", 4) +
                     "q\1"
                     "0" +
                     made::integers(std::vector<std::int64_t>(64, 1)) +
                     "q\2"
                     "0" +
                     made::global("torch._utils", "_rebuild_tensor_v2") +
                     "q\3"
                     "0](";
  for (int i = 0; i < 20; ++i) body += "h\3(h\1K\0h\2h\2NNtR"s;
  body += "e";
  EXPECT_NO_THROW(read(made::pickle(body)));
  const PickleLimits limits{.values = 1000};
  expect_error<InputError>([&] { read_restricted_pickle(made::pickle(body), "file.pt", limits); },
                           "more than 1000 values");
}

TEST(RestrictedPickle, DeepNestingDoesNotRecurse) {
  // Lists inside lists, a million deep: read and destroyed without a stack of that depth.
  const std::size_t depth = 1'000'000;
  EXPECT_NO_THROW(read(made::pickle(std::string(depth, ']') + std::string(depth - 1, 'a'))));
}

TEST(RestrictedPickle, AListInsideItselfIsRead) {
  EXPECT_EQ(value_of<PickleList>("]q\1h\1a").items.size(), 1U);
}

}  // namespace
}  // namespace amalgam
