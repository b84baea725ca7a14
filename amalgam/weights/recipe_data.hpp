#pragma once

#include <string>
#include <string_view>

#include "amalgam/weights/recipe.hpp"

namespace amalgam {

/// Reads what a command line says of data, for --task and --evaluate: words between commas, of
/// which KEY=VALUE means what it does in recipes (name, split, set, first, examples, head, label,
/// tokens, context), and all others are changes of the inputs (`corrupt`):
/// "split=test,head=left,rotate=90". InputError beginning with `where` for an empty or repeated
/// word and one without a value.
RecipeData parse_data_words(std::string_view text, std::string_view where);

/// What `data` says in words, for people: "set=digits,split=test,keep=left".
std::string data_words(const RecipeData& data);

/// `task` with what it leaves out from `data`; its changes of the inputs come after those of
/// `data`.
RecipeData task_of(const RecipeData& data, const RecipeData& task);

}  // namespace amalgam
