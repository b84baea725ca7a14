#include "amalgam/description/hugging_face.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "amalgam/description/architecture_options.hpp"
#include "tests/error_of.hpp"

namespace amalgam::learning {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

json config(const json& changes = json::object()) {
  json result{{"model_type", "llama"},      {"hidden_size", 64},        {"intermediate_size", 96},
              {"num_hidden_layers", 2},     {"num_attention_heads", 8}, {"vocab_size", 256},
              {"architectures", {"Llama"}}, {"pad_token_id", 0}};
  result.update(changes);
  return result;
}

DecoderOptions options_of(const json& changes) {
  const NetworkDescription description = hugging_face_description(config(changes), "config.json");
  return std::get<DecoderOptions>(architecture_options(description, "config.json"));
}

std::string refusal_of(const json& changes) {
  return error_of([&] { (void)options_of(changes); });
}

TEST(HuggingFaceConfig, GivesTheDecoderItStates) {
  const NetworkDescription description = hugging_face_description(config(), "config.json");
  EXPECT_EQ(description.classes(), 256);
  EXPECT_THAT(description.input_shape, ElementsAre(2048)) << "what a llama leaves out";
  EXPECT_EQ(description.input_encoding["tokens"], "byte");
  EXPECT_EQ(to_json(parse_network_description(to_json(description), "again")),
            to_json(description));
  const DecoderOptions options = options_of(json::object());
  EXPECT_EQ(options.width, 64);
  EXPECT_EQ(options.key_value_heads, 8);
  EXPECT_FALSE(options.qkv_bias);
}

TEST(HuggingFaceConfig, KnowsWhatFamiliesLeaveOut) {
  EXPECT_EQ(options_of({{"model_type", "mistral"}, {"num_attention_heads", 16}}).key_value_heads,
            8);
  EXPECT_TRUE(
      options_of({{"model_type", "qwen2"}, {"num_key_value_heads", 8}, {"hidden_act", "silu"}})
          .qkv_bias);
}

TEST(HuggingFaceConfig, ReadsEverySpellingOfTheRotation) {
  const RotaryOptions old =
      options_of({{"rope_theta", 5000}, {"rope_scaling", {{"type", "linear"}, {"factor", 2}}}})
          .rotary;
  EXPECT_EQ(old.scaling, RotaryOptions::Scaling::linear);
  EXPECT_EQ(old.factor, 2);
  EXPECT_EQ(old.theta, 5000);
  const RotaryOptions next =
      options_of({{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 5000}}}}).rotary;
  EXPECT_EQ(next.scaling, RotaryOptions::Scaling::none);
  EXPECT_EQ(next.theta, 5000);
}

TEST(HuggingFaceConfig, RefusesWhatTheDecoderDoesNotCompute) {
  EXPECT_THAT(refusal_of({{"model_type", "gemma"}}), HasSubstr("config.json: model_type"));
  EXPECT_THAT(refusal_of({{"hidden_act", "gelu"}}), HasSubstr("expected silu"));
  EXPECT_THAT(refusal_of({{"quantization_config", {{"bits", 4}}}}), HasSubstr("quantis"));
  EXPECT_THAT(refusal_of({{"sliding_window", 32}}), HasSubstr("sliding_window is 32"));
  EXPECT_THAT(refusal_of({{"rope_scaling", {{"type", "yarn"}, {"factor", 2}}}}), HasSubstr("yarn"));
  EXPECT_THAT(refusal_of({{"rope_scaling", json::array({1})}}), HasSubstr("expected an object"));
}

TEST(HuggingFaceConfig, RefusesValuesThatAreMissingOrNone) {
  EXPECT_THAT(refusal_of({{"hidden_size", nullptr}}), HasSubstr("hidden_size is null"));
  EXPECT_THAT(refusal_of({{"hidden_size", -64}}), HasSubstr("hidden_size is -64"));
  EXPECT_THAT(refusal_of({{"vocab_size", {"a", "b"}}}), HasSubstr("vocab_size"));
  EXPECT_THAT(refusal_of({{"max_position_embeddings", 0}}), HasSubstr("max_position_embeddings"));
  EXPECT_THAT(error_of([] { (void)hugging_face_description(json::array(), "config.json"); }),
              HasSubstr("config.json: the document is []"));
}

}  // namespace
}  // namespace amalgam::learning
