// Any bytes as the journal of an unfinished merge: nothing, or an identity and records to look up.
// Bytes that begin with an even one are the contents alone, to which the target gives the frame and
// checksums that a journal has: else hardly an input would be read at all.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "amalgam/checkpoint/checksum.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/weights/journal.hpp"
#include "amalgam/weights/merge_identity.hpp"
#include "fuzz/linked_file.hpp"

namespace {

constexpr std::size_t kContent = 24;  // of a record, before its checksum

template <class T>
void put(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void put_checksum_of(std::string& bytes, std::string_view part) {
  put(bytes, amalgam::checksum_of(std::as_bytes(std::span(part))));
}

// `contents`: length of the identity in two bytes, the identity, records without checksums.
std::string framed(std::string_view contents) {
  if (contents.size() < 2) return {};
  const std::size_t length =
      static_cast<unsigned char>(contents[0]) + 256U * static_cast<unsigned char>(contents[1]);
  contents.remove_prefix(2);
  const std::string_view identity = contents.substr(0, length);
  contents.remove_prefix(identity.size());
  std::string bytes = "AMALGAMJ";
  put(bytes, std::uint32_t{1});
  put(bytes, static_cast<std::uint32_t>(identity.size()));
  bytes += identity;
  put_checksum_of(bytes, std::string(bytes));
  for (; contents.size() >= kContent; contents.remove_prefix(kContent)) {
    bytes += contents.substr(0, kContent);
    put_checksum_of(bytes, contents.substr(0, kContent));
  }
  return bytes.append(contents);
}

void check(const amalgam::FinishedWork& work, std::size_t size) {
  if (!work.identity().is_object() || work.size() > size / 32) std::abort();
  for (std::uint32_t stage = 0; stage < 2; ++stage) {
    (void)work.find(stage, amalgam::OutputLeaf{});
  }
  const nlohmann::ordered_json expected = {
      {"version", "1"},
      {"recipe", "r"},
      {"options", {{"seed", 1}}},
      {"inputs", {{{"path", "a"}, {"bytes", 1}}, {{"path", "b"}, {"bytes", 2}}}}};
  amalgam::check_same_merge(work.identity(), expected, "fuzz");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const LinkedFile file;
  static const std::filesystem::path place = file.named("journal.0");
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::string bytes = data[0] % 2 == 0 ? framed(rest) : std::string(rest);
  file.set(bytes.data(), bytes.size());
  try {
    if (const auto work = amalgam::FinishedWork::read(place.parent_path())) {
      check(*work, bytes.size());
    }
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
