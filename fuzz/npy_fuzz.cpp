#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/data/npy.hpp"

namespace {

// The array's bits read in pieces of at most `piece` bytes, and the error if there is one.
std::pair<std::vector<std::uint64_t>, std::string> read_all(std::string_view bytes,
                                                            std::size_t piece) {
  const auto source = [&](std::span<char> out) {
    const std::size_t count = std::min({out.size(), bytes.size(), piece});
    std::copy_n(bytes.begin(), count, out.begin());
    bytes.remove_prefix(count);
    return count;
  };
  std::vector<std::uint64_t> values;
  try {
    amalgam::NpyReader reader(source, "fuzz");
    std::array<double, 64> some;
    while (const std::size_t count = reader.read(some)) {
      for (std::size_t i = 0; i < count; ++i) {
        std::uint64_t bits = 0;
        std::memcpy(&bits, &some[i], sizeof(bits));
        values.push_back(bits);
      }
    }
  } catch (const amalgam::InputError& error) {
    return {values, error.what()};
  }
  return {values, {}};
}

}  // namespace

// Any bytes either parse or are refused, and how they arrive makes no difference.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(data, data + size);
  if (read_all(bytes, bytes.size() + 1) != read_all(bytes, 1 + size % 7)) std::abort();
  return 0;
}
