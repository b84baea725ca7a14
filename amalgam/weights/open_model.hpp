#pragma once

#include <memory>

#include "amalgam/weights/planner.hpp"

namespace amalgam {

/// Opens the files that a recipe calls a model: the checkpoint with its config and, where the
/// reference names one, the adapter applied to it. InputError as open_checkpoint,
/// refuse_packed_weights and open_adapter, and for an adapter's folder in the place of the
/// checkpoint.
OpenedModel open_model(const ModelReference& reference);

/// `model` with the adapter that `reference` names, if it names one.
std::shared_ptr<const TensorSource> with_adapter(std::shared_ptr<const TensorSource> model,
                                                 const ModelReference& reference);

}  // namespace amalgam
