// Any bytes as the files of a tokenizer: either a clear InputError, or tokens with numbers that are
// found by name, and that are the same once a token was appended and the files written and read
// again. The first byte says which files the rest is: 'b' vocab.json, a zero byte and merges.txt;
// 't' vocab.txt; anything else tokenizer.json.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "amalgam/checkpoint/tokenizer.hpp"
#include "amalgam/core/error.hpp"
#include "fuzz/linked_file.hpp"

namespace {

namespace fs = std::filesystem;
using amalgam::Tokenizer;

// The folder of the model.
fs::path fill(const LinkedFile& file, std::string_view input) {
  const char form = input.empty() ? 'j' : input.front();
  if (!input.empty()) input.remove_prefix(1);
  if (form == 'b') {
    const std::size_t end = std::min(input.find('\0'), input.size());
    file.set(input.data(), end);
    file.write("pair/merges.txt", std::string(input.substr(std::min(end + 1, input.size()))));
    return file.named("pair/vocab.json").parent_path();
  }
  file.set(input.data(), input.size());
  return file.named(form == 't' ? "text/vocab.txt" : "json/tokenizer.json").parent_path();
}

void check_numbers(const Tokenizer& tokenizer) {
  for (std::size_t id = 0; id < tokenizer.size(); ++id) {
    if (tokenizer.token(id) && tokenizer.find(*tokenizer.token(id)) != id) std::abort();
  }
}

// What has no token may have got a name by being written.
void check_kept(const Tokenizer& before, const Tokenizer& after) {
  if (after.size() != before.size()) std::abort();
  for (std::size_t id = 0; id < before.size(); ++id) {
    if (before.token(id) && before.token(id) != after.token(id)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const LinkedFile file;
  const fs::path written = file.folder() / "written";
  fs::remove_all(written);
  fs::create_directory(written);
  std::optional<Tokenizer> tokenizer;
  try {
    tokenizer = Tokenizer::read(fill(file, {reinterpret_cast<const char*>(data), size}));
    check_numbers(*tokenizer);
    if (tokenizer->find("a new token")) return 0;
    tokenizer->append("a new token", nullptr, -1);
    tokenizer->write(written);
  } catch (const amalgam::InputError&) {
    return 0;
  }
  check_kept(*tokenizer, Tokenizer::read(written));
  return 0;
}
