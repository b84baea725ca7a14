#include "amalgam/weights/planner.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "amalgam/checkpoint/decorators.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/plan_models.hpp"
#include "amalgam/weights/plan_parameters.hpp"
#include "amalgam/weights/plan_shapes.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kNamesShown = 10;
constexpr std::uint64_t kComparedPerTensor = 1 << 20;
constexpr std::uint64_t kComparedAtMost = 64 << 20;

std::string shown_names(const std::vector<std::string>& names) {
  const std::size_t count = std::min(names.size(), kNamesShown);
  std::string text = join(std::span(names).first(count), ", ");
  if (count < names.size()) text += fmt::format(", ... ({} more)", names.size() - count);
  return text;
}

// One model's part in a slice.
struct Slot {
  std::size_t model = 0;
  const RecipeSource* source = nullptr;  // null for a base that is not listed
  std::size_t first_layer = 0;
  std::vector<std::pair<std::string, std::size_t>> paths;  // path parameters: name, model number
};

// A slice with its models told apart.
struct Cast {
  const RecipeSlice* slice = nullptr;
  const ParameterSettings* module = nullptr;
  std::size_t module_number = 0;
  std::vector<Slot> members;
  std::optional<Slot> base;         // if the rule uses one
  std::optional<Slot> unused_base;  // if it does not: gives types and what is not merged
  const Slot& reference() const { return base ? *base : members.front(); }
};

// One output tensor to be.
struct Place {
  std::string output;
  std::optional<std::size_t> layer;
  double position = 0;
  // In a slice: every model has its own name for the tensor.
  bool in_slice = false;
  std::size_t offset = 0;  // of the layer in the slice
  std::string_view rest;   // of the name
};

// What parameters hold for all of a document or module, and the slices in it.
struct Section {
  std::vector<RecipeSlice> slices;
  const ParameterSettings* parameters = nullptr;
  std::size_t module = 0;
  bool whole = false;  // one slice of whole models
};

class Planner {
 public:
  Planner(const Recipe& recipe, const ModelOpener& open, const PlanOptions& options)
      : recipe_(recipe),
        options_(options),
        rule_(options.rule != nullptr ? *options.rule : find_rule(recipe)),
        info_(rule_.info()),
        models_(open, plan_.sources, recipe.modules, recipe.label) {}

  MergePlan run() {
    plan_.rule = &rule_;
    check_parameters(recipe_, info_);
    for (const Section& section : sections()) plan_section(section);
    if (!recipe_.modules.empty()) copy_unclaimed();
    report_missing();
    report_extra();
    report_differing();
    finish();
    return std::move(plan_);
  }

 private:
  using Key = std::vector<std::pair<std::size_t, std::size_t>>;

  static const MergeRule& find_rule(const Recipe& recipe) {
    try {
      return find_merge_rule(recipe.merge_method);
    } catch (const InputError& error) {
      throw InputError("{}: {}", recipe.label, error.what());
    }
  }

  std::string at(RecipeLine line) const {
    return line.number == 0 ? recipe_.label : fmt::format("{}:{}", recipe_.label, line.number);
  }

  std::vector<Section> sections() const {
    const auto make = [](const std::vector<RecipeSource>& models,
                         const std::vector<RecipeSlice>& slices) {
      Section section{.slices = slices, .whole = slices.empty()};
      if (section.whole) {
        section.slices.push_back(
            {.sources = models, .base_model = {}, .parameters = {}, .line = {}});
      }
      return section;
    };
    std::vector<Section> all;
    if (recipe_.modules.empty()) all.push_back(make(recipe_.models, recipe_.slices));
    for (std::size_t i = 0; i < recipe_.modules.size(); ++i) {
      const RecipeModule& module = recipe_.modules[i];
      all.push_back(make(module.models, module.slices));
      all.back().parameters = &module.parameters;
      all.back().module = i;
    }
    return all;
  }

  // Sections ---------------------------------------------------------------------------------

