#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "amalgam/data/table.hpp"
#include "amalgam/data/text.hpp"

namespace amalgam::learning {

/// How examples became numbers, as a network's description keeps it under `input.encoding`:
///
///     {"kind": "table", "label": "class", "columns": [{"name": "age", "fill": 38.5, "flags":
///     true},
///                                                     {"name": "sex", "categories": ["f", "m"]}]}
///     {"kind": "text", "tokens": "character", "characters": ["\n", " ", "a"]}
///
/// The classes of a table are those of the network. A table without a label has no `label`; one
/// whose label is a number to predict has `"target": {"mean": 3.2, "deviation": 1.5}`, and its
/// network one class, which is the label's name.
nlohmann::json to_json(const TableLayout& layout);
nlohmann::json to_json(const TextTokens& tokens);

/// The other way round, of a description that may be from anywhere. InputError beginning with
/// `where` if it is of another kind or damaged.
TableLayout parse_table_layout(const nlohmann::json& encoding,
                               const std::vector<std::string>& class_names,
                               const std::string& where);
TextTokens parse_text_tokens(const nlohmann::json& encoding, const std::string& where);

}  // namespace amalgam::learning
