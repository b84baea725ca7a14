#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/data/csv.hpp"

namespace {

using Records = std::vector<std::vector<std::string>>;

// The records, read in pieces of at most `piece` bytes; the error as a record of its own.
Records read_all(std::string_view bytes, std::size_t piece) {
  const auto source = [&](std::span<char> out) {
    const std::size_t count = std::min({out.size(), bytes.size(), piece});
    std::copy_n(bytes.begin(), count, out.begin());
    bytes.remove_prefix(count);
    return count;
  };
  Records records;
  try {
    amalgam::CsvReader reader(source, "fuzz", {.longest_record = 300, .most_fields = 50});
    while (reader.next()) {
      auto& record = records.emplace_back();
      for (std::size_t i = 0; i < reader.fields().size(); ++i) {
        record.emplace_back(reader.fields()[i]);
        record.push_back(reader.place(i));
      }
    }
  } catch (const amalgam::InputError& error) {
    records.push_back({error.what()});
  }
  return records;
}

}  // namespace

// Any bytes either parse or are refused, and how they arrive makes no difference.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(data, data + size);
  if (read_all(bytes, bytes.size() + 1) != read_all(bytes, 1 + size % 7)) std::abort();
  return 0;
}
