#include "amalgam/weights/moved_inputs.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "amalgam/checkpoint/adapter.hpp"
#include "amalgam/checkpoint/gguf_parts.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/recipe_models.hpp"
#include "amalgam/weights/rule.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kInputsListed = 20;

// Without ".", "name/.." and a slash at the end, which mean nothing.
fs::path plain(const fs::path& path) {
  const fs::path normal = path.lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

// What comes after `outer` in `inner`, component by component (both plain); nothing if `inner` is
// not in it. Empty if they are the same.
std::optional<fs::path> rest_below(const fs::path& outer, const fs::path& inner) {
  if (outer == "." && inner.is_relative() && *inner.begin() != "..") return inner;
  const auto [end, next] = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  if (end != outer.end()) return std::nullopt;
  fs::path rest;
  for (auto part = next; part != inner.end(); ++part) rest /= *part;
  return rest;
}

std::string listed(const std::vector<fs::path>& paths) {
  std::vector<std::string> names;
  for (const fs::path& path : paths) names.push_back("'" + path.string() + "'");
  if (names.size() <= kInputsListed) return join(names, ", ");
  return fmt::format("{} and {} more", join(std::span(names).first(kInputsListed), ", "),
                     names.size() - kInputsListed);
}

}  // namespace

MovedInputs::MovedInputs(const std::vector<std::string>& moves, const Manifest& manifest,
                         std::string_view where) {
  for (const ManifestFile& input : manifest.inputs) inputs_.emplace_back(plain(input.path));
  for (const std::string& text : moves) {
    Move move = parse_move(text, where);
    const bool is_known =
        std::ranges::any_of(moves_, [&](const Move& other) { return other.from == move.from; });
    if (is_known) {
      throw InputError("--input '{}': '{}' is given twice", text, move.from.string());
    }
    moves_.push_back(std::move(move));
  }
}

MovedInputs::Move MovedInputs::parse_move(const std::string& text, std::string_view where) const {
  const auto holds_inputs = [&](const fs::path& from) {
    return std::ranges::any_of(
        inputs_, [&](const fs::path& in) { return rest_below(from, in).has_value(); });
  };
  // Names may have a '=' too: the one that ends OLD has an input before it.
  std::optional<Move> move;
  std::string first_old;
  for (std::size_t at = text.find('='); at != std::string::npos; at = text.find('=', at + 1)) {
    if (at == 0 || at + 1 == text.size()) continue;
    if (first_old.empty()) first_old = text.substr(0, at);
    const fs::path from = plain(text.substr(0, at));
    if (!holds_inputs(from)) continue;
    if (move) {
      throw InputError("--input '{}': can be read as '{}' moved or '{}' moved; rename one of them",
                       text, move->from.string(), from.string());
    }
    move = Move{from, text.substr(at + 1)};
  }
  if (first_old.empty()) {
    throw InputError(
        "--input '{}': expected OLD=NEW, an input of the manifest (or a folder of some) and where "
        "it lies now",
        text);
  }
  if (!move) {
    throw InputError("--input '{}': '{}' is no input of {} and no folder of any; its inputs: {}",
                     text, first_old, where, listed(inputs_));
  }
  const bool is_file = std::ranges::find(inputs_, move->from) != inputs_.end();
  if (is_file ? !names_file(move->to) : !names_folder(move->to)) {
    throw InputError("--input '{}': '{}' is {}; expected {}, as '{}' was", text, move->to.string(),
                     path_exists(move->to) ? (is_file ? "no file" : "no folder") : "not there",
                     is_file ? "a file" : "a folder", move->from.string());
  }
  return *std::move(move);
}

// Where the first part of a split GGUF file has gone, the others are.
fs::path MovedInputs::place_beside_first_part(const fs::path& input) const {
  const std::optional<GgufPartName> part = parse_gguf_part_name(input);
  if (!part || part->number == 0) return input;
  const fs::path first = gguf_part_beside(input, 0);
  const fs::path place = place_of(first);
  const std::optional<GgufPartName> now = parse_gguf_part_name(place);
  if (place == first || !now || now->number != 0) return input;
  return gguf_part_beside(place, part->number);
}

