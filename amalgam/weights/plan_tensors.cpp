// PlanTensors: what becomes what. What models lack or have besides is in plan_differences.cpp.
#include "amalgam/weights/plan_tensors.hpp"

#include <algorithm>

#include "amalgam/checkpoint/decorators.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/fp8_choice.hpp"
#include "amalgam/weights/plan_parameters.hpp"
#include "amalgam/weights/plan_shapes.hpp"
#include "amalgam/weights/vocabulary.hpp"

namespace amalgam {
std::string PlanTensors::name_in(const PlanCast& cast, const PlanRole& role,
                                 const PlanPlace& place) {
  if (!place.in_slice) return place.output;
  return fmt::format("{}{}{}", models_.layer_prefix(role.model, cast.section->module),
                     role.first_layer + place.offset, place.rest);
}

// Nothing, and a note, if the model does not have the tensor.
std::optional<PlanInput> PlanTensors::input_of(const PlanCast& cast, const PlanRole& role,
                                               const PlanPlace& place) {
  const std::string name = name_in(cast, role, place);
  if (const auto found = models_.find(role.model, name)) return PlanInput{role.model, *found};
  auto& [reference, names] = missing_[role.model];
  reference = cast.reference().model;
  names.push_back(name);
  return std::nullopt;
}

void PlanTensors::plan(const PlanCast& cast, const PlanPlace& place) {
  std::vector<PlanInput> members;
  bool complete = true;
  for (const PlanRole& role : cast.members) {
    const auto input = input_of(cast, role, place);
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
  if (!dtype_is_floating(info(*first).dtype)) {
    note_differing(place.output, *first, members);
    plan_copy(place, *first);
  } else if (info(*first).elements == 0) {
    plan_copy(place, *first);
  } else {
    plan_merge(cast, place, {members, base}, *first);
  }
}

PlanInput PlanTensors::in_vocabulary(const PlanInput& input, const PlanPlace& place) {
  const VocabularyPlan* vocabulary = options_.vocabulary;
  if (vocabulary == nullptr || !vocabulary->rewrites() || place.layer ||
      !is_vocabulary_tensor(info(input))) {
    return input;
  }
  std::vector<std::size_t> numbers;
  for (const ModelReference& model : vocabulary->models) numbers.push_back(models_.number(model));
  const auto at = std::find(numbers.begin(), numbers.end(), input.source);
  if (at == numbers.end()) return input;
  const auto own = static_cast<std::size_t>(at - numbers.begin());
  if (info(input).shape.size() == 1 && info(input).shape[0] != vocabulary->model_rows[own]) {
    return input;  // a bias of something else
  }
  std::vector<RowMapSource::Input> inputs;
  std::vector<Storage> storages;
  for (const std::size_t number : numbers) {
    const auto found = models_.find(number, place.output);
    if (!found) {
      throw InputError("{}: no tensor '{}', whose rows the vocabulary of the output needs",
                       models_.source(number).label(), place.output);
    }
    inputs.push_back({plan_.sources[number], *found});
    storages.push_back(storage_of({number, *found}));
  }
  // A head that is tied to the embedding in all models is the same view.
  const auto known = rewritten_.find({input.source, storages});
  if (known != rewritten_.end()) return known->second;
  const PlanInput view{plan_.sources.size(), 0};
  plan_.sources.push_back(std::make_shared<RowMapSource>(
      place.output, models_.source(input.source).label(), std::move(inputs),
      vocabulary->maps.at(vocabulary->models[own]), vocabulary->rows));
  return rewritten_.emplace(std::pair(input.source, std::move(storages)), view).first->second;
}

void PlanTensors::plan_merge(const PlanCast& cast, const PlanPlace& place, const Inputs& given,
                             const PlanInput& first) {
  Inputs inputs = given;
  for (PlanInput& member : inputs.members) member = in_vocabulary(member, place);
  if (inputs.base) inputs.base = in_vocabulary(*inputs.base, place);
  ShapeResult fitted = fit_shapes({.rule = info_,
                                   .output = place.output,
                                   .in_layers = place.layer.has_value(),
                                   .allow_mismatch = options_.allow_shape_mismatch,
                                   .members = inputs.members,
                                   .base = inputs.base},
                                  plan_.sources);
  PlanTensor planned;
  planned.parameters = resolve_parameters(
      info_, false,
      {nullptr, &cast.slice->parameters, cast.section->parameters, &recipe_.parameters},
      {recipe_.label, {}, place.output, place.position});
  if (fitted.members.size() < inputs.members.size()) {
    check_may_leave_out(planned.parameters, place.output);
    if (fitted.members.size() < info_.min_members) {
      const PlanInput kept = inputs.base.value_or(inputs.members.front());
      log::warn("tensor '{}': too few members are left; it is copied from {}", place.output,
                plan_.sources[kept.source]->label());
      plan_copy(place, kept);
      return;
    }
  }
  for (const std::size_t kept : fitted.kept) {
    const PlanRole& role = cast.members[kept];
    planned.member_parameters.push_back(resolve_parameters(
        info_, true,
        {&role.source->parameters, &cast.slice->parameters, cast.section->parameters,
         &recipe_.parameters},
        {recipe_.label, models_.name(role.model), name_in(cast, role, place), place.position}));
    add_auxiliary(planned, role, name_in(cast, role, place), fitted.shape);
  }
  if (!planned.auxiliary.empty() && planned.auxiliary.size() != fitted.members.size()) {
    throw InputError(
        "{}: method '{}': some models have {} and others have none; expected it for "
        "every model",
        recipe_.label, info_.name, path_parameter_names());
  }
  const Fp8Format* const fp8 = fp8_of(info(first));
  const DType dtype =
      fp8 != nullptr ? DType::f8_e4m3 : output_dtype(info(first), place.output, fitted.shape);
  if (!dtype_is_writable(dtype)) {
    throw InputError(
        "{}: tensor '{}' is {}, which is only read; choose the type of the output with --dtype, "
        "for example Q4_K",
        recipe_.label, place.output, dtype_name(dtype));
  }
  planned.output = make_output(place.output, dtype, fitted.shape);
  planned.members = std::move(fitted.members);
  planned.base = fitted.base;
  planned.layer = place.layer;
  const bool untouched = leaves_untouched(planned);
  if (fp8 != nullptr) {
    if (untouched && add_stored_fp8(place, planned.members.front())) return;
    planned.fp8 = *fp8;
    push(fp8_.scales_of(planned));
    push_marker(place, info(first));
  } else if (untouched && info(planned.members.front()).dtype == planned.output.dtype) {
    planned.action = PlanTensor::Action::copy;
  }
  push(std::move(planned));
}

const Fp8Format* PlanTensors::fp8_of(const TensorInfo& reference) const {
  return options_.fp8 == nullptr ? nullptr : options_.fp8->find(reference);
}

// Weight and scales as the model stores them, if that is how the output does.
bool PlanTensors::add_stored_fp8(const PlanPlace& place, const PlanInput& from) {
  const Fp8Format* const wanted = fp8_of(info(from));
  if (wanted == nullptr) return false;
  std::vector<PlanTensor> copies = fp8_.stored(from, *wanted, place.output);
  for (PlanTensor& copy : copies) {
    copy.layer = place.layer;
    push(std::move(copy));
  }
  if (!copies.empty()) push_marker(place, info(from));
  return !copies.empty();
}

// ComfyUI's marker of a weight that is FP8 with scales in the output.
void PlanTensors::push_marker(const PlanPlace& place, const TensorInfo& reference) {
  const std::string* const marker = options_.fp8->marker(reference);
  if (marker == nullptr) return;
  PlanTensor planned = fp8_.marker_of(place.output, *marker);
  planned.layer = place.layer;
  push(std::move(planned));
}

TensorInfo PlanTensors::make_output(const std::string& name, DType dtype,
                                    const Shape& shape) const {
  if (dtype_is_quantised(dtype) && !options_.quantised_output) {
    throw InputError(
        "{}: tensor '{}' is {}, which the output's format does not hold; set 'dtype' (--dtype), "
        "for example to float16",
        recipe_.label, name, dtype_name(dtype));
  }
  return make_tensor_info(name, dtype, shape, recipe_.label);
}

std::string PlanTensors::path_parameter_names() const {
  std::vector<std::string> names;
  for (const ParameterInfo& parameter : info_.parameters) {
    if (parameter.kind == ParameterInfo::Kind::path) names.push_back("'" + parameter.name + "'");
  }
  return join(names, " and ");
}

void PlanTensors::add_auxiliary(PlanTensor& planned, const PlanRole& role, const std::string& name,
                                const Shape& shape) const {
  for (const auto& [parameter, model] : role.paths) {
    const auto found = models_.find(model, name);
    if (!found) {
      throw InputError(
          "{}: no tensor '{}'; the {} checkpoint of '{}' needs one for every merged "
          "tensor",
          models_.source(model).label(), name, parameter, models_.name(role.model));
    }
    const PlanInput input{model, *found};
    if (info(input).shape != shape || !dtype_is_floating(info(input).dtype)) {
      throw InputError(
          "{}: tensor '{}' is {} {}; expected floating-point numbers of shape {}, as "
          "the tensor of '{}' that is merged",
          models_.source(model).label(), name, dtype_name(info(input).dtype),
          format_shape(info(input).shape), format_shape(shape), models_.name(role.model));
    }
    planned.auxiliary.push_back(input);
  }
}

// passthrough without a scale, or with 1.
bool PlanTensors::leaves_untouched(const PlanTensor& planned) const {
  if (info_.name != "passthrough" || planned.members.size() != 1) return false;
  const auto keeps = [](const Parameters& parameters) {
    return !parameters.has("scale") || parameters.number("scale") == 1.0;
  };
  return keeps(planned.parameters) && keeps(planned.member_parameters.front());
}

void PlanTensors::check_may_leave_out(const Parameters& parameters, std::string_view tensor) const {
  const Scope scope = rule_.scope(parameters);
  if (scope == Scope::layer || scope == Scope::model) {
    throw InputError(
        "{}: tensor '{}': method '{}' looks at all tensors of a {} together, so no member can be "
        "left out of one; the models need equal shapes",
        recipe_.label, tensor, info_.name, scope == Scope::layer ? "layer" : "model");
  }
}

void PlanTensors::check_kinds(const std::vector<PlanInput>& members, const PlanInput& first) const {
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
DType PlanTensors::output_dtype(const TensorInfo& reference, const std::string& name,
                                const Shape& shape) const {
  if (!dtype_is_floating(reference.dtype) || !type_) return reference.dtype;
  if (!quantised_) return std::get<DType>(*type_);
  TensorInfo output = reference;
  output.name = name;
  output.shape = shape;
  return quantised_->choose(output);
}

// What tensors become that are not FP8 with scales.
std::optional<OutputType> PlanTensors::wanted_type() const {
  const std::string& named = recipe_.out_dtype.empty() ? recipe_.dtype : recipe_.out_dtype;
  const std::optional<OutputType> of_recipe = parse_output_type(named);
  if (!named.empty() && !of_recipe) {
    throw InputError("{}: '{}' is no type of an output; expected {}", recipe_.label, named,
                     output_type_names());
  }
  for (const std::optional<OutputType>& type : {options_.type, of_recipe}) {
    if (!type) continue;
    if (!std::holds_alternative<Fp8Scaling>(*type)) return type;
    if (options_.fp8 == nullptr) {
      throw InputError("{}: '{}' is for outputs of safetensors that are made by rules alone",
                       recipe_.label, output_type_name(*type));
    }
  }
  return std::nullopt;
}

// Copies bytes; another type is a view that encodes.
void PlanTensors::plan_copy(const PlanPlace& place, const PlanInput& original) {
  if (add_stored_fp8(place, original)) return;
  const PlanInput from = in_vocabulary(original, place);
  const DType dtype = output_dtype(info(original), place.output, info(from).shape);
  PlanTensor planned;
  planned.action = PlanTensor::Action::copy;
  planned.layer = place.layer;
  planned.output = make_output(place.output, dtype, info(from).shape);
  planned.members = {info(from).dtype == dtype ? from : cast_input(from, dtype)};
  planned.member_parameters.emplace_back();
  push(std::move(planned));
}

PlanInput PlanTensors::cast_input(const PlanInput& from, DType dtype) {
  const auto [view, is_new] = cast_sources_.try_emplace({from.source, dtype}, 0);
  if (is_new) {
    view->second = plan_.sources.size();
    plan_.sources.push_back(std::make_shared<CastSource>(plan_.sources[from.source], dtype));
  }
  return {view->second, from.tensor};
}

void PlanTensors::push(PlanTensor planned) {
  std::vector<Storage> key;
  key.reserve(planned.members.size() + 1);
  for (const PlanInput& input : planned.members) key.push_back(storage_of(input));
  if (planned.base) key.push_back(storage_of(*planned.base));
  storages_.emplace(planned.output.name, std::move(key));
  plan_.tensors.push_back(std::move(planned));
}

// The names of all tensors decide which ones a mixture favours.
void PlanTensors::choose_types() {
  type_ = wanted_type();
  const Quantisation* quantisation = type_ ? std::get_if<Quantisation>(&*type_) : nullptr;
  if (quantisation == nullptr) return;
  std::vector<TensorInfo> outputs(wanted_.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) outputs[i].name = wanted_[i].place.output;
  quantised_.emplace(*quantisation, outputs);
}

void PlanTensors::finish() {
  choose_types();
  for (const Wanted& one : wanted_) {
    if (one.cast != nullptr) {
      plan(*one.cast, one.place);
    } else {
      plan_copy(one.place, one.from);
    }
  }
  report_missing();
  report_extra();
  report_differing();
  if (quantised_ && type_) {
    warn_of_replaced_types(recipe_.label, std::get<Quantisation>(*type_), outputs_of(plan_));
  }
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
void PlanTensors::mark_tied() {
  std::set<std::vector<Storage>> seen;
  for (PlanTensor& tensor : plan_.tensors) {
    if (tensor.action != PlanTensor::Action::merge ||
        rule_.scope(tensor.parameters) != Scope::model) {
      continue;
    }
    tensor.tied = !seen.insert(storages_.at(tensor.output.name)).second;
  }
}

}  // namespace amalgam
