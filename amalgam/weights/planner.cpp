#include "amalgam/weights/planner.hpp"

#include <list>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/block_weights.hpp"
#include "amalgam/weights/plan_cast.hpp"
#include "amalgam/weights/plan_models.hpp"
#include "amalgam/weights/plan_parameters.hpp"
#include "amalgam/weights/plan_parts.hpp"
#include "amalgam/weights/plan_tensors.hpp"

namespace amalgam {
namespace {

class Planner {
 public:
  Planner(const Recipe& recipe, const ModelOpener& open, const PlanOptions& options)
      : recipe_(recipe),
        plan_{.rule = options.rule != nullptr ? options.rule : &find_rule(recipe),
              .sources = {},
              .tensors = {},
              .layers = {}},
        models_(open, plan_.sources, recipe.modules, recipe.label),
        sections_(make_sections(recipe)),
        tensors_(recipe, options, models_, plan_),
        has_vocabulary_(options.vocabulary != nullptr) {}

  MergePlan run() {
    check_parameters(recipe_, plan_.rule->info());
    if (!recipe_.tokenizer_source.empty() && !has_vocabulary_) {
      throw InputError("{}: a 'tokenizer' is for merges of folders with tokenizers only",
                       recipe_.label);
    }
    for (const PlanSection& section : sections_) plan_section(section);
    if (!recipe_.modules.empty()) copy_unclaimed();
    tensors_.finish();
    warn_of_extrapolation();
    return std::move(plan_);
  }

 private:
  static const MergeRule& find_rule(const Recipe& recipe) {
    try {
      return find_merge_rule(recipe.merge_method);
    } catch (const InputError& error) {
      throw InputError("{}: {}", recipe.label, error.what());
    }
  }

  // Averages are between their members; a negative weight leads beyond them, which mergekit's
  // recipes may want and a slip of the pen may have done.
  void warn_of_extrapolation() const {
    if (plan_.rule->info().name != "linear") return;
    for (const PlanTensor& tensor : plan_.tensors) {
      if (tensor.action != PlanTensor::Action::merge) continue;  // copied ones have no weights
      for (std::size_t m = 0; m < tensor.member_parameters.size(); ++m) {
        const double weight = tensor.member_parameters[m].number("weight");
        if (!(weight < 0)) continue;
        log::warn(
            "{}: '{}' has the weight {} in 'linear': the result is no average of the models but"
            " lies beyond them",
            recipe_.label, plan_.sources[tensor.members[m].source]->label(), weight);
        return;
      }
    }
  }

  void plan_section(const PlanSection& section) {
    std::vector<PlanCast>& casts = casts_.emplace_back();
    casts.reserve(section.slices.size());
    for (const RecipeSlice& slice : section.slices) {
      casts.push_back(make_cast(recipe_, plan_.rule->info(), section, slice, models_));
    }
    check_block_weights(recipe_, models_.source(casts.front().reference().model));
    if (section.whole) {
      plan_whole(casts.front());
    } else {
      plan_slices(casts);
    }
  }

  // Every tensor of the reference under its own name.
  void plan_whole(const PlanCast& cast) {
    const std::size_t model = cast.reference().model;
    const PlanModels::Part& part = models_.part(model, cast.section->module);
    if (part.tensors.empty()) fail_empty_module(cast, model);
    std::vector<std::size_t> first_layer;  // of each stack, in the numbering of the output
    for (const LayerStack& stack : part.layers.stacks()) {
      first_layer.push_back(layer_count_);
      layer_count_ += stack.count();
      if (!stack.contiguous()) continue;
      plan_.layers.push_back(
          {.prefix = stack.prefix, .old_count = stack.count(), .origins = stack.numbers});
    }
    PartsPlan parts;
    if (!recipe_.parts.empty()) parts = plan_parts(recipe_, models_, model);
    for (const std::size_t i : part.tensors) {
      if (parts.not_merged.contains(i)) continue;
      PlanPlace place{.output = models_.source(model).tensors()[i].name, .layer = {}, .rest = {}};
      if (const auto found = part.layers.locate(place.output)) {
        const LayerStack& stack = part.layers.stacks()[found->stack];
        place.layer = first_layer[found->stack] + found->rank;
        place.position = layer_position(found->rank, stack.count());
      }
      tensors_.add(cast, place);
    }
    for (const auto& [name, input] : parts.copied) {
      tensors_.add_copy({.output = name, .layer = {}, .rest = {}}, input);
    }
    tensors_.note_extra(cast);
  }

  void plan_slices(const std::vector<PlanCast>& casts) {
    const std::size_t first_output = layer_count_;
    const std::string prefix = sole_stack(casts.front(), casts.front().reference()).prefix;
    PlanLayers layers{.prefix = prefix, .old_count = 0, .origins = {}};
    for (const PlanCast& cast : casts) {
      for (const PlanRole& role : cast.members) check_layers(cast, role);
      if (cast.base) check_layers(cast, *cast.base);
      const PlanRole& reference = cast.reference();
      const PlanModels::Part& part = models_.part(reference.model, cast.section->module);
      const std::size_t count = cast.length();
      for (std::size_t k = 0; k < count; ++k, ++layer_count_) {
        const std::size_t number = layer_count_ - first_output;
        layers.origins.push_back(cast.slice->sources.front().range().first + k);
        const auto tensors = part.by_layer.find(reference.first_layer + k);
        for (const std::size_t i : tensors->second) {
          const std::string& name = models_.source(reference.model).tensors()[i].name;
          const auto found = part.layers.locate(name);
          if (!found) continue;
          tensors_.add(cast, {.output = fmt::format("{}{}{}", prefix, number, found->rest),
                              .layer = layer_count_,
                              .position = layer_position(k, count),
                              .in_slice = true,
                              .offset = k,
                              .rest = found->rest});
        }
      }
    }
    const std::size_t described = models_.number(recipe_.reference());
    const PlanModels::Part& old = models_.part(described, casts.front().section->module);
    if (old.layers.stacks().size() == 1) layers.old_count = old.layers.stacks().front().count();
    plan_.layers.push_back(std::move(layers));
    add_outside(casts.front(), true);
    add_outside(casts.back(), false);
  }

