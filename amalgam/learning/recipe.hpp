#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/data/image_transforms.hpp"
#include "amalgam/learning/data_recipe.hpp"

namespace amalgam::learning {

/// How weights follow gradients; as torch::optim computes it, weight decay on all parameters.
struct OptimizerOptions {
  enum class Kind { sgd, adam, adamw } kind = Kind::sgd;
  double learning_rate = 0.05;  ///< the highest; the schedule scales it
  double momentum = 0.9;        ///< sgd only
  bool nesterov = false;        ///< sgd with momentum only: Nesterov's kind of it
  double beta1 = 0.9;           ///< adam, adamw
  double beta2 = 0.999;         ///< adam, adamw
  double weight_decay = 0;
  double clip_norm = 0;  ///< gradients are scaled down to this Euclidean norm; 0: never
};

/// The learning rate over the steps of a run, as a share of the highest.
struct ScheduleOptions {
  enum class Kind { constant, linear, cosine, wsd } kind = Kind::cosine;
  std::uint64_t warmup = 0;  ///< steps of linear rise at the start, before the kind takes over
  /// For a run that is a part of a longer one: it begins at step `first` of `total` (0: it is
  /// whole). Not in recipe files.
  std::uint64_t first = 0;
  std::uint64_t total = 0;
  /// wsd (warm-up, stable, decay): the share of all steps, at the end, in which it falls.
  double decay = 0.1;
  enum class Decay { linear, sqrt, cosine, exponential } form = Decay::linear;
  double floor = 0;  ///< wsd: the share of the highest that it falls to; exponential: > 0
};

/// Weights averaged along the way, which the finished network gets.
struct AverageOptions {
  enum class Kind { none, ema, swa } kind = Kind::none;
  double decay = 0.99;  ///< ema: average = decay * average + (1 - decay) * weights, every step
  std::uint64_t first_epoch =
      0;  ///< swa: mean of the weights after each epoch from this one (0-based)
};

/// Examples that a run is judged by after every epoch.
struct ValidationOptions {
  /// none; split: the data set's validation split; share: the last `share` of the training
  /// examples, which are then not trained on.
  enum class Kind { none, split, share } kind = Kind::none;
  double share = 0;
};

/// When a run ends early, with the weights that were best on the validation examples.
struct EarlyStop {
  std::uint64_t patience = 3;  ///< epochs in a row that are no better than the best so far
  double min_change = 0;       ///< better means by more than this
  enum class Metric { loss, accuracy } metric = Metric::loss;
};

/// Everything that decides what a run computes, as read from a recipe (docs/training.md).
struct TrainingRecipe {
  /// The architecture's options, without input and classes, which come from the data; nothing if
  /// `init` gives the network.
  std::optional<nlohmann::json> network;
  std::string init;  ///< a checkpoint to start from; empty: new weights
  DataRecipe data;
  ValidationOptions validation;
  std::uint64_t epochs = 10;
  std::uint64_t batch = 128;
  OptimizerOptions optimizer;
  ScheduleOptions schedule;
  AverageOptions average;
  std::optional<EarlyStop> early_stop;
  Augmentation augment;
  double label_smoothing = 0;  ///< share of the target spread over all classes
  double mixup = 0;         ///< a of the Beta(a, a) that pairs of examples are mixed by; 0: never
  double cutmix = 0;        ///< the same for pasting a box of another image; not with mixup
  std::uint64_t seed = 0;   ///< of new weights, order, augmentation and mixing
  nlohmann::json document;  ///< as read, with overrides: what identifies the run
};

/// Reads one YAML document as JSON: unquoted scalars become null, flags and numbers where they look
/// like it. InputError naming `where` and the line; see weights/yaml.hpp.
nlohmann::json yaml_to_json(std::string_view text, const std::string& where);

/// Checks what a recipe says of data. InputError naming `where` and the key.
DataRecipe parse_data_recipe(nlohmann::json data, const std::string& where);

/// Checks a recipe. InputError naming `where` and the key, with the nearest known key.
TrainingRecipe parse_recipe(nlohmann::json document, const std::string& where);

/// Reads a recipe file and applies overrides like "optimizer.learning_rate=0.01".
TrainingRecipe read_recipe(const std::filesystem::path& path,
                           const std::vector<std::string>& overrides = {});

}  // namespace amalgam::learning
