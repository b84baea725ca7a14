#include "amalgam/weights/learned/merge_in_memory.hpp"

#include <cstring>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/planner.hpp"
#include "amalgam/weights/recipe_arguments.hpp"

namespace amalgam::learned {

SourcePointer as_source(const NamedTensors& tensors, std::string label) {
  std::vector<MemoryTensor> all;
  all.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const bool wide = tensor.scalar_type() == torch::kDouble;
    const torch::Tensor whole =
        tensor.detach().to(wide ? torch::kDouble : torch::kFloat).contiguous();
    const Shape shape(whole.sizes().begin(), whole.sizes().end());
    MemoryTensor made{make_tensor_info(name, wide ? DType::f64 : DType::f32, shape, label), {}};
    made.bytes.resize(made.info.bytes);
    if (!made.bytes.empty()) std::memcpy(made.bytes.data(), whole.data_ptr(), made.bytes.size());
    all.push_back(std::move(made));
  }
  return std::make_shared<MemorySource>(std::move(label), std::move(all));
}

NamedTensors as_tensors(const TensorSource& source) {
  NamedTensors tensors;
  tensors.reserve(source.tensors().size());
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    tensors.emplace_back(source.tensors()[i].name, learning::read_tensor(source, i));
  }
  return tensors;
}

std::unique_ptr<MemorySource> merge_in_memory(const Recipe& recipe, const ModelOpener& open,
                                              const PlanOptions& plan,
                                              const EngineOptions& options) {
  const MergePlan made = plan_merge(recipe, open, plan);
  MemorySink sink(outputs_of(made));
  run_merge(made, sink, options);
  return sink.take("merge by " + recipe.merge_method);
}

std::unique_ptr<MemorySource> merge_in_memory(const MemoryMerge& merge,
                                              const EngineOptions& options) {
  std::map<std::string, SourcePointer> by_name = merge.files;
  RecipeArguments arguments{.base = {}, .members = {}, .parameters = merge.parameters};
  const auto add = [&](std::string name, const SourcePointer& source) {
    by_name.insert_or_assign(name, source);
    return name;
  };
  if (merge.base != nullptr) arguments.base = add("base", merge.base);
  for (const SourcePointer& member : merge.members) {
    // One that is the base as well keeps that name, so that rules see it.
    const bool is_base = member == merge.base;
    arguments.members.push_back(
        is_base ? "base" : add("member " + std::to_string(arguments.members.size()), member));
  }
  const auto open = [&](const ModelReference& model) {
    const auto found = by_name.find(model.path);
    if (found == by_name.end()) throw InputError("no checkpoint '{}' in memory", model.path);
    return OpenedModel(found->second);
  };
  return merge_in_memory(recipe_from_arguments(find_merge_rule(merge.method).info(), arguments),
                         open, {.compare_copied = false}, options);
}

}  // namespace amalgam::learned