  void plan_section(const Section& section) {
    std::vector<Cast> casts;
    for (const RecipeSlice& slice : section.slices) casts.push_back(make_cast(slice, section));
    if (section.whole) {
      plan_whole(casts.front());
    } else {
      plan_slices(casts);
    }
  }

  // Every tensor of the reference under its own name.
  void plan_whole(const Cast& cast) {
    const std::size_t model = cast.reference().model;
    const PlanModels::Part& part = models_.part(model, cast.module_number);
    if (part.tensors.empty()) fail_empty_module(cast, model);
    std::vector<std::size_t> first_layer;  // of each stack, in the numbering of the output
    for (const LayerStack& stack : part.layers.stacks()) {
      first_layer.push_back(layer_count_);
      layer_count_ += stack.count();
      if (!stack.contiguous()) continue;
      plan_.layers.push_back(
          {.prefix = stack.prefix, .old_count = stack.count(), .origins = stack.numbers});
    }
    for (const std::size_t i : part.tensors) {
      Place place{.output = models_.source(model).tensors()[i].name, .layer = {}, .rest = {}};
      if (const auto found = part.layers.locate(place.output)) {
        const LayerStack& stack = part.layers.stacks()[found->stack];
        const std::size_t rank = *stack.position(found->number);
        place.layer = first_layer[found->stack] + rank;
        place.position = layer_position(rank, stack.count());
      }
      add(cast, place);
    }
    note_extra(cast);
  }

  void plan_slices(const std::vector<Cast>& casts) {
    const std::size_t first_output = layer_count_;
    const std::string prefix = sole_stack(casts.front(), casts.front().reference()).prefix;
    PlanLayers layers{.prefix = prefix, .old_count = 0, .origins = {}};
    for (const Cast& cast : casts) {
      for (const Slot& slot : cast.members) check_layers(cast, slot);
      if (cast.base) check_layers(cast, *cast.base);
      const Slot& reference = cast.reference();
      const PlanModels::Part& part = models_.part(reference.model, cast.module_number);
      const std::size_t count = slice_length(cast);
      for (std::size_t k = 0; k < count; ++k, ++layer_count_) {
        const std::size_t number = layer_count_ - first_output;
        layers.origins.push_back(cast.slice->sources.front().layers->first + k);
        const auto tensors = part.by_layer.find(reference.first_layer + k);
        for (const std::size_t i : tensors->second) {
          const std::string& name = models_.source(reference.model).tensors()[i].name;
          const LayerPlace found = *part.layers.locate(name);
          add(cast, {.output = fmt::format("{}{}{}", prefix, number, found.rest),
                     .layer = layer_count_,
                     .position = layer_position(k, count),
                     .in_slice = true,
                     .offset = k,
                     .rest = found.rest});
        }
      }
    }
    const std::size_t described = models_.number(recipe_.reference());
    const PlanModels::Part& old = models_.part(described, casts.front().module_number);
    if (old.layers.stacks().size() == 1) layers.old_count = old.layers.stacks().front().count();
    plan_.layers.push_back(std::move(layers));
    add_outside(casts.front(), true);
    add_outside(casts.back(), false);
  }

  // The tensors before or after the layers.
  void add_outside(const Cast& cast, bool before) {
    const std::size_t model = cast.reference().model;
    const PlanModels::Part& part = models_.part(model, cast.module_number);
    for (const std::size_t i : part.tensors) {
      const std::string& name = models_.source(model).tensors()[i].name;
      if (part.layers.locate(name) || comes_before_layers(name) != before) continue;
      add(cast, {.output = name, .layer = {}, .rest = {}});
    }
  }

  static double layer_position(std::size_t rank, std::size_t count) {
    return count == 1 ? 1.0 : static_cast<double>(rank) / static_cast<double>(count - 1);
  }

  static std::size_t slice_length(const Cast& cast) {
    const RecipeSource::Layers& layers = *cast.slice->sources.front().layers;
    return layers.last - layers.first;
  }