  // The tensors before or after the layers.
  void add_outside(const PlanCast& cast, bool before) {
    const std::size_t model = cast.reference().model;
    const PlanModels::Part& part = models_.part(model, cast.section->module);
    for (const std::size_t i : part.tensors) {
      const std::string& name = models_.source(model).tensors()[i].name;
      if (part.layers.locate(name) || comes_before_layers(name) != before) continue;
      tensors_.add(cast, {.output = name, .layer = {}, .rest = {}});
    }
  }

  static double layer_position(std::size_t rank, std::size_t count) {
    return count == 1 ? 1.0 : static_cast<double>(rank) / static_cast<double>(count - 1);
  }

  const LayerStack& sole_stack(const PlanCast& cast, const PlanRole& role) {
    const Layers& layers = models_.part(role.model, cast.section->module).layers;
    if (layers.stacks().empty()) {
      throw InputError(
          "{}: '{}' has no numbered layers to slice (tensors named like 'model.layers.0.x')",
          recipe_place(recipe_, cast.slice->line), models_.name(role.model));
    }
    if (layers.stacks().size() > 1) {
      std::vector<std::string> found;
      for (const LayerStack& stack : layers.stacks()) {
        found.push_back(fmt::format("{}* ({} layers)", stack.prefix, stack.count()));
      }
      throw InputError("{}: '{}' has several stacks of layers: {}; slice one of them in 'modules'",
                       recipe_place(recipe_, cast.slice->line), models_.name(role.model),
                       join(found, ", "));
    }
    return layers.stacks().front();
  }

  void check_layers(const PlanCast& cast, const PlanRole& role) {
    const LayerStack& stack = sole_stack(cast, role);
    const RecipeLine line = role.source != nullptr ? role.source->line : cast.slice->line;
    if (!stack.contiguous()) {
      throw InputError(
          "{}: the layers '{}*' of '{}' are not numbered 0, 1, 2, ..., so they cannot "
          "be sliced",
          recipe_place(recipe_, line), stack.prefix, models_.name(role.model));
    }
    const std::size_t last = role.first_layer + cast.length();
    if (last > stack.count()) {
      throw InputError("{}: layer_range [{}, {}] goes beyond the {} layers of '{}'",
                       recipe_place(recipe_, line), role.first_layer, last, stack.count(),
                       models_.name(role.model));
    }
  }

  [[noreturn]] void fail_empty_module(const PlanCast& cast, std::size_t model) const {
    if (recipe_.modules.empty()) {
      throw InputError("{}: the checkpoint has no tensors", models_.source(model).label());
    }
    const RecipeModule& module = recipe_.modules[cast.section->module];
    throw InputError(
        "{}: module '{}': no tensor of '{}' has a name that begins with '{}.' or 'model.{}.'",
        recipe_place(recipe_, module.line), module.name, models_.name(model), module.name,
        module.name);
  }

  // Tensors that no module claims are the base's.
  void copy_unclaimed() {
    const std::size_t model = models_.number(recipe_.reference());
    std::vector<std::string> names;
    for (std::size_t i = 0; i < models_.source(model).tensors().size(); ++i) {
      const TensorInfo& tensor = models_.source(model).tensors()[i];
      if (models_.module_of(tensor.name)) continue;
      names.push_back(tensor.name);
      if (recipe_.base_model) {
        tensors_.add_copy({.output = tensor.name, .layer = {}, .rest = {}}, {model, i});
      }
    }
    if (names.empty()) return;
    if (!recipe_.base_model) {
      throw InputError(
          "{}: '{}' has {} of no module: {}; add a module (one called 'default' takes the rest) or "
          "a"
          " base_model to copy from",
          recipe_.label, models_.name(model), counted(names), shown_names(names));
    }
    log::warn("{}: '{}' has {} of no module, copied as they are: {}", recipe_.label,
              models_.name(model), counted(names), shown_names(names));
  }

  static std::string counted(const std::vector<std::string>& names) {
    return names.size() == 1 ? "a tensor" : fmt::format("{} tensors", names.size());
  }

  const Recipe& recipe_;
  MergePlan plan_;
  PlanModels models_;
  const std::vector<PlanSection> sections_;
  std::list<std::vector<PlanCast>> casts_;  // of all sections: the tensors are planned at the end
  PlanTensors tensors_;
  bool has_vocabulary_ = false;
  std::size_t layer_count_ = 0;
};

}  // namespace

MergePlan plan_merge(const Recipe& recipe, const ModelOpener& open, const PlanOptions& options) {
  return Planner(recipe, open, options).run();
}

}  // namespace amalgam
