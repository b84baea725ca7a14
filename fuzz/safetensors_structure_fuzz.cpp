// safetensors files whose headers are JSON of the right form, but seldom say what is right: shapes
// that wrap around, offsets that overlap or lead back, fields of another type.

#include <fmt/format.h>
#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "fuzz/safetensors_check.hpp"

namespace {

constexpr std::uint64_t kEdges[] = {0,           1,           3,           255,  1ULL << 31U,
                                    1ULL << 32U, 1ULL << 62U, 1ULL << 63U, ~0ULL};
constexpr const char* kTypes[] = {"F64", "F32", "F16",  "BF16", "F8_E4M3", "F8_E5M2", "I64", "I32",
                                  "U16", "U8",  "BOOL", "F4",   "f32",     "",        "C64"};
constexpr const char* kOdd[] = {
    "null", "-1", "1.5", "1e99", "\"1\"", "[]", "{}", "true", "18446744073709551616"};

class Header {
 public:
  explicit Header(FuzzedDataProvider& choice) : choice_(choice) {}

  std::string make() {
    std::string text = "{";
    const int tensors = choice_.ConsumeIntegralInRange(0, 5);
    for (int i = 0; i < tensors; ++i) text += (i == 0 ? "" : ",") + tensor(i);
    if (choice_.ConsumeBool()) {
      text += fmt::format("{}\"__metadata__\":{{\"a\":{}}}", tensors == 0 ? "" : ",",
                          seldom() ? odd() : "\"b\"");
    }
    return text + "}";
  }

 private:
  bool seldom() { return choice_.ConsumeIntegralInRange(0, 15) == 0; }
  std::string odd() { return choice_.PickValueInArray(kOdd); }
  std::string number(std::uint64_t fitting) {
    if (seldom()) return odd();
    return std::to_string(seldom() ? choice_.PickValueInArray(kEdges) : fitting);
  }
  std::string tensor(int i) {
    const char* type = choice_.PickValueInArray(kTypes);
    const int rank = choice_.ConsumeIntegralInRange(0, 3);
    std::uint64_t elements = 1;
    std::string shape;
    for (int axis = 0; axis < rank; ++axis) {
      const auto side = choice_.ConsumeIntegralInRange<std::uint64_t>(0, 3);
      elements *= side;
      shape += (axis == 0 ? "" : ",") + number(side);
    }
    const std::string name = seldom() ? "t0" : fmt::format("t{}", i);
    const std::uint64_t begin = end_;
    end_ += elements * choice_.PickValueInArray({1U, 2U, 4U, 8U});
    return fmt::format("\"{}\":{{\"dtype\":{},\"shape\":{},\"data_offsets\":[{},{}]}}", name,
                       seldom() ? odd() : fmt::format("\"{}\"", type),
                       seldom() ? odd() : "[" + shape + "]", number(begin), number(end_));
  }

  FuzzedDataProvider& choice_;
  std::uint64_t end_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider choice(data, size);
  const std::string header = Header(choice).make();
  const std::uint64_t length =
      choice.ConsumeIntegralInRange(0, 15) > 0 ? header.size() : choice.PickValueInArray(kEdges);
  std::string file(reinterpret_cast<const char*>(&length), sizeof(length));
  file += header + choice.ConsumeRemainingBytesAsString();
  check_safetensors(file.data(), file.size());
  return 0;
}