  const LayerStack& sole_stack(const Cast& cast, const Slot& slot) {
    const Layers& layers = models_.part(slot.model, cast.module_number).layers;
    if (layers.stacks().empty()) {
      throw InputError(
          "{}: '{}' has no numbered layers to slice (tensors named like 'model.layers.0.x')",
          at(cast.slice->line), models_.name(slot.model));
    }
    if (layers.stacks().size() > 1) {
      std::vector<std::string> found;
      for (const LayerStack& stack : layers.stacks()) {
        found.push_back(fmt::format("{}* ({} layers)", stack.prefix, stack.count()));
      }
      throw InputError("{}: '{}' has several stacks of layers: {}; slice one of them in 'modules'",
                       at(cast.slice->line), models_.name(slot.model), join(found, ", "));
    }
    return layers.stacks().front();
  }

  void check_layers(const Cast& cast, const Slot& slot) {
    const LayerStack& stack = sole_stack(cast, slot);
    const RecipeLine line = slot.source != nullptr ? slot.source->line : cast.slice->line;
    if (!stack.contiguous()) {
      throw InputError(
          "{}: the layers '{}*' of '{}' are not numbered 0, 1, 2, ..., so they cannot "
          "be sliced",
          at(line), stack.prefix, models_.name(slot.model));
    }
    const std::size_t last = slot.first_layer + slice_length(cast);
    if (last > stack.count()) {
      throw InputError("{}: layer_range [{}, {}] goes beyond the {} layers of '{}'", at(line),
                       slot.first_layer, last, stack.count(), models_.name(slot.model));
    }
  }

  [[noreturn]] void fail_empty_module(const Cast& cast, std::size_t model) const {
    if (recipe_.modules.empty()) {
      throw InputError("{}: the checkpoint has no tensors", models_.source(model).label());
    }
    const RecipeModule& module = recipe_.modules[cast.module_number];
    throw InputError(
        "{}: module '{}': no tensor of '{}' has a name that begins with '{}.' or 'model.{}.'",
        at(module.line), module.name, models_.name(model), module.name, module.name);
  }

  // Who is who in a slice ----------------------------------------------------------------------

  Cast make_cast(const RecipeSlice& slice, const Section& section) {
    Cast cast{.slice = &slice,
              .module = section.parameters,
              .module_number = section.module,
              .members = {},
              .base = {},
              .unused_base = {}};
    const std::optional<ModelReference>& base =
        slice.base_model ? slice.base_model : recipe_.base_model;
    const RecipeLine line = slice.line.number != 0 ? slice.line : recipe_.line;
    if (info_.base == BaseUse::required && !base) {
      throw InputError("{}: method '{}' needs a base model: set 'base_model' (--base)", at(line),
                       info_.name);
    }
    const bool uses_base = info_.base != BaseUse::ignored && base;
    for (const RecipeSource& source : slice.sources) {
      Slot slot{.model = 0,
                .source = &source,
                .first_layer = source.layers ? source.layers->first : 0,
                .paths = {}};
      if (uses_base && source.model == *base) {
        // Once more with other layers it is a member like any other.
        const bool again = cast.base && cast.base->first_layer != slot.first_layer;
        slot.model = models_.number(source.model);
        if (!again) {
          cast.base = std::move(slot);
          continue;
        }
      }
      slot.model = models_.number(source.model);
      open_paths(slot, slice, section);
      cast.members.push_back(std::move(slot));
    }
    if (base) {
      Slot unlisted{
          .model = models_.number(*base),
          .source = nullptr,
          .first_layer = slice.sources.front().layers ? slice.sources.front().layers->first : 0,
          .paths = {}};
      if (!uses_base) {
        if (info_.base_comes_first) move_first(cast, unlisted, line);
        cast.unused_base = std::move(unlisted);
      } else if (!cast.base) {
        cast.base = std::move(unlisted);
      }
    }
    check_member_count(cast, line);
    return cast;
  }

  void move_first(Cast& cast, const Slot& base, RecipeLine line) const {
    const auto listed =
        std::find_if(cast.members.begin(), cast.members.end(), [&](const Slot& slot) {
          return slot.model == base.model && slot.first_layer == base.first_layer;
        });
    if (listed == cast.members.end()) {
      throw InputError(
          "{}: method '{}' merges its base model like the others; expected '{}' among the models, "
          "with parameters of its own",
          at(line), info_.name, models_.name(base.model));
    }
    std::rotate(cast.members.begin(), listed, listed + 1);
  }