fs::path MovedInputs::place_of(const fs::path& input) const {
  const fs::path name = plain(input);
  const Move* longest = nullptr;
  for (const Move& move : moves_) {
    if (!rest_below(move.from, name)) continue;
    const auto length = [](const fs::path& path) {
      return path == "." ? 0 : std::distance(path.begin(), path.end());
    };
    if (longest == nullptr || length(move.from) > length(longest->from)) longest = &move;
  }
  if (longest == nullptr) return place_beside_first_part(input);
  const fs::path rest = rest_below(longest->from, name).value_or(fs::path());
  return rest.empty() ? longest->to : longest->to / rest;
}

// A folder is read as one: its files must have gone where it went.
fs::path MovedInputs::place_of_model(const fs::path& model) const {
  if (model.empty()) return model;
  if (const auto adapted = split_adapted_path(model)) {
    return place_of_model(adapted->base).string() + "+" + place_of_model(adapted->adapter).string();
  }
  fs::path place = place_of(model);
  for (const fs::path& input : inputs_) {
    const auto rest = rest_below(plain(model), input);
    if (!rest || rest->empty()) continue;
    const fs::path found = place_of(input);
    if (plain(found) == plain(place / *rest)) continue;
    throw InputError(
        "--input: '{}' would lie at '{}', but '{}', of which it is a part, at '{}', and is read as "
        "one folder; expected '{}=FOLDER'",
        input.string(), found.string(), model.string(), place.string(), model.string());
  }
  return place;
}

ModelReference MovedInputs::place_of(const ModelReference& model) const {
  return {place_of_model(model.path).string(), place_of_model(model.adapter).string()};
}

// For models that stay texts, in which '+' stands before an adapter.
std::string MovedInputs::place_in_text(const std::string& model) const {
  const ModelReference moved = place_of(parse_model_reference(model, "recipe"));
  if (parse_model_reference(moved.text(), "--input") == moved) return moved.text();
  throw InputError("--input: '{}' has a '+' in its path, which a recipe takes for an adapter",
                   moved.text());
}

void MovedInputs::apply(ParameterSettings& settings, const std::vector<std::string>& paths) const {
  for (const std::string& name : paths) {
    const auto setting = settings.find(name);
    if (setting == settings.end()) continue;
    for (ParameterSetting::Entry& entry : setting->second.entries) {
      for (ParameterValue& value : entry.values) {
        if (auto* path = std::get_if<std::string>(&value)) *path = place_in_text(*path);
      }
    }
  }
}

void MovedInputs::apply(std::vector<RecipeSource>& sources,
                        const std::vector<std::string>& paths) const {
  for (RecipeSource& source : sources) apply(source.parameters, paths);
}

void MovedInputs::apply(std::vector<RecipeSlice>& slices,
                        const std::vector<std::string>& paths) const {
  for (RecipeSlice& slice : slices) {
    apply(slice.parameters, paths);
    apply(slice.sources, paths);
  }
}

void MovedInputs::apply(Recipe& recipe) const {
  if (moves_.empty()) return;
  std::vector<std::string> paths;  // parameters that name a checkpoint
  for (const ParameterInfo& info : find_merge_rule(recipe.merge_method).info().parameters) {
    if (info.kind == ParameterInfo::Kind::path) paths.push_back(info.name);
  }
  apply(recipe.parameters, paths);
  apply(recipe.models, paths);
  apply(recipe.slices, paths);
  for (RecipeModule& module : recipe.modules) {
    apply(module.parameters, paths);
    apply(module.models, paths);
    apply(module.slices, paths);
  }
  visit_models(recipe, [&](ModelReference& model, RecipeLine) { model = place_of(model); });
  for (RecipeToken& token : recipe.tokens) token.model = place_of(token.model);
  std::string& tokenizer = recipe.tokenizer_source;
  if (!tokenizer.empty() && tokenizer != "base" && tokenizer != "union") {
    tokenizer = place_in_text(tokenizer);
  }
}

void MovedInputs::apply(MoeRecipe& recipe) const {
  recipe.base_model = place_of(recipe.base_model);
  for (std::vector<MoeExpert>* experts : {&recipe.experts, &recipe.shared_experts}) {
    for (MoeExpert& expert : *experts) expert.model = place_of(expert.model);
  }
}

}  // namespace amalgam
