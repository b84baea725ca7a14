#include "cli/learning/merge_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/load_dataset.hpp"
#include "amalgam/learning/recipe.hpp"
#include "amalgam/weights/recipe_data.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

using learning::Dataset;
using learning::NetworkDescription;

std::string place(const Recipe& recipe, RecipeLine line) {
  return line.number == 0 ? recipe.label : fmt::format("{}:{}", recipe.label, line.number);
}

}  // namespace

MergeData::MergeData(const Recipe& recipe, std::uint64_t seed) : recipe_(recipe), seed_(seed) {
  const RecipeData data = recipe.data.value_or(RecipeData{});
  if (recipe.tasks.empty()) tasks_.push_back(source(data, "validation"));
  for (const RecipeData& task : recipe.tasks) {
    tasks_.push_back(source(task_of(data, task), "validation"));
  }
  for (const RecipeData& one : recipe.evaluate) evaluate_.push_back(source(one, "test"));
}

MergeData::Source MergeData::source(const RecipeData& data, const std::string& split) const {
  const std::string where = place(recipe_, data.line);
  Source made{.name = data.name,
              .split = data.split.empty() ? split : data.split,
              .recipe = learning::parse_data_recipe(data.keys, where),
              .key = {},
              .line = data.line};
  try {
    if (!made.recipe.corruption.empty()) (void)parse_corruption(made.recipe.corruption);
  } catch (const InputError& error) {
    throw InputError("{}: {}", where, error.what());
  }
  auto unchanged = data.keys;
  unchanged.erase("corrupt");
  made.key = made.split + unchanged.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (made.name.empty()) made.name = made.recipe.describe(made.split);
  return made;
}

std::vector<Dataset> MergeData::tasks(const NetworkDescription& network) {
  std::vector<Dataset> loaded;
  loaded.reserve(tasks_.size());
  for (std::size_t t = 0; t < tasks_.size(); ++t) loaded.push_back(task(t, network));
  return loaded;
}

Dataset MergeData::task(std::size_t number, const NetworkDescription& network) {
  Dataset data = load(tasks_.at(number), network);
  if (!takes_numbers_) {
    learning::check_classes(data, fmt::format("method '{}'", recipe_.merge_method));
  }
  return part_of(std::move(data));
}

Dataset MergeData::together(const NetworkDescription& network) {
  std::vector<Dataset> parts = tasks(network);
  if (parts.size() == 1) return std::move(parts.front());
  for (std::size_t i = 1; i < parts.size(); ++i) {
    if (parts[i].inputs.sizes().slice(1) == parts[0].inputs.sizes().slice(1)) continue;
    throw InputError("{}: inputs of the tasks '{}' and '{}' have different shapes", recipe_.label,
                     task_name(0), task_name(i));
  }
  return learning::joined(parts);
}

Dataset MergeData::to_evaluate(std::size_t entry, const NetworkDescription& network) {
  return load(evaluate_.at(entry), network);
}

Dataset MergeData::load(const Source& source, const NetworkDescription& network) {
  try {
    if (last_ != source.key) {
      learning::DataRecipe unchanged = source.recipe;
      unchanged.corruption.clear();
      loaded_ = learning::load_dataset(unchanged, parse_split(source.split), seed_, &network);
      last_ = source.key;
    }
    if (source.recipe.corruption.empty()) return loaded_;
    return learning::corrupted(loaded_, parse_corruption(source.recipe.corruption), seed_);
  } catch (const InputError& error) {
    if (source.line.number == 0) throw;
    throw InputError("{}: {}", place(recipe_, source.line), error.what());
  }
}

Dataset MergeData::part_of(Dataset data) const {
  if (part_ == Part::all) return data;
  std::vector<std::size_t> chosen;
  const auto count = static_cast<std::size_t>(data.count());
  for (std::size_t i = part_ == Part::looked_at ? 0 : 1; i < count; i += 2) chosen.push_back(i);
  if (chosen.empty()) {
    throw InputError("{}: {} examples; a search for parameters needs at least 2", data.source,
                     count);
  }
  return data.select(chosen);
}

bool MergeData::has_one_head() const {
  return std::ranges::all_of(
      tasks_, [&](const Source& task) { return task.recipe.head == tasks_.front().recipe.head; });
}

std::string MergeData::describe() const {
  std::vector<std::string> parts;
  for (const Source& task : tasks_) {
    const std::string text = task.recipe.describe(task.split);
    parts.push_back(task.name == text ? text : fmt::format("{} ({})", task.name, text));
  }
  return join(parts, "; ");
}

}  // namespace amalgam::cli