  void check_member_count(const Cast& cast, RecipeLine line) const {
    const std::size_t count = cast.members.size();
    if (count >= info_.min_members && count <= info_.max_members) return;
    std::string wanted = fmt::format("at least {}", info_.min_members);
    if (info_.min_members == info_.max_members) {
      wanted = fmt::format("exactly {}", info_.min_members);
    } else if (count > info_.max_members) {
      wanted = fmt::format("at most {}", info_.max_members);
    }
    std::vector<std::string> names;
    for (const Slot& slot : cast.members) names.push_back(models_.name(slot.model));
    throw InputError("{}: method '{}' merges {} model{}{}; found {}{}", at(line), info_.name,
                     wanted, wanted.ends_with(" 1") ? "" : "s",
                     cast.base
                         ? fmt::format(" besides the base '{}'", models_.name(cast.base->model))
                         : std::string(),
                     count, names.empty() ? std::string() : ": " + join(names, ", "));
  }

  // The checkpoints that a member's path parameters name.
  void open_paths(Slot& slot, const RecipeSlice& slice, const Section& section) {
    for (const ParameterInfo& parameter : info_.parameters) {
      if (parameter.kind != ParameterInfo::Kind::path || !parameter.per_member) continue;
      const RuleInfo only{
          .name = info_.name, .summary = {}, .source = {}, .parameters = {parameter}};
      const Parameters resolved = resolve_parameters(
          only, true,
          {&slot.source->parameters, &slice.parameters, section.parameters, &recipe_.parameters},
          {recipe_.label, models_.name(slot.model), "*", 0});
      if (!resolved.has(parameter.name)) continue;
      const ModelReference reference = parse_model_reference(
          resolved.text(parameter.name), at(slot.source->line) + ": " + parameter.name);
      slot.paths.emplace_back(parameter.name, models_.number(reference));
    }
  }

  // One tensor ---------------------------------------------------------------------------------

  std::string name_in(const Cast& cast, const Slot& slot, const Place& place) {
    if (!place.in_slice) return place.output;
    return fmt::format("{}{}{}", sole_stack(cast, slot).prefix, slot.first_layer + place.offset,
                       place.rest);
  }

  const TensorInfo& info(const PlanInput& input) const {
    return plan_.sources[input.source]->tensors()[input.tensor];
  }

  // Nothing, and a note, if the model does not have the tensor.
  std::optional<PlanInput> input_of(const Cast& cast, const Slot& slot, const Place& place) {
    const std::string name = name_in(cast, slot, place);
    if (const auto found = models_.find(slot.model, name)) return PlanInput{slot.model, *found};
    auto& [reference, names] = missing_[slot.model];
    reference = cast.reference().model;
    names.push_back(name);
    return std::nullopt;
  }

  void add(const Cast& cast, const Place& place) {
    std::vector<PlanInput> members;
    bool complete = true;
    for (const Slot& slot : cast.members) {
      const auto input = input_of(cast, slot, place);
      complete = complete && input.has_value();
      if (input) members.push_back(*input);
    }
    std::optional<PlanInput> base;
    if (cast.base) {
      base = input_of(cast, *cast.base, place);
      complete = complete && base.has_value();
    }
    if (!complete) return;  // report_missing raises the error, with all names
    std::optional<PlanInput> first = base ? base : members.front();
    if (cast.unused_base) {
      const std::string name = name_in(cast, *cast.unused_base, place);
      if (const auto found = models_.find(cast.unused_base->model, name)) {
        first = PlanInput{cast.unused_base->model, *found};
      }
    }
    check_kinds(members, *first);
    const DType dtype = output_dtype(info(*first));
    if (!dtype_is_floating(info(*first).dtype)) {
      note_differing(place.output, *first, members);
      add_copy(place, *first, info(*first).dtype);
    } else if (info(*first).elements == 0) {
      add_copy(place, *first, dtype);
    } else {
      add_merge(cast, place, {members, base}, dtype);
    }
  }

