#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// A part of a diffusion checkpoint: the tensors under one prefix.
struct DiffusionPart {
  /// diffusion_model, vae, clip_l, clip_g, open_clip, t5xxl or what else "text_encoders." names;
  /// ema (averaged weights), schedule (constants of the noise schedule), other.
  std::string name;
  std::string prefix;  ///< empty where names have none
  std::vector<std::size_t> tensors;
  std::uint64_t bytes = 0;

  bool is_text_encoder() const;
};

/// What a single-file diffusion checkpoint holds.
struct DiffusionLayout {
  std::string architecture;  ///< "Stable Diffusion XL", ...; "unknown" without a diffusion model
  std::vector<DiffusionPart> parts;

  const DiffusionPart* find(std::string_view part) const;
  /// The parts' names, separated by commas.
  std::string part_names() const;
};

/// The parts of a checkpoint in the layout of the original Stable Diffusion, SDXL, SD3 or Flux
/// releases or of ComfyUI's all-in-one files, or of a diffusion model or autoencoder alone; nothing
/// for anything else. Told by names, and between architectures by the shape of one attention.
std::optional<DiffusionLayout> find_diffusion_parts(const TensorSource& source);

/// The name of the part that a tensor called `name` belongs to, by its prefix; empty where names of
/// parts have none or for anything else.
std::string diffusion_part_of(std::string_view name);

/// The prefix that a part has in checkpoints of an architecture; nothing if it has no such part.
std::optional<std::string> diffusion_prefix(std::string_view architecture, std::string_view part);

}  // namespace amalgam
