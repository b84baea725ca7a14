// Any bytes as tokenizer.json, a zero byte and a text: either a clear InputError, or numbers of
// tokens that exist.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "amalgam/checkpoint/token_encoder.hpp"
#include "amalgam/core/error.hpp"
#include "fuzz/linked_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using amalgam::Tokenizer;
  static const LinkedFile file;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(input.find('\0'), input.size());
  file.set(input.data(), end);
  try {
    const Tokenizer tokenizer = Tokenizer::read(file.named("json/tokenizer.json").parent_path());
    const amalgam::TokenEncoder encoder(tokenizer);
    for (const std::size_t token : encoder.encode(input.substr(std::min(end + 1, input.size())))) {
      if (token >= tokenizer.size() || !tokenizer.token(token)) std::abort();
    }
  } catch (const amalgam::InputError&) {
    return 0;
  }
  return 0;
}