  struct Inputs {
    std::vector<PlanInput> members;
    std::optional<PlanInput> base;
  };

  void add_merge(const Cast& cast, const Place& place, const Inputs& inputs, DType dtype) {
    ShapeResult fitted = fit_shapes({.rule = info_,
                                     .output = place.output,
                                     .in_layers = place.layer.has_value(),
                                     .allow_mismatch = options_.allow_shape_mismatch,
                                     .members = inputs.members,
                                     .base = inputs.base},
                                    plan_.sources);
    PlanTensor planned;
    planned.parameters = resolve_parameters(
        info_, false, {nullptr, &cast.slice->parameters, cast.module, &recipe_.parameters},
        {recipe_.label, {}, place.output, place.position});
    if (fitted.members.size() < inputs.members.size()) {
      check_may_leave_out(planned.parameters, place.output);
      if (fitted.members.size() < info_.min_members) {
        const PlanInput kept = inputs.base.value_or(inputs.members.front());
        log::warn("tensor '{}': too few members are left; it is copied from {}", place.output,
                  plan_.sources[kept.source]->label());
        add_copy(place, kept, dtype);
        return;
      }
    }
    for (const std::size_t kept : fitted.kept) {
      const Slot& slot = cast.members[kept];
      planned.member_parameters.push_back(resolve_parameters(
          info_, true,
          {&slot.source->parameters, &cast.slice->parameters, cast.module, &recipe_.parameters},
          {recipe_.label, models_.name(slot.model), name_in(cast, slot, place), place.position}));
      add_auxiliary(planned, slot, name_in(cast, slot, place), fitted.shape);
    }
    if (!planned.auxiliary.empty() && planned.auxiliary.size() != fitted.members.size()) {
      throw InputError(
          "{}: method '{}': some models have {} and others have none; expected it for "
          "every model",
          recipe_.label, info_.name, path_parameter_names());
    }
    planned.output = make_output(place.output, dtype, fitted.shape);
    planned.members = std::move(fitted.members);
    planned.base = fitted.base;
    planned.layer = place.layer;
    if (leaves_untouched(planned)) planned.action = PlanTensor::Action::copy;
    push(std::move(planned));
  }

  TensorInfo make_output(const std::string& name, DType dtype, const Shape& shape) const {
    if (dtype_is_quantised(dtype) && !options_.quantised_output) {
      throw InputError(
          "{}: tensor '{}' is {}, which the output's format does not hold; set 'dtype' (--dtype), "
          "for example to float16",
          recipe_.label, name, dtype_name(dtype));
    }
    return make_tensor_info(name, dtype, shape, recipe_.label);
  }

  std::string path_parameter_names() const {
    std::vector<std::string> names;
    for (const ParameterInfo& parameter : info_.parameters) {
      if (parameter.kind == ParameterInfo::Kind::path) names.push_back("'" + parameter.name + "'");
    }
    return join(names, " and ");
  }

  void add_auxiliary(PlanTensor& planned, const Slot& slot, const std::string& name,
                     const Shape& shape) {
    for (const auto& [parameter, model] : slot.paths) {
      const auto found = models_.find(model, name);
      if (!found) {
        throw InputError(
            "{}: no tensor '{}'; the {} checkpoint of '{}' needs one for every merged "
            "tensor",
            models_.source(model).label(), name, parameter, models_.name(slot.model));
      }
      const PlanInput input{model, *found};
      if (info(input).shape != shape || !dtype_is_floating(info(input).dtype)) {
        throw InputError(
            "{}: tensor '{}' is {} {}; expected floating-point numbers of shape {}, as "
            "the tensor of '{}' that is merged",
            models_.source(model).label(), name, dtype_name(info(input).dtype),
            format_shape(info(input).shape), format_shape(shape), models_.name(slot.model));
      }
      planned.auxiliary.push_back(input);
    }
  }

