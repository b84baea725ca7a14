#pragma once

#include <cstddef>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "amalgam/checkpoint/text_pattern.hpp"

/// What reading the parts of a tokenizer.json shares.
namespace amalgam {

/// What a text may become while it is cut, in bytes: hostile steps could double it again and again.
inline constexpr std::size_t kLongestText = 64'000'000;
/// InputError if `bytes` is more than that.
void check_text_size(std::size_t bytes);

/// Calls visit(settings, type) for a step, or for every step of a "Sequence" in the list called
/// `list_key`; not at all for null. InputError naming `where` if a step has no type.
void for_each_step(const nlohmann::json& settings, const char* list_key, std::string_view where,
                   const std::function<void(const nlohmann::json&, const std::string&)>& visit);

/// The text called `key`, of a step or a model. InputError if there is none.
std::string text_setting(const nlohmann::json& settings, const char* key, std::string_view where);

/// The number called `key`. InputError if there is none, or if it is negative or no whole one.
std::size_t count_setting(const nlohmann::json& settings, const char* key, std::string_view where);

/// The flag called `key`; `otherwise` if there is none.
bool flag_setting(const nlohmann::json& settings, const char* key, bool otherwise);

/// What "pattern" says: {"String": text} or {"Regex": expression}. InputError for anything else.
TextPattern pattern_setting(const nlohmann::json& settings, std::string_view where);

}  // namespace amalgam
