#pragma once

#include <cstdint>

#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/recipe.hpp"

namespace amalgam::learning {

/// The running average of a network's weights while it is trained (AverageOptions).
class WeightAverage {
 public:
  WeightAverage(const Network& network, const AverageOptions& options);

  void after_step();
  void after_epoch(std::uint64_t epoch);
  /// Gives the network the average, if there is one.
  void apply();

  NamedTensors memory() const { return average_; }
  std::uint64_t count() const { return count_; }
  /// Puts back what memory() and count() gave. InputError naming `where` if something is missing.
  void restore(const NamedTensors& memory, std::uint64_t count, const std::string& where);

 private:
  AverageOptions options_;
  NamedTensors weights_;     // the network's own
  NamedTensors average_;     // empty if there is none
  std::uint64_t count_ = 0;  // how often the average was updated
};

}  // namespace amalgam::learning
