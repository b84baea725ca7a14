// GGUF files whose lengths and types are in the right places, but seldom the right ones: counts and
// dimensions that wrap around, keys with values of another type, arrays in arrays.

#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "fuzz/gguf_check.hpp"

namespace {

constexpr std::uint64_t kEdges[] = {0,           1,           2,           31,          32,
                                    33,          256,         1U << 20U,   1ULL << 31U, 1ULL << 32U,
                                    1ULL << 61U, 1ULL << 62U, 1ULL << 63U, ~0ULL,       ~0ULL - 31};
constexpr const char* kKeys[] = {
    "general.alignment", "general.architecture", "general.file_type",     "split.no",
    "split.count",       "split.tensors.count",  "tokenizer.ggml.tokens", "llama.block_count"};

class File {
 public:
  explicit File(FuzzedDataProvider& choice) : choice_(choice) {}

  std::string make() {
    const auto tensors = choice_.ConsumeIntegralInRange<std::uint64_t>(0, 4);
    const auto keys = choice_.ConsumeIntegralInRange<std::uint64_t>(0, 4);
    bytes_ = "GGUF";
    put<std::uint32_t>(choice_.ConsumeIntegralInRange<std::uint32_t>(1, 4));
    put<std::uint64_t>(or_edge(tensors));
    put<std::uint64_t>(or_edge(keys));
    for (std::uint64_t i = 0; i < keys; ++i) add_key();
    for (std::uint64_t i = 0; i < tensors; ++i) add_tensor();
    bytes_.resize((bytes_.size() + 31) / 32 * 32);
    return bytes_ + choice_.ConsumeRemainingBytesAsString();
  }

 private:
  template <class T>
  void put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  // The number that fits, or, one time in sixteen, one that does not.
  std::uint64_t or_edge(std::uint64_t fitting) {
    return choice_.ConsumeIntegralInRange(0, 15) > 0 ? fitting : choice_.PickValueInArray(kEdges);
  }
  void put_string(const std::string& text) {
    put<std::uint64_t>(or_edge(text.size()));
    bytes_ += text;
  }
  void add_key() {
    put_string(choice_.ConsumeBool() ? choice_.PickValueInArray(kKeys)
                                     : choice_.ConsumeRandomLengthString(8));
    add_value(0);
  }
  void add_value(int depth) {
    const auto type = choice_.ConsumeIntegralInRange<std::uint32_t>(0, 13);
    put<std::uint32_t>(type);
    if (type == 9 && depth < 8) {
      add_array(depth);
    } else {
      add_plain(type);
    }
  }
  void add_plain(std::uint32_t type) {
    constexpr std::size_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8, 3};
    if (type == 8) {
      put_string(choice_.ConsumeRandomLengthString(8));
    } else if (choice_.ConsumeBool()) {
      const std::uint64_t edge = choice_.PickValueInArray(kEdges);
      bytes_.append(reinterpret_cast<const char*>(&edge), kBytes[type]);
    } else {
      bytes_ += choice_.ConsumeBytesAsString(kBytes[type]);
    }
  }
  void add_array(int depth) {
    const auto elements = choice_.ConsumeIntegralInRange<std::uint64_t>(0, 3);
    const auto type = choice_.ConsumeIntegralInRange<std::uint32_t>(0, 13);
    put<std::uint32_t>(type);
    put<std::uint64_t>(or_edge(elements));
    for (std::uint64_t i = 0; i < elements; ++i) {
      if (type == 9 && depth < 8) {
        add_array(depth + 1);
      } else {
        add_plain(type);
      }
    }
  }
  void add_tensor() {
    put_string(choice_.ConsumeRandomLengthString(4));
    const auto dimensions = choice_.ConsumeIntegralInRange<std::uint32_t>(0, 5);
    put<std::uint32_t>(dimensions);
    for (std::uint32_t i = 0; i < dimensions; ++i) {
      put<std::uint64_t>(choice_.PickValueInArray(kEdges));
    }
    put<std::uint32_t>(choice_.ConsumeIntegralInRange<std::uint32_t>(0, 40));
    put<std::uint64_t>(or_edge(32 * choice_.ConsumeIntegralInRange<std::uint64_t>(0, 3)));
  }

  FuzzedDataProvider& choice_;
  std::string bytes_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider choice(data, size);
  const std::string file = File(choice).make();
  check_gguf(file.data(), file.size());
  return 0;
}