  // passthrough without a scale, or with 1, in the same type.
  bool leaves_untouched(const PlanTensor& planned) const {
    if (info_.name != "passthrough" || planned.members.size() != 1 ||
        info(planned.members.front()).dtype != planned.output.dtype) {
      return false;
    }
    const auto keeps = [](const Parameters& parameters) {
      return !parameters.has("scale") || parameters.number("scale") == 1.0;
    };
    return keeps(planned.parameters) && keeps(planned.member_parameters.front());
  }

  void check_may_leave_out(const Parameters& parameters, std::string_view tensor) const {
    const Scope scope = rule_.scope(parameters);
    if (scope == Scope::layer || scope == Scope::model) {
      throw InputError(
          "{}: tensor '{}': method '{}' looks at all tensors of a {} together, so no member can be "
          "left out of one; the models need equal shapes",
          recipe_.label, tensor, info_.name, scope == Scope::layer ? "layer" : "model");
    }
  }

  void check_kinds(const std::vector<PlanInput>& members, const PlanInput& first) const {
    for (const PlanInput& member : members) {
      if (dtype_is_floating(info(member).dtype) == dtype_is_floating(info(first).dtype)) continue;
      throw InputError(
          "{}: tensor '{}' is {}, but {} has {}; expected floating-point numbers in both or in "
          "none",
          plan_.sources[member.source]->label(), info(member).name, dtype_name(info(member).dtype),
          plan_.sources[first.source]->label(), dtype_name(info(first).dtype));
    }
  }

  // Without a word in recipe and options: the type of the base's (or first model's) tensor.
  DType output_dtype(const TensorInfo& reference) const {
    if (!dtype_is_floating(reference.dtype)) return reference.dtype;
    if (options_.dtype) return *options_.dtype;
    const std::string& named = recipe_.out_dtype.empty() ? recipe_.dtype : recipe_.out_dtype;
    return named.empty() ? reference.dtype : parse_dtype(named).value();
  }

  // Copies bytes; another type is a view that encodes.
  void add_copy(const Place& place, const PlanInput& from, DType dtype) {
    PlanTensor planned;
    planned.action = PlanTensor::Action::copy;
    planned.layer = place.layer;
    planned.output = make_output(place.output, dtype, info(from).shape);
    planned.members = {info(from).dtype == dtype ? from : cast_input(from, dtype)};
    planned.member_parameters.emplace_back();
    push(std::move(planned));
  }

  PlanInput cast_input(const PlanInput& from, DType dtype) {
    const auto [view, is_new] = cast_sources_.try_emplace({from.source, dtype}, 0);
    if (is_new) {
      view->second = plan_.sources.size();
      plan_.sources.push_back(std::make_shared<CastSource>(plan_.sources[from.source], dtype));
    }
    return {view->second, from.tensor};
  }

  void push(PlanTensor planned) {
    Key key;
    for (const PlanInput& input : planned.members) key.push_back(storage_of(input));
    if (planned.base) key.push_back(storage_of(*planned.base));
    keys_.emplace(planned.output.name, std::move(key));
    plan_.tensors.push_back(std::move(planned));
  }

