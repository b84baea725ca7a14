#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/random.hpp"
#include "tests/checkpoint/tensor_access.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {

inline const std::string kFp8Up = "model.layers.0.mlp.up_proj.weight";
inline const std::string kFp8Down = "model.layers.1.mlp.down_proj.weight";

/// Folders with a language model of two layers, for tests of FP8 with scales.
class Fp8Fixture : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kRows = 130;     // a block of 128, and two more
  static constexpr std::uint64_t kColumns = 200;  // likewise 72

  using Change = std::function<void(std::vector<double>&)>;

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  /// A BF16 model; `change` may alter the values of kFp8Up, row-major [kRows, kColumns].
  std::string write_model(const std::string& name, std::uint64_t seed,
                          const Change& change = nullptr) const {
    std::vector<MemoryTensor> tensors;
    const auto add = [&](const std::string& tensor, const Shape& shape, const Change& alter) {
      RandomStream random(seed, tensor);
      std::vector<double> values(element_count(shape, tensor));
      for (double& value : values) value = 0.02 * random.normal();
      if (alter) alter(values);
      tensors.push_back(make_tensor(tensor, shape, values, DType::bf16));
    };
    add("model.embed_tokens.weight", {16, kColumns}, nullptr);
    add("lm_head.weight", {16, kColumns}, nullptr);
    for (const std::string layer : {"0", "1"}) {
      const std::string prefix = "model.layers." + layer + ".";
      add(prefix + "input_layernorm.weight", {kColumns}, nullptr);
      add(prefix + "mlp.gate.weight", {4, kColumns}, nullptr);
      add(prefix + "mlp.up_proj.weight", {kRows, kColumns}, layer == "0" ? change : nullptr);
      add(prefix + "mlp.down_proj.weight", {kColumns, kRows}, nullptr);
    }
    std::filesystem::create_directories(folder_ / name);
    write_safetensors(folder_ / (name + "/model.safetensors"), tensors);
    folder_.write(name + "/config.json",
                  R"({"model_type": "llama", "num_hidden_layers": 2, "torch_dtype": "bfloat16"})");
    return path(name);
  }

  /// The same as FP8, by `amalgam convert`.
  std::string write_fp8(const std::string& name, std::uint64_t seed, const std::string& scaling,
                        const Change& change = nullptr) const {
    const std::string plain = write_model(name + "-plain", seed, change);
    run_well({"convert", plain, path(name), "--dtype", scaling});
    return path(name);
  }

  static RunResult run_well(const std::vector<std::string>& words) {
    RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result;
  }

  static nlohmann::json config_of(const std::string& folder) {
    return nlohmann::json::parse(contents_of(folder + "/config.json"));
  }

  static std::vector<std::byte> stored(const std::string& folder, const std::string& tensor) {
    return bytes_of(*open_stored_checkpoint(folder), tensor);
  }
  static std::vector<double> values(const std::string& folder, const std::string& tensor) {
    return values_of(*open_checkpoint(folder), tensor);
  }
  static TensorInfo stored_info(const std::string& folder, const std::string& tensor) {
    const auto source = open_stored_checkpoint(folder);
    return source->tensors()[index_of(*source, tensor)];
  }

  const TemporaryFolder folder_;
};

}  // namespace amalgam
