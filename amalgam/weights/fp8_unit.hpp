#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "amalgam/checkpoint/fp8_format.hpp"
#include "amalgam/weights/plan.hpp"
#include "amalgam/weights/units.hpp"

namespace amalgam {

/// The FP8 weights among the tensors of a unit while it is merged: first the magnitudes under every
/// scale of a run of elements are measured, then its scales chosen, then it is encoded. Tensors are
/// indices into WorkUnit::tensors. Thread-safe, for different runs.
class Fp8Unit {
 public:
  Fp8Unit(const MergePlan& plan, const WorkUnit& unit);

  bool is_weight(std::size_t tensor) const {
    return tensor < weights_.size() && weights_[tensor] != nullptr;
  }

  const Fp8Grid& grid(std::size_t tensor) const { return weights_[tensor]->grid; }
  /// The weight whose scales a tensor holds.
  std::size_t weight_of(std::size_t scales) const { return owners_[scales - weights_.size()]; }

  /// Magnitudes of merged elements from `first` on, rounded to float.
  void measure(std::size_t tensor, std::uint64_t first, std::span<const float> values);
  /// The scales of elements [first, first + count), all measured, which no others share.
  void choose_scales(std::size_t tensor, std::uint64_t first, std::uint64_t count);

  /// Elements as stored, once their scales are chosen. `meant` becomes the values that the bytes
  /// stand for.
  void encode(std::size_t tensor, std::uint64_t first, std::span<const float> values,
              std::span<std::byte> bytes, std::vector<float>& meant) const;

  /// The contents of a tensor of scales.
  std::span<const std::byte> scale_bytes(std::size_t tensor) const;

 private:
  struct Weight {
    Weight(const Shape& shape, const Fp8Format& format)
        : grid(shape, format),
          magnitudes(grid),
          powers_of_two(format.powers_of_two),
          scales(grid.scales()) {}
    const Fp8Grid grid;
    Fp8Magnitudes magnitudes;
    const bool powers_of_two;
    std::vector<float> scales;
  };
  std::vector<std::unique_ptr<Weight>> weights_;  // by tensor with inputs; empty without scales
  std::vector<std::size_t> owners_;               // by tensor of scales: its weight
};

}  // namespace amalgam
