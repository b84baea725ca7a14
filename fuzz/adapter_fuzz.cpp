// Adapters whose tensors have names and shapes that seldom belong together, on a base with a
// matrix, an embedding, a convolution and a vector: either a clear InputError, or a model of the
// base's tensors every number of which can be read, the same in one piece as in two.

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/adapter.hpp"
#include "amalgam/checkpoint/generated_source.hpp"
#include "amalgam/core/error.hpp"

namespace {

using amalgam::GeneratedTensor;

constexpr const char* kModules[] = {
    "model.layers.0.q_proj", "model.embed_tokens", "model.conv", "model.norm", "q_proj", "nothing"};
constexpr const char* kParts[] = {".lora_A.weight",
                                  ".lora_B.weight",
                                  ".lora_embedding_A",
                                  ".lora_embedding_B",
                                  ".lora_B.bias",
                                  ".lora_magnitude_vector",
                                  ".ia3_l",
                                  ".weight",
                                  ".bias",
                                  ".lora_A.default.weight",
                                  ""};

GeneratedTensor tensor(std::string name, amalgam::DType dtype, amalgam::Shape shape) {
  return {.info = amalgam::make_tensor_info(std::move(name), dtype, std::move(shape), "fuzz"),
          .fill = [](std::uint64_t first, std::span<double> out) {
            for (double& value : out) value = 0.25 * static_cast<double>(++first % 7) - 0.5;
          }};
}

amalgam::SharedSource make_base() {
  std::vector<GeneratedTensor> tensors;
  tensors.push_back(tensor("model.layers.0.q_proj.weight", amalgam::DType::f32, {4, 6}));
  tensors.push_back(tensor("model.layers.0.q_proj.bias", amalgam::DType::f32, {4}));
  tensors.push_back(tensor("model.embed_tokens.weight", amalgam::DType::bf16, {5, 3}));
  tensors.push_back(tensor("model.conv.weight", amalgam::DType::f16, {2, 3, 2, 1}));
  tensors.push_back(tensor("model.norm.weight", amalgam::DType::f64, {4}));
  return std::make_shared<amalgam::GeneratedSource>("base", std::move(tensors));
}

amalgam::AdapterConfig drawn_config(FuzzedDataProvider& choice) {
  amalgam::AdapterConfig config;
  config.kind =
      choice.ConsumeBool() ? amalgam::AdapterConfig::Kind::lora : amalgam::AdapterConfig::Kind::ia3;
  config.rank = choice.ConsumeIntegralInRange<std::size_t>(1, 3);
  config.alpha = choice.ConsumeIntegralInRange(0, 16);
  config.rank_stabilised = choice.ConsumeBool();
  config.dora = choice.ConsumeBool();
  config.transposed = choice.ConsumeBool();
  if (choice.ConsumeBool()) config.rank_pattern = {{"q_proj", choice.ConsumeIntegralInRange(1, 3)}};
  if (choice.ConsumeBool()) config.modules_to_save = {choice.PickValueInArray(kModules)};
  if (choice.ConsumeBool()) config.feedforward_modules = {choice.PickValueInArray(kModules)};
  return config;
}

amalgam::SharedSource drawn_tensors(FuzzedDataProvider& choice) {
  std::vector<GeneratedTensor> tensors;
  const int count = choice.ConsumeIntegralInRange(1, 6);
  for (int i = 0; i < count; ++i) {
    std::string name = choice.ConsumeIntegralInRange(0, 15) == 0 ? "" : "base_model.model.";
    name += choice.PickValueInArray(kModules);
    name += choice.PickValueInArray(kParts);
    amalgam::Shape shape(choice.ConsumeIntegralInRange<std::size_t>(0, 4));
    for (auto& side : shape) side = choice.ConsumeIntegralInRange<std::uint64_t>(0, 6);
    tensors.push_back(tensor(std::move(name), amalgam::DType::f32, std::move(shape)));
  }
  return std::make_shared<amalgam::GeneratedSource>("adapter", std::move(tensors));
}

// Saved tensors replace those of the base, with rows for added tokens, or come beside them.
bool may_become(const amalgam::Shape& base, const amalgam::Shape& made) {
  return base.size() == made.size() && std::equal(base.begin() + 1, base.end(), made.begin() + 1);
}

void read_everything(const amalgam::TensorSource& source, const amalgam::TensorSource& base) {
  if (source.tensors().size() < base.tensors().size()) std::abort();
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    const amalgam::TensorInfo& info = source.tensors()[i];
    if (source.find(info.name) != i) std::abort();
    const auto old = base.find(info.name);
    if (old && !may_become(base.tensors()[*old].shape, info.shape)) std::abort();
    std::vector<double> whole(info.elements);
    std::vector<double> parts(info.elements);
    source.read(i, 0, std::span<double>(whole));
    const std::size_t half = parts.size() / 2;
    source.read(i, half, std::span(parts).subspan(half));
    source.read(i, 0, std::span(parts).first(half));
    if (!whole.empty() &&
        std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(double)) != 0) {
      std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const amalgam::SharedSource base = make_base();
  FuzzedDataProvider choice(data, size);
  try {
    const amalgam::AdapterConfig config = drawn_config(choice);
    read_everything(
        *amalgam::apply_adapter(base, amalgam::make_adapter(drawn_tensors(choice), config, "fuzz")),
        *base);
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
