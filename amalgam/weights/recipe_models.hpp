#pragma once

#include <optional>
#include <vector>

#include "amalgam/weights/recipe.hpp"

// Internal to the recipe.

namespace amalgam {

/// Calls visit(reference, line) for every model of a document (Recipe or const Recipe), the base
/// first.
template <class Document, class Visit>
void visit_models(Document& recipe, const Visit& visit) {
  if (recipe.base_model) visit(*recipe.base_model, recipe.line);
  const auto visit_sources = [&](auto& sources) {
    for (auto& source : sources) visit(source.model, source.line);
  };
  const auto visit_slices = [&](auto& slices) {
    for (auto& slice : slices) {
      if (slice.base_model) visit(*slice.base_model, slice.line);
      visit_sources(slice.sources);
    }
  };
  visit_sources(recipe.models);
  visit_slices(recipe.slices);
  for (auto& module : recipe.modules) {
    visit_sources(module.models);
    visit_slices(module.slices);
  }
  for (auto& part : recipe.parts) {
    if (part.model) visit(*part.model, part.line);
  }
}

}  // namespace amalgam
