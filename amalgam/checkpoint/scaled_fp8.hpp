#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "amalgam/checkpoint/fp8_format.hpp"
#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// What config.json says about weights of 8-bit floats.
struct Fp8Layout {
  /// Rows and columns that share a scale (`weight_block_size`).
  std::array<std::uint64_t, 2> block = {128, 128};
  bool powers_of_two = false;  ///< `scale_fmt` is "ue8m0"
};

/// A checkpoint whose matrices of 8-bit floats have scales beside them, as large open models ship
/// it: `NAME.weight_scale_inv` with a scale per block of rows and columns, or `NAME.weight_scale`
/// with one scale, one per row, or one per block. So have stacks of matrices, of three dimensions,
/// whose names may end otherwise (`experts.down_proj`). Such a `NAME.weight` is F32 here, the
/// product of number and scale, rounded once. Diffusion models call the one scale of a weight
/// `NAME.scale_weight`. Scales of weights, `NAME.input_scale` (`NAME.scale_input`) of such a
/// weight, the marker `scaled_fp8` and those of ComfyUI (checkpoint/comfy_markers.hpp) are not
/// tensors of this source, nor are the latter in its metadata. Weights that these mark as another
/// format have no scales here.
class ScaledFp8Source final : public TensorSource {
 public:
  /// InputError naming tensor and shapes if scales do not fit their weight, or if a marker is none
  /// or names another type.
  ScaledFp8Source(std::unique_ptr<TensorSource> inner, const Fp8Layout& layout);

  /// How a tensor is stored; null if it has no scales, or is stored as is read but not written:
  /// as F8_E5M2, or with `scale_weight`.
  const Fp8Format* format(std::size_t tensor) const;
  /// The text of ComfyUI's marker of a tensor with scales; null if it has none.
  const std::string* marker(std::size_t tensor) const;
  /// The checkpoint with weights and scales as they are stored.
  const std::shared_ptr<const TensorSource>& stored() const { return inner_; }

  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<float> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<double> out) const override;
  void will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const override;
  std::map<std::string, std::string> aliases() const override { return inner_->aliases(); }

 private:
  struct Scales {
    std::size_t tensor = 0;  // in the inner source
    Fp8Format format;
    Fp8Grid grid;
    bool is_written = false;  // whether weights are written so, too
  };
  struct Place {
    std::size_t weight = 0;  // in the inner source
    std::optional<Scales> scales;
    std::string marker;  // of ComfyUI; empty: none
  };
  Fp8Format format_of(std::size_t weight, std::size_t scales, const Fp8Layout& layout) const;
  template <class T>
  void read_values(std::size_t tensor, std::uint64_t first, std::span<T> out) const;

  std::shared_ptr<const TensorSource> inner_;
  std::vector<Place> places_;
};

/// Whether the tensor is of 8-bit floats, with or without scales.
bool is_fp8(const TensorInfo& info);
/// Whether this is the tensor by which diffusion models say that they have such weights.
bool is_fp8_marker(const TensorInfo& info);

/// `source` itself, or as ScaledFp8Source if it has weights of 8-bit floats with scales.
std::unique_ptr<TensorSource> unscale_fp8(std::unique_ptr<TensorSource> source,
                                          const Fp8Layout& layout = {});

}  // namespace amalgam