  std::pair<std::size_t, std::size_t> storage_of(const PlanInput& input) const {
    return {input.source, models_.storage(input.source, input.tensor)};
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
        add_copy({.output = tensor.name, .layer = {}, .rest = {}}, {model, i},
                 output_dtype(tensor));
      }
    }
    if (names.empty()) return;
    if (!recipe_.base_model) {
      throw InputError(
          "{}: {} tensors of '{}' belong to no module: {}; add a module (one called "
          "'default' takes the rest) or a base_model to copy them from",
          recipe_.label, names.size(), models_.name(model), shown_names(names));
    }
    log::warn("{}: {} tensors belong to no module and are copied from '{}': {}", recipe_.label,
              names.size(), models_.name(model), shown_names(names));
  }

  // What is said once at the end ---------------------------------------------------------------

  void report_missing() const {
    if (missing_.empty()) return;
    const auto& [model, missing] = *missing_.begin();
    throw InputError("{}: {} tensor{} that '{}' has {} missing: {}", models_.source(model).label(),
                     missing.second.size(), missing.second.size() == 1 ? "" : "s",
                     models_.name(missing.first), missing.second.size() == 1 ? "is" : "are",
                     shown_names(missing.second));
  }

  void note_extra(const Cast& cast) {
    const Slot& reference = cast.reference();
    for (const Slot& slot : cast.members) {
      if (slot.model == reference.model) continue;
      for (const std::size_t i : models_.part(slot.model, cast.module_number).tensors) {
        const std::string& name = models_.source(slot.model).tensors()[i].name;
        if (!models_.find(reference.model, name)) extra_[slot.model].insert(name);
      }
    }
  }

  void report_extra() const {
    for (const auto& [model, names] : extra_) {
      log::warn(
          "{}: {} tensor{} not in the output, because the base (or first) model has none of "
          "that name: {}",
          models_.source(model).label(), names.size(), names.size() == 1 ? " is" : "s are",
          shown_names({names.begin(), names.end()}));
    }
  }

  void note_differing(const std::string& name, const PlanInput& first,
                      const std::vector<PlanInput>& members) {
    if (!options_.compare_copied) return;
    const bool differs = std::any_of(members.begin(), members.end(), [&](const PlanInput& member) {
      return member.source != first.source && contents_differ(first, member);
    });
    if (differs) differing_.push_back(name);
  }

  bool contents_differ(const PlanInput& a, const PlanInput& b) {
    if (info(a).dtype != info(b).dtype || info(a).shape != info(b).shape) return true;
    const std::uint64_t bytes = std::min({info(a).bytes, kComparedPerTensor,
                                          kComparedAtMost - std::min(kComparedAtMost, compared_)});
    compared_ += bytes;
    std::vector<std::byte> left(bytes);
    std::vector<std::byte> right(bytes);
    plan_.sources[a.source]->read_bytes(a.tensor, 0, left);
    plan_.sources[b.source]->read_bytes(b.tensor, 0, right);
    return left != right;
  }

  void report_differing() const {
    if (differing_.empty()) return;
    log::warn(
        "the models differ in {} tensor{} of integers, which {} not merged but copied from the "
        "base (or first) model: {}",
        differing_.size(), differing_.size() == 1 ? "" : "s", differing_.size() == 1 ? "is" : "are",
        shown_names(differing_));
  }

  void finish() {
    if (plan_.tensors.empty()) throw InputError("{}: there is nothing to merge", recipe_.label);
    std::sort(plan_.tensors.begin(), plan_.tensors.end(),
              [](const auto& a, const auto& b) { return a.output.name < b.output.name; });
    for (std::size_t i = 1; i < plan_.tensors.size(); ++i) {
      if (plan_.tensors[i].output.name == plan_.tensors[i - 1].output.name) {
        throw InputError("{}: two tensors of the output would be called '{}'", recipe_.label,
                         plan_.tensors[i].output.name);
      }
    }
    mark_tied();
  }

  // The same storage counts once where tensors are looked at together.
  void mark_tied() {
    std::set<Key> seen;
    for (PlanTensor& tensor : plan_.tensors) {
      if (tensor.action != PlanTensor::Action::merge ||
          rule_.scope(tensor.parameters) != Scope::model) {
        continue;
      }
      tensor.tied = !seen.insert(keys_.at(tensor.output.name)).second;
    }
  }

  const Recipe& recipe_;
  const PlanOptions& options_;
  const MergeRule& rule_;
  const RuleInfo& info_;
  MergePlan plan_;
  PlanModels models_;
  std::size_t layer_count_ = 0;
  std::map<std::size_t, std::pair<std::size_t, std::vector<std::string>>> missing_;
  std::map<std::size_t, std::set<std::string>> extra_;
  std::vector<std::string> differing_;
  std::uint64_t compared_ = 0;
  std::map<std::pair<std::size_t, DType>, std::size_t> cast_sources_;
  std::map<std::string, Key> keys_;
};

}  // namespace

MergePlan plan_merge(const Recipe& recipe, const ModelOpener& open, const PlanOptions& options) {
  return Planner(recipe, open, options).run();
}

}  // namespace amalgam
