#pragma once

#include <cstdint>
#include <string>

namespace amalgam {

/// Sets `vocab_size` in a parsed config.json, and in the configs of text models within it
/// (text_config, language_config, llm_config), to `rows` where `applies(stated size)`. Returns
/// whether anything changed. `Json` is nlohmann::json or its ordered form.
template <class Json, class Applies>
bool set_vocabulary_size(Json& config, std::uint64_t rows, const Applies& applies) {
  if (!config.is_object()) return false;
  bool changed = false;
  for (auto& [key, value] : config.items()) {
    const auto names = [&, &name = key](const char* word) {
      return name.find(word) != std::string::npos;
    };
    if (key == "vocab_size" && value.is_number_unsigned()) {
      const auto stated = value.template get<std::uint64_t>();
      if (stated == rows || !applies(stated)) continue;
      value = rows;
      changed = true;
    } else if (value.is_object() && (names("text") || names("language") || names("llm"))) {
      changed = set_vocabulary_size(value, rows, applies) || changed;
    }
  }
  return changed;
}

}  // namespace amalgam
