#include "amalgam/learning/data_recipe.hpp"

#include <fmt/format.h>

#include "amalgam/core/text.hpp"

namespace amalgam::learning {

std::string DataRecipe::describe(const std::string& split) const {
  std::string text = set + " " + split;
  if (!classes.empty()) text += ", classes " + join(classes, " ");
  if (imbalance > 1) text += fmt::format(", imbalance {}", imbalance);
  if (partition) text += fmt::format(", part {} of {}", partition->part, partition->clients);
  if (soft) text += ", soft labels of " + soft->file;
  if (!corruption.empty()) text += ", " + corruption;
  return text;
}

}  // namespace amalgam::learning
