#pragma once

#include <string>
#include <vector>

#include "amalgam/checkpoint/memory.hpp"

namespace amalgam {

/// Small checkpoints with the names of real diffusion models; every number of one is `value`.
class DiffusionModel {
 public:
  explicit DiffusionModel(double value, DType dtype = DType::f16) : value_(value), dtype_(dtype) {}

  DiffusionModel& unet(int input_blocks, std::uint64_t text_width, int attention_block,
                       const std::string& prefix = "model.diffusion_model.") {
    add(prefix + "time_embed.0.weight", {2, 2});
    for (int i = 0; i < input_blocks; ++i) {
      const std::string number = std::to_string(i);
      add(prefix + "input_blocks." + number + ".0.weight", {2, 2, 1, 1});
      add(prefix + "output_blocks." + number + ".0.in_layers.2.weight", {2, 2, 1, 1});
    }
    add(prefix + "input_blocks." + std::to_string(attention_block) +
            ".1.transformer_blocks.0.attn2.to_k.weight",
        {1, text_width});
    add(prefix + "middle_block.0.in_layers.2.weight", {2, 2});
    add(prefix + "out.2.weight", {2});
    return *this;
  }
  DiffusionModel& flux(int doubles, int singles, const std::string& prefix) {
    add(prefix + "img_in.weight", {2, 2});
    for (int i = 0; i < doubles; ++i) {
      add(prefix + "double_blocks." + std::to_string(i) + ".img_attn.qkv.weight", {6, 2});
    }
    for (int i = 0; i < singles; ++i) {
      add(prefix + "single_blocks." + std::to_string(i) + ".linear1.weight", {6, 2});
    }
    return *this;
  }
  DiffusionModel& vae(const std::string& prefix) {
    add(prefix + "encoder.conv_in.weight", {2, 3, 1, 1});
    add(prefix + "decoder.conv_in.weight", {2, 2, 1, 1});
    add(prefix + "quant_conv.weight", {2, 2, 1, 1});
    return *this;
  }
  /// CLIP as transformers names it.
  DiffusionModel& clip(const std::string& prefix, bool has_position_ids = false) {
    add(prefix + "text_model.embeddings.token_embedding.weight", {4, 2});
    add(prefix + "text_model.encoder.layers.0.mlp.fc1.weight", {4, 2});
    if (has_position_ids) {
      tensors_.push_back(make_tensor(prefix + "text_model.embeddings.position_ids", {1, 3},
                                     {0, 1, 2}, DType::i64));
    }
    return *this;
  }
  DiffusionModel& open_clip(const std::string& prefix) {
    add(prefix + "transformer.resblocks.0.mlp.c_fc.weight", {4, 2});
    return *this;
  }
  DiffusionModel& add(const std::string& name, const Shape& shape) {
    tensors_.push_back(
        make_tensor(name, shape, std::vector<double>(element_count(shape, name), value_), dtype_));
    return *this;
  }

  const std::vector<MemoryTensor>& tensors() const { return tensors_; }

  static DiffusionModel sd1(double value) {
    DiffusionModel model(value);
    model.unet(12, 768, 1).vae("first_stage_model.").clip("cond_stage_model.transformer.", true);
    return model.add("betas", {3}).add("model_ema.decay", {1});
  }
  static DiffusionModel sdxl(double value) {
    DiffusionModel model(value);
    model.unet(9, 2048, 4).vae("first_stage_model.");
    model.clip("conditioner.embedders.0.transformer.").open_clip("conditioner.embedders.1.model.");
    return model.add("model.diffusion_model.label_emb.0.0.weight", {2, 2});
  }

 private:
  double value_;
  DType dtype_;
  std::vector<MemoryTensor> tensors_;
};

}  // namespace amalgam
