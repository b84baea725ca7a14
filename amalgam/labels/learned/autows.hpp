#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/labels/learned/end_model.hpp"
#include "amalgam/labels/learned/usefulness_ensemble.hpp"
#include "amalgam/labels/weak/protocol.hpp"

namespace amalgam::labels {

/// Which ways of the AutoWS protocol are gone.
struct AutoWsOptions {
  bool few_shot = true;
  bool propagation = true;
  bool goggles = true;
  bool snuba = true;
  bool multipolar_snuba = false;
  bool dialogue = false;  ///< interactive weak supervision, the labelled rows being the oracle
  /// Label models of the functions' votes.
  std::vector<std::string> label_models = {"generative", "majority-vote"};
  /// Also a network trained on what the first label model says of the unlabelled rows.
  bool end_model = false;

  PropagationOptions propagation_options;
  GogglesOptions goggles_options;
  SnubaOptions snuba_options;
  DialogueOptions dialogue_options;
  EnsembleOptions ensemble_options;
  EndModelOptions end_model_options;
  /// Of all of them but the label models, which have seed 0 (as Snorkel has a fixed one): what
  /// differs between seeds is what the methods make of other rows.
  std::uint64_t seed = 0;
  Parallel parallel;
};

/// Goes all of these ways with the same rows: one result per method, in the order above. Dialogues
/// that find no function cover nothing, with a warning. `progress` may be null; it is told what is
/// done now.
std::vector<ProtocolResult> run_autows(
    const ProtocolData& data, const AutoWsOptions& options,
    const std::function<void(const std::string&)>& progress = {});

}  // namespace amalgam::labels
