#pragma once

#include <memory>

#include "amalgam/weights/planner.hpp"

namespace amalgam {

/// Opens the files that a recipe calls a model: the checkpoint with its config and, where the
/// reference names one, the adapter applied to it. InputError as open_checkpoint and open_adapter.
OpenedModel open_model(const ModelReference& reference);

/// `model` with the adapter that `reference` names, if it names one.
std::shared_ptr<const TensorSource> with_adapter(std::shared_ptr<const TensorSource> model,
                                                 const ModelReference& reference);

}  // namespace amalgam
