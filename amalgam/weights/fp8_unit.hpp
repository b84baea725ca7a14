#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "amalgam/checkpoint/fp8_format.hpp"
#include "amalgam/weights/plan.hpp"
#include "amalgam/weights/unit_reader.hpp"
#include "amalgam/weights/units.hpp"

namespace amalgam {

/// The FP8 weights among the tensors of a unit while it is merged. The scale of an element depends
/// on others that may lie in another block, so a unit is merged twice: first for the magnitudes
/// under every scale, then to be written. Tensors are indices into WorkUnit::tensors.
class Fp8Unit {
 public:
  Fp8Unit(const MergePlan& plan, const WorkUnit& unit);

  bool has_weights() const { return !weights_.empty(); }
  bool is_weight(std::size_t tensor) const {
    return tensor < weights_.size() && weights_[tensor] != nullptr;
  }

  /// Magnitudes of merged elements from `first` on. Thread-safe.
  void measure(std::size_t tensor, std::uint64_t first, std::span<const double> merged,
               WorkerScratch& scratch);
  /// Ends measuring.
  void choose_scales();

  /// Merged elements, rounded to float, as stored. Afterwards scratch.rounded has the values that
  /// the bytes stand for.
  void encode(std::size_t tensor, std::uint64_t first, std::span<const double> merged,
              std::span<std::byte> bytes, WorkerScratch& scratch) const;

  /// The contents of a tensor of scales.
  std::span<const std::byte> scale_bytes(std::size_t tensor) const;

 private:
  struct Weight {
    Weight(const Shape& shape, const Fp8Format& format)
        : grid(shape, format), magnitudes(grid), powers_of_two(format.powers_of_two) {}
    const Fp8Grid grid;
    Fp8Magnitudes magnitudes;
    const bool powers_of_two;
    std::vector<float> scales;
  };
  std::vector<std::unique_ptr<Weight>> weights_;  // by tensor with inputs; empty without scales
  std::vector<std::size_t> owners_;               // by tensor of scales: its weight
};

}  // namespace amalgam
