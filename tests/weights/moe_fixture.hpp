#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/checkpoint/safetensors_sink.hpp"
#include "amalgam/core/random.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {

/// Folders of dense models of the Llama family that are small enough for hand-worked numbers: 2
/// layers, hidden size 4, feed-forward size 6, one key and value head of 2, 8 tokens.
class MoeFixture : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kHidden = 4;

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  static MemoryTensor tensor(const std::string& name, const Shape& shape, std::uint64_t seed,
                             DType dtype) {
    RandomStream random(seed, name);
    std::vector<double> values(element_count(shape, name));
    for (double& value : values) value = random.normal();
    return make_tensor(name, shape, values, dtype);
  }

  static std::vector<MemoryTensor> dense(std::uint64_t seed, DType dtype = DType::bf16) {
    std::vector<MemoryTensor> tensors{tensor("model.embed_tokens.weight", {8, 4}, seed, dtype),
                                      tensor("model.norm.weight", {4}, seed, dtype),
                                      tensor("lm_head.weight", {8, 4}, seed, dtype)};
    for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
      const auto add = [&](const char* name, const Shape& shape) {
        tensors.push_back(tensor(std::string(layer) + name, shape, seed, dtype));
      };
      add("input_layernorm.weight", {4});
      add("post_attention_layernorm.weight", {4});
      add("self_attn.q_proj.weight", {4, 4});
      add("self_attn.k_proj.weight", {2, 4});
      add("self_attn.v_proj.weight", {2, 4});
      add("self_attn.o_proj.weight", {4, 4});
      add("mlp.gate_proj.weight", {6, 4});
      add("mlp.up_proj.weight", {6, 4});
      add("mlp.down_proj.weight", {4, 6});
    }
    return tensors;
  }

  static nlohmann::json config(const std::string& type = "llama") {
    return {{"model_type", type},        {"architectures", {"LlamaForCausalLM"}},
            {"hidden_size", 4},          {"intermediate_size", 6},
            {"num_hidden_layers", 2},    {"num_attention_heads", 2},
            {"num_key_value_heads", 1},  {"vocab_size", 8},
            {"torch_dtype", "bfloat16"}, {"max_position_embeddings", 16},
            {"attention_bias", false},   {"tie_word_embeddings", false}};
  }

  std::string write(const std::string& name, const std::vector<MemoryTensor>& tensors,
                    const nlohmann::json& its_config = config()) const {
    std::vector<TensorInfo> infos;
    for (const MemoryTensor& one : tensors) infos.push_back(one.info);
    std::filesystem::create_directories(folder_ / name);
    const auto sink = create_safetensors_file(folder_ / (name + "/model.safetensors"), infos);
    for (std::size_t i = 0; i < tensors.size(); ++i) sink->write(i, 0, tensors[i].bytes);
    sink->finish();
    folder_.write(name + "/config.json", its_config.dump());
    return path(name);
  }

  /// Tokens: <s> 0, a 1, b 2, c 3, ab 4; text is cut nowhere.
  void write_tokenizer(const std::string& name) const {
    folder_.write(name + "/tokenizer.json",
                  R"({"added_tokens": [{"id": 0, "content": "<s>", "special": true}],
                      "model": {"type": "BPE", "vocab": {"<s>": 0, "a": 1, "b": 2, "c": 3, "ab": 4},
                                "merges": ["a b"]}})");
    folder_.write(name + "/tokenizer_config.json", R"({"bos_token": "<s>"})");
  }

  std::string write_recipe(const std::string& yaml) const {
    return folder_.write("moe.yml", yaml).string();
  }

  const TemporaryFolder folder_;
};

}  // namespace amalgam
