// Any text as Hugging Face's config.json: either a clear InputError, or the description of a
// decoder, which reads back from its JSON as the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <variant>

#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/description/architecture_options.hpp"
#include "amalgam/description/hugging_face.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace learning = amalgam::learning;
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const learning::NetworkDescription description =
        learning::hugging_face_description(amalgam::parse_json(text, "fuzz"), "fuzz");
    if (!description.takes_tokens() || description.architecture != "llama") std::abort();
    const nlohmann::json json = learning::to_json(description);
    if (learning::to_json(learning::parse_network_description(json, "again")) != json) std::abort();
    const auto options = learning::architecture_options(description, "fuzz");
    if (!std::holds_alternative<learning::DecoderOptions>(options)) std::abort();
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
