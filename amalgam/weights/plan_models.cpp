#include "amalgam/weights/plan_models.hpp"

#include "amalgam/core/error.hpp"

namespace amalgam {

std::size_t PlanModels::number(const ModelReference& reference) {
  if (const auto known = numbers_.find(reference); known != numbers_.end()) return known->second;
  OpenedModel opened = open_(reference);
  const std::size_t number = sources_.size();
  Model model{.name = reference.text(),
              .config = std::move(opened.config),
              .aliases = opened.tensors->aliases(),
              .embedding = {}};
  model.embedding = find_tied_embedding(*opened.tensors, model.config);
  sources_.push_back(std::move(opened.tensors));
  models_.emplace(number, std::move(model));
  numbers_.emplace(reference, number);
  return number;
}

std::optional<std::size_t> PlanModels::find_tied_embedding(const TensorSource& source,
                                                           const ModelConfig& config) {
  if (!config.tied_embeddings) return std::nullopt;
  std::optional<std::size_t> embedding;
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    const TensorInfo& info = source.tensors()[i];
    if (info.shape.size() != 2 || !is_vocabulary_name(info.name) || is_head_name(info.name)) {
      continue;
    }
    if (embedding) return std::nullopt;  // which one is tied cannot be told
    embedding = i;
  }
  return embedding;
}

std::optional<std::size_t> PlanModels::find_own(std::size_t model, std::string_view name) const {
  const TensorSource& tensors = source(model);
  if (const auto found = tensors.find(name)) return found;
  const auto& aliases = models_.at(model).aliases;
  const auto alias = aliases.find(std::string(name));
  return alias == aliases.end() ? std::nullopt : tensors.find(alias->second);
}

std::optional<std::size_t> PlanModels::find(std::size_t model, std::string_view name) const {
  if (const auto found = find_own(model, name)) return found;
  if (is_head_name(name) && name.ends_with("weight")) return models_.at(model).embedding;
  return std::nullopt;
}

std::size_t PlanModels::storage(std::size_t model, std::size_t tensor) const {
  const auto known = models_.find(model);
  if (known == models_.end()) return tensor;  // a view made for one tensor
  const TensorInfo& info = source(model).tensors()[tensor];
  if (const auto alias = known->second.aliases.find(info.name);
      alias != known->second.aliases.end()) {
    return source(model).find(alias->second).value_or(tensor);
  }
  const auto& embedding = known->second.embedding;
  if (embedding && is_head_name(info.name) && info.name.ends_with("weight") &&
      info.shape == source(model).tensors()[*embedding].shape) {
    return *embedding;
  }
  return tensor;
}

std::optional<std::size_t> PlanModels::module_of(std::string_view name) const {
  if (modules_.empty()) return 0;
  constexpr std::string_view kWrapper = "model.";
  std::optional<std::size_t> best;
  std::size_t longest = 0;
  for (std::size_t i = 0; i < modules_.size(); ++i) {
    const std::string& module = modules_[i].name;
    const auto is_under = [&](std::string_view tensor) {
      return tensor.starts_with(module) &&
             (tensor.size() == module.size() || tensor[module.size()] == '.');
    };
    std::size_t length = 0;
    if (is_under(name) || (name.starts_with(kWrapper) && is_under(name.substr(kWrapper.size())))) {
      length = module.size() + 1;
    } else if (module == "default") {
      length = 1;
    }
    if (length > longest) {
      best = i;
      longest = length;
    }
  }
  return best;
}

const PlanModels::Part& PlanModels::part(std::size_t model, std::size_t module) {
  const auto [entry, is_new] = parts_.try_emplace({model, module});
  Part& part = entry->second;
  if (!is_new) return part;
  std::vector<std::string_view> names;
  const std::vector<TensorInfo>& tensors = source(model).tensors();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (module_of(tensors[i].name) != module) continue;
    part.tensors.push_back(i);
    names.emplace_back(tensors[i].name);
  }
  part.layers = find_layers(names, models_.at(model).config.layer_counts);
  if (part.layers.stacks().size() == 1) {
    for (const std::size_t i : part.tensors) {
      if (const auto place = part.layers.locate(tensors[i].name)) {
        part.by_layer[place->number].push_back(i);
      }
    }
  }
  return part;
}

}  // namespace amalgam
