#include "amalgam/weights/open_model.hpp"

#include "amalgam/checkpoint/adapter.hpp"
#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/packed_formats.hpp"

namespace amalgam {

std::shared_ptr<const TensorSource> with_adapter(std::shared_ptr<const TensorSource> model,
                                                 const ModelReference& reference) {
  if (reference.adapter.empty()) return model;
  return apply_adapter(std::move(model), open_adapter(reference.adapter));
}

OpenedModel open_model(const ModelReference& reference) {
  refuse_lone_adapter(reference.path,
                      "write BASE+ADAPTER for the model that it makes of its base, or merge "
                      "adapters with 'amalgam lora merge'");
  std::shared_ptr<const TensorSource> source = open_checkpoint(reference.path);
  refuse_packed_weights(*source, without_adapters(reference.path));
  ModelConfig config = read_model_config(without_adapters(reference.path), *source);
  return {with_adapter(std::move(source), reference), std::move(config)};
}

}  // namespace amalgam
