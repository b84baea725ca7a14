#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace amalgam {

/// The Jinja text of a chat template with a name: "chatml", "llama3", "mistral" or "alpaca"; null
/// for another name.
const char* find_chat_template(std::string_view name);

/// The names that find_chat_template knows.
std::vector<std::string> chat_template_names();

}  // namespace amalgam
