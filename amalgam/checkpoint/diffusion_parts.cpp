#include "amalgam/checkpoint/diffusion_parts.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "amalgam/core/text.hpp"

namespace amalgam {
namespace {

constexpr std::string_view kDiffusion = "model.diffusion_model.";
constexpr std::string_view kTextEncoders = "text_encoders.";

struct Prefix {
  std::string_view prefix;
  std::string_view part;
};
// The first that fits counts.
constexpr std::array<Prefix, 8> kPrefixes = {{{kDiffusion, "diffusion_model"},
                                              {"model_ema.", "ema"},
                                              {"first_stage_model.", "vae"},
                                              {"vae.", "vae"},
                                              {"cond_stage_model.model.", "open_clip"},
                                              {"cond_stage_model.", "clip_l"},
                                              {"conditioner.embedders.0.", "clip_l"},
                                              {"conditioner.embedders.1.", "clip_g"}}};

// Buffers of the noise schedule that training code left in checkpoints.
constexpr std::array<std::string_view, 16> kSchedule = {"betas",
                                                        "alphas_cumprod",
                                                        "alphas_cumprod_prev",
                                                        "sqrt_alphas_cumprod",
                                                        "sqrt_one_minus_alphas_cumprod",
                                                        "log_one_minus_alphas_cumprod",
                                                        "sqrt_recip_alphas_cumprod",
                                                        "sqrt_recipm1_alphas_cumprod",
                                                        "posterior_variance",
                                                        "posterior_log_variance_clipped",
                                                        "posterior_mean_coef1",
                                                        "posterior_mean_coef2",
                                                        "logvar",
                                                        "lvlb_weights",
                                                        "denoiser.sigmas",
                                                        "model_sampling.sigmas"};

struct Place {
  std::string part;
  std::string prefix;
};

std::optional<Place> place_of(std::string_view name) {
  for (const Prefix& one : kPrefixes) {
    if (name.starts_with(one.prefix)) return Place{std::string(one.part), std::string(one.prefix)};
  }
  if (name.starts_with(kTextEncoders)) {
    const std::size_t dot = name.find('.', kTextEncoders.size());
    if (dot != std::string_view::npos) {
      return Place{std::string(name.substr(kTextEncoders.size(), dot - kTextEncoders.size())),
                   std::string(name.substr(0, dot + 1))};
    }
  }
  return std::nullopt;
}

bool has(const TensorSource& source, std::string_view prefix, std::string_view name) {
  return source.find(std::string(prefix) + std::string(name)).has_value();
}

// Columns of the keys that cross-attention makes of the text; 0 if there is no such tensor.
std::uint64_t text_width(const TensorSource& source, std::string_view prefix,
                         std::string_view block) {
  const auto found = source.find(std::string(prefix) + "input_blocks." + std::string(block) +
                                 ".1.transformer_blocks.0.attn2.to_k.weight");
  if (!found || source.tensors()[*found].shape.size() != 2) return 0;
  return source.tensors()[*found].shape[1];
}

// Of the diffusion model under `prefix`; empty if there is none.
std::string architecture_of(const TensorSource& source, std::string_view prefix) {
  if (has(source, prefix, "double_blocks.0.img_attn.qkv.weight")) return "Flux";
  if (has(source, prefix, "joint_blocks.0.x_block.attn.qkv.weight")) return "Stable Diffusion 3";
  if (!has(source, prefix, "input_blocks.0.0.weight")) return {};
  if (text_width(source, prefix, "4") == 2048) return "Stable Diffusion XL";
  switch (text_width(source, prefix, "1")) {
    case 768:
      return "Stable Diffusion 1";
    case 1024:
      return "Stable Diffusion 2";
    default:
      return "UNet";
  }
}

bool is_lone_vae(const TensorSource& source) {
  return source.find("encoder.conv_in.weight") && source.find("decoder.conv_in.weight");
}

}  // namespace

bool DiffusionPart::is_text_encoder() const {
  constexpr std::array<std::string_view, 3> kNames = {"clip_l", "clip_g", "open_clip"};
  return prefix.starts_with(kTextEncoders) ||
         std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

const DiffusionPart* DiffusionLayout::find(std::string_view part) const {
  const auto found = std::find_if(parts.begin(), parts.end(),
                                  [&](const DiffusionPart& one) { return one.name == part; });
  return found == parts.end() ? nullptr : &*found;
}

std::string DiffusionLayout::part_names() const {
  std::vector<std::string> names;
  for (const DiffusionPart& part : parts) names.push_back(part.name);
  return join(names, ", ");
}

std::string diffusion_part_of(std::string_view name) {
  const auto place = place_of(name);
  return place ? place->part : std::string();
}

std::optional<DiffusionLayout> find_diffusion_parts(const TensorSource& source) {
  std::string architecture = architecture_of(source, kDiffusion);
  // What a tensor without a known prefix belongs to.
  std::string bare = "other";
  if (architecture.empty()) {
    architecture = architecture_of(source, "");
    if (!architecture.empty()) {
      bare = "diffusion_model";
    } else if (is_lone_vae(source)) {
      bare = "vae";
    }
  }
  std::map<std::string, DiffusionPart> parts;
  bool is_known = !architecture.empty() || bare == "vae";
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    const TensorInfo& info = source.tensors()[i];
    std::optional<Place> place = place_of(info.name);
    is_known = is_known || (place && (place->part == "vae" || place->part == "clip_l"));
    if (!place) {
      const bool is_constant =
          std::find(kSchedule.begin(), kSchedule.end(), info.name) != kSchedule.end();
      place = Place{is_constant ? "schedule" : bare, ""};
    }
    DiffusionPart& part = parts[place->part];
    if (part.name.empty()) {
      part.name = place->part;
      part.prefix = place->prefix;
    }
    part.tensors.push_back(i);
    part.bytes += info.bytes;
  }
  if (!is_known) return std::nullopt;
  DiffusionLayout layout{architecture.empty() ? "unknown" : architecture, {}};
  const auto take = [&](const std::string& name) {
    if (const auto found = parts.find(name); found != parts.end()) {
      layout.parts.push_back(std::move(found->second));
      parts.erase(found);
    }
  };
  take("diffusion_model");
  take("vae");
  std::vector<std::string> rest;
  for (const auto& [name, part] : parts) {
    if (part.is_text_encoder()) rest.push_back(name);
  }
  rest.insert(rest.end(), {"ema", "schedule", "other"});
  for (const std::string& name : rest) take(name);
  return layout;
}

std::optional<std::string> diffusion_prefix(std::string_view architecture, std::string_view part) {
  const bool is_flux = architecture == "Flux";
  if (part == "diffusion_model") return std::string(kDiffusion);
  if (part == "vae") return is_flux ? "vae." : "first_stage_model.";
  if (architecture == "Stable Diffusion 1" && part == "clip_l") return "cond_stage_model.";
  if (architecture == "Stable Diffusion 2" && part == "open_clip") return "cond_stage_model.model.";
  if (architecture == "Stable Diffusion XL") {
    if (part == "clip_l") return "conditioner.embedders.0.";
    if (part == "clip_g") return "conditioner.embedders.1.";
  }
  if (is_flux || architecture == "Stable Diffusion 3") {
    const bool has_part = part == "clip_l" || part == "t5xxl" || (part == "clip_g" && !is_flux);
    if (has_part) return std::string(kTextEncoders) + std::string(part) + ".";
  }
  return std::nullopt;
}

}  // namespace amalgam
