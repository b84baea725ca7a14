#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "amalgam/weights/layers.hpp"
#include "amalgam/weights/planner.hpp"

namespace amalgam {

/// The models of a plan in the making: opened once, cut into modules, with their layers. A model's
/// number is its index in the sources of the plan.
class PlanModels {
 public:
  /// `sources` (of the plan) and `modules` outlive this; modules may be empty (one network).
  PlanModels(const ModelOpener& open, std::vector<std::shared_ptr<const TensorSource>>& sources,
             const std::vector<RecipeModule>& modules, std::string recipe_label)
      : open_(open), sources_(sources), modules_(modules), recipe_(std::move(recipe_label)) {}

  /// The number of a model; opened if it is not yet.
  std::size_t number(const ModelReference& reference);

  const TensorSource& source(std::size_t model) const { return *sources_[model]; }
  const std::string& name(std::size_t model) const { return models_.at(model).name; }

  /// The tensor called `name`, or what it is tied to where the model leaves it out: a head without
  /// weights of its own is the token embedding of a model with tie_word_embeddings.
  std::optional<std::size_t> find(std::size_t model, std::string_view name) const;

  /// Whether `name` is found in the model only as what it is tied to.
  bool is_tied(std::size_t model, std::string_view name) const {
    return !find_own(model, name) && find(model, name);
  }
  /// Whether the model's config says that its head is its token embedding.
  bool has_tied_embeddings(std::size_t model) const {
    return models_.at(model).config.tied_embeddings;
  }

  /// The tensor that holds the contents of `tensor`: itself unless it is tied to another.
  std::size_t storage(std::size_t model, std::size_t tensor) const;

  /// The module that a tensor of this name belongs to; 0 if there are no modules.
  std::optional<std::size_t> module_of(std::string_view name) const;

  /// The tensors of one module of a model, and the layers among them.
  struct Part {
    std::vector<std::size_t> tensors;
    Layers layers;
    /// Tensors by layer number; filled if there is exactly one stack.
    std::map<std::size_t, std::vector<std::size_t>> by_layer;
  };
  const Part& part(std::size_t model, std::size_t module);

  /// The prefix of the layers of a part with one stack; empty if it has none or several.
  std::string layer_prefix(std::size_t model, std::size_t module) {
    const Layers& layers = part(model, module).layers;
    return layers.stacks().size() == 1 ? layers.stacks().front().prefix : std::string();
  }

 private:
  struct Model {
    std::string name;
    ModelConfig config;
    std::map<std::string, std::string> aliases;
    std::optional<std::size_t> embedding;  // what a tied head is
  };
  std::optional<std::size_t> find_own(std::size_t model, std::string_view name) const;
  static std::optional<std::size_t> find_tied_embedding(const TensorSource& source,
                                                        const ModelConfig& config);

  const ModelOpener& open_;
  std::vector<std::shared_ptr<const TensorSource>>& sources_;
  const std::vector<RecipeModule>& modules_;
  const std::string recipe_;
  std::map<ModelReference, std::size_t> numbers_;
  std::map<std::size_t, Model> models_;
  std::map<std::pair<std::size_t, std::size_t>, Part> parts_;
};

}  // namespace amalgam
