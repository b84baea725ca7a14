// Any bytes either are a recipe of a mixture of experts, whose canonical form then reads back as
// the same recipe, or are refused with an InputError.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/moe/moe_recipe.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::optional<amalgam::MoeRecipe> recipe;
  try {
    recipe = amalgam::parse_moe_recipe({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const amalgam::InputError&) {
    return 0;
  }
  const std::string text = amalgam::format_moe_recipe(*recipe);
  if (amalgam::parse_moe_recipe(text, "canonical") != *recipe) std::abort();
  if (!amalgam::is_moe_recipe(text, "canonical")) std::abort();
  return 0;
}
