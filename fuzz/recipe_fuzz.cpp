// Any bytes either are a recipe, whose canonical form then reads back as the same recipe, or are
// refused with an InputError.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/recipe.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<amalgam::Recipe> documents;
  try {
    documents = amalgam::parse_recipe({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const amalgam::InputError&) {
    return 0;
  }
  const std::string text = amalgam::format_recipes(documents);
  const std::vector<amalgam::Recipe> again = amalgam::parse_recipe(text, "canonical");
  if (again != documents || amalgam::format_recipes(again) != text) std::abort();
  return 0;
}
