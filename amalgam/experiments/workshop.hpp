#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "amalgam/data/images.hpp"
#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/network.hpp"
#include "amalgam/learning/network_file.hpp"

namespace amalgam::experiments {

struct WorkshopOptions {
  std::filesystem::path cache;  ///< where trained members are kept; empty: nowhere
  bool quick = false;           ///< smaller sizes, for a look
};

/// What experiments share: data, trained members (each is trained once and found again by the
/// content of everything it depends on), and measuring.
class Workshop {
 public:
  explicit Workshop(WorkshopOptions options);

  bool quick() const { return options_.quick; }
  /// `full`, or `small` in a quick run.
  std::uint64_t size(std::uint64_t full, std::uint64_t small) const {
    return options_.quick ? small : full;
  }

  /// Fashion-MNIST, loaded once. InputError saying which package is missing.
  const learning::Dataset& images(Split split);

  /// A network trained by `recipe` (a training recipe as JSON, without `data`, `init` and `seed`)
  /// on `data`, from `start`, or from new weights of `recipe`'s `network`.
  std::shared_ptr<learning::Network> train(nlohmann::json recipe, const learning::Dataset& data,
                                           std::uint64_t seed,
                                           const learning::Network* start = nullptr);

 private:
  WorkshopOptions options_;
  std::unique_ptr<learning::Dataset> images_[3];
};

/// The share of `data` that the network classifies rightly.
double accuracy(learning::Network& network, const learning::Dataset& data);
/// The same of logits or log-probabilities [count, classes].
double accuracy(const torch::Tensor& logits, const learning::Dataset& data);

}  // namespace amalgam::experiments
