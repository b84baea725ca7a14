#pragma once

#include <vector>

#include "amalgam/weights/moe/moe_gates.hpp"

namespace amalgam {

/// The directions that the experts' prompts point to, as mergekit-moe has them.
///
/// cheap_embed, one set for all layers: the mean embedding of all tokens of an expert's positive
/// prompts, normalised; minus the same of its negative prompts, if it has any, and normalised
/// again. hidden, one set per layer: the mean over the positive prompts of the hidden state that
/// enters the layer at the prompt's last token, minus that over the negative ones, normalised. Each
/// prompt comes after the text of the beginning-of-sequence token, if the tokenizer has one. A
/// vector of norm below 1e-8 is divided by 1e-8. Warns where two experts' directions are nearly the
/// same.
///
/// InputError as Tokenizer::read and TokenEncoder, if a prompt has no tokens, or if the model has
/// no row for one of them.
std::vector<Directions> prompt_directions(const MoeRecipe& recipe,
                                          const std::vector<MoeExpert>& experts,
                                          const GateModel& model);

}  // namespace amalgam
