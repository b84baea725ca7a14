// Any bytes as a PyTorch archive: either a clear InputError, or a source any part of which can be
// read. What is not a zip archive is taken as the pickle of one with two storages, so that
// mutations get past the checksums.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/checkpoint/torch_archive.hpp"
#include "amalgam/core/error.hpp"
#include "fuzz/memory_file.hpp"
#include "tests/checkpoint/zip_bytes.hpp"

namespace {

constexpr std::uint64_t kMostRead = 10'000;

void check(bool holds) {
  if (!holds) std::abort();
}

// Both ends of every tensor, whose size is no measure of the file's: strides may be 0.
void read_tensors(const amalgam::TensorSource& source) {
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    const amalgam::TensorInfo& info = source.tensors()[i];
    check(source.find(info.name) == i);
    std::vector<std::byte> front(std::min(info.bytes, kMostRead));
    source.read_bytes(i, 0, front);
    std::vector<std::byte> back(std::min(info.bytes, kMostRead + 1));
    source.read_bytes(i, info.bytes - back.size(), back);
    if (front.size() == info.bytes) {
      check(front.empty() || std::memcmp(front.data(), back.data(), front.size()) == 0);
    }
  }
  for (const auto& [alias, name] : source.aliases()) {
    check(alias != name && source.find(alias).has_value() && source.find(name).has_value());
  }
}

std::string as_archive(std::string_view pickle) {
  std::string storage;
  for (char i = 0; i < 64; ++i) storage += i;
  amalgam::ZipBytes zip;
  return zip.add("m/data.pkl", pickle)
      .add("m/data/0", storage)
      .add("m/data/1", storage.substr(0, 8))
      .bytes();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile file;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string bytes = input.starts_with("PK") ? std::string(input) : as_archive(input);
  file.set(bytes.data(), bytes.size());
  try {
    read_tensors(*amalgam::open_torch_archive(file.path()));
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
