#include "amalgam/weights/moe/moe.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/indexed_random.hpp"
#include "amalgam/weights/moe/moe_plan.hpp"
#include "tests/checkpoint/tensor_access.hpp"
#include "tests/weights/moe_fixture.hpp"

namespace amalgam {
namespace {

using nlohmann::json;
using ::testing::DoubleNear;
using ::testing::Pointwise;

class MoeTest : public MoeFixture {
 protected:
  MoeTest() {
    write("base", dense(0));
    write("a", dense(1));
    write("b", dense(2));
    write_tokenizer("base");
  }

  // With models named by folder.
  MoeRecipe recipe(const std::string& yaml) const {
    std::string text = yaml;
    for (const char* name : {"base", "a", "b"}) {
      const std::string key = std::string("{") + name + "}";
      for (std::size_t at = text.find(key); at != std::string::npos; at = text.find(key)) {
        text.replace(at, key.size(), path(name));
      }
    }
    return parse_moe_recipe(text, "moe.yml");
  }

  std::unique_ptr<TensorSource> assemble(const std::string& yaml, std::uint64_t seed = 0,
                                         std::optional<OutputType> type = {}) const {
    MergeOptions options;
    options.output = path("out");
    options.overwrite = true;
    options.progress = Progress::Mode::never;
    options.engine.seed = seed;
    options.type = type;
    assemble_moe(recipe(yaml), options);
    return open_checkpoint(path("out"));
  }

  json written_config() const { return json::parse(contents_of(path("out") + "/config.json")); }

  template <class... Parts>
  void expect_refused(const std::string& yaml, const Parts&... parts) const {
    expect_error<InputError>([&] { assemble(yaml); }, parts...);
    EXPECT_FALSE(std::filesystem::exists(path("out")));
  }
};

constexpr const char* kRandom =
    "base_model: '{base}'\ngate_mode: random\nexperts:\n- source_model: '{a}'\n"
    "- source_model: '{b}'\n- source_model: '{a}'\n";

TEST_F(MoeTest, EveryTensorOfTheModelsCarriesOverBitForBit) {
  const auto out = assemble(kRandom);
  const auto base = open_checkpoint(path("base"));
  const auto a = open_checkpoint(path("a"));
  const auto b = open_checkpoint(path("b"));
  // 3 outside the layers; per layer 6 of the base, 3 experts of 3, a router.
  EXPECT_EQ(out->tensors().size(), 3U + 2 * (6 + 9 + 1));
  std::size_t of_base = 0;
  for (const TensorInfo& info : base->tensors()) {
    if (info.name.find(".mlp.") != std::string::npos) continue;
    EXPECT_EQ(bytes_of(*out, info.name), bytes_of(*base, info.name)) << info.name;
    ++of_base;
  }
  EXPECT_EQ(of_base, 15U);
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    const std::pair<const char*, const char*> names[] = {
        {"w1", "gate_proj"}, {"w2", "down_proj"}, {"w3", "up_proj"}};
    for (const auto& [ours, theirs] : names) {
      const auto expert = [&](int i) {
        return bytes_of(
            *out, layer + "block_sparse_moe.experts." + std::to_string(i) + "." + ours + ".weight");
      };
      const std::string dense = layer + "mlp." + theirs + ".weight";
      EXPECT_EQ(expert(0), bytes_of(*a, dense));
      EXPECT_EQ(expert(1), bytes_of(*b, dense));
      EXPECT_EQ(expert(2), bytes_of(*a, dense));
      EXPECT_NE(expert(0), expert(1));
    }
  }
}

TEST_F(MoeTest, RandomRoutersAreAFunctionOfSeedAndName) {
  const std::string name = "model.layers.1.block_sparse_moe.gate.weight";
  const auto router = [&](std::uint64_t seed) {
    return values_of(*assemble(kRandom, seed, DType::f32), name);
  };
  const std::vector<double> made = router(7);
  std::vector<double> expected(3 * kHidden);
  const IndexedRandom random(7, name);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    expected[i] = static_cast<float>(random.normal(i));
  }
  EXPECT_EQ(made, expected);
  EXPECT_NE(made, router(8));
  EXPECT_NE(made, values_of(*open_checkpoint(path("out")),
                            "model.layers.0.block_sparse_moe.gate.weight"));
}

TEST(IndexedRandomTest, HasTheMomentsOfItsDistributions) {
  const IndexedRandom random(1, "moments");
  double sum = 0;
  double squares = 0;
  double uniform = 0;
  constexpr int kCount = 20000;
  for (int i = 0; i < kCount; ++i) {
    const double z = random.normal(i);
    sum += z;
    squares += z * z;
    const double u = random.uniform(i);
    ASSERT_TRUE(u >= 0 && u < 1);
    uniform += u;
  }
  // Six standard errors: 6 / sqrt(20000) = 0.042, times sqrt(2) and sqrt(1 / 12).
  EXPECT_NEAR(sum / kCount, 0, 0.042);
  EXPECT_NEAR(squares / kCount, 1, 0.06);
  EXPECT_NEAR(uniform / kCount, 0.5, 0.0123);
}

TEST_F(MoeTest, UniformRoutersStayWithinOneOverTheRootOfTheHiddenSize) {
  const auto out = assemble(
      "base_model: '{base}'\ngate_mode: uniform_random\nexperts: [{source_model: '{a}'}]\n", 3,
      DType::f32);
  const std::string name = "model.layers.0.block_sparse_moe.gate.weight";
  const std::vector<double> made = values_of(*out, name);
  const IndexedRandom random(3, name);
  ASSERT_EQ(made.size(), kHidden);
  for (std::size_t i = 0; i < kHidden; ++i) {
    EXPECT_EQ(made[i], static_cast<float>((2 * random.uniform(i) - 1) * 0.5));
  }
  EXPECT_EQ(written_config()["num_experts_per_tok"], 1);
}

// The mean of rows of the embedding, normalised.
std::vector<double> direction(const TensorSource& base, const std::vector<std::size_t>& tokens) {
  const std::vector<double> embedding = values_of(base, "model.embed_tokens.weight");
  std::vector<double> sum(4);
  for (const std::size_t token : tokens) {
    for (std::size_t i = 0; i < 4; ++i) sum[i] += embedding[4 * token + i];
  }
  const double norm =
      std::sqrt(sum[0] * sum[0] + sum[1] * sum[1] + sum[2] * sum[2] + sum[3] * sum[3]);
  for (double& value : sum) value /= norm;
  return sum;
}

TEST_F(MoeTest, CheapEmbedRoutersAreMeanEmbeddingsOfPrompts) {
  const auto out = assemble(
      "base_model: '{base}'\ngate_mode: cheap_embed\ndtype: float32\nexperts:\n"
      "- {source_model: '{a}', positive_prompts: [abc, a]}\n"
      "- {source_model: '{b}', positive_prompts: [b], negative_prompts: [c]}\n");
  const auto base = open_checkpoint(path("base"));
  // "<s>abc" is <s> ab c, "<s>a" is <s> a.
  std::vector<double> expected = direction(*base, {0, 4, 3, 0, 1});
  const std::vector<double> positive = direction(*base, {0, 2});
  const std::vector<double> negative = direction(*base, {0, 3});
  double square = 0;
  for (std::size_t i = 0; i < 4; ++i) square += std::pow(positive[i] - negative[i], 2);
  for (std::size_t i = 0; i < 4; ++i) {
    expected.push_back((positive[i] - negative[i]) / std::sqrt(square));
  }
  for (const char* layer : {"0", "1"}) {
    EXPECT_THAT(
        values_of(*out, std::string("model.layers.") + layer + ".block_sparse_moe.gate.weight"),
        Pointwise(DoubleNear(1e-7), expected));
  }
}

TEST_F(MoeTest, ConfigStatesWhatTheMixtureWouldTakeOtherwise) {
  assemble(kRandom);
  const json mixtral = written_config();
  EXPECT_EQ(mixtral["model_type"], "mixtral");
  EXPECT_EQ(mixtral["architectures"], json::array({"MixtralForCausalLM"}));
  EXPECT_EQ(mixtral["num_local_experts"], 3);
  EXPECT_EQ(mixtral["num_experts_per_tok"], 2);
  EXPECT_EQ(mixtral["num_key_value_heads"], 1);
  EXPECT_EQ(mixtral["rms_norm_eps"], 1e-6);
  EXPECT_EQ(mixtral["rope_theta"], 10000.0);
  EXPECT_EQ(mixtral["torch_dtype"], "bfloat16");
  EXPECT_TRUE(mixtral["sliding_window"].is_null());
  EXPECT_FALSE(mixtral.contains("attention_bias"));
  const std::string card = contents_of(path("out") + "/README.md");
  EXPECT_NE(card.find("A mixture of 3 experts"), std::string::npos) << card;
  EXPECT_EQ(parse_moe_recipe(contents_of(path("out") + "/amalgam_moe.yml"), "r"), recipe(kRandom));
  EXPECT_TRUE(std::filesystem::exists(path("out") + "/tokenizer.json"));
}

TEST_F(MoeTest, AQwenMixtureHasASharedExpertAndBiasesOfZero) {
  const auto out = assemble(
      "base_model: '{base}'\ngate_mode: cheap_embed\nexperts_per_token: 1\nexperts:\n"
      "- {source_model: '{a}', positive_prompts: [a]}\n"
      "- {source_model: '{b}', positive_prompts: [b]}\n"
      "shared_experts:\n- {source_model: '{base}', positive_prompts: [c], residual_scale: 0.5}\n");
  const auto base = open_checkpoint(path("base"));
  const json config = written_config();
  EXPECT_EQ(config["model_type"], "qwen2_moe");
  EXPECT_EQ(config["num_experts"], 2);
  EXPECT_EQ(config["num_experts_per_tok"], 1);
  EXPECT_EQ(config["moe_intermediate_size"], 6);
  EXPECT_EQ(config["shared_expert_intermediate_size"], 6);
  EXPECT_EQ(config["norm_topk_prob"], true);
  const std::string layer = "model.layers.1.";
  EXPECT_EQ(values_of(*out, layer + "self_attn.k_proj.bias"), std::vector<double>(2, 0.0));
  EXPECT_EQ(bytes_of(*out, layer + "mlp.shared_expert.up_proj.weight"),
            bytes_of(*base, layer + "mlp.up_proj.weight"));
  std::vector<double> halved = values_of(*base, layer + "mlp.down_proj.weight");
  for (double& value : halved) value /= 2;  // exact in BF16
  EXPECT_EQ(values_of(*out, layer + "mlp.shared_expert.down_proj.weight"), halved);
  EXPECT_EQ(out->tensors()[index_of(*out, layer + "mlp.gate.weight")].shape, (Shape{2, 4}));
  EXPECT_EQ(out->tensors()[index_of(*out, layer + "mlp.shared_expert_gate.weight")].shape,
            (Shape{1, 4}));
}

TEST_F(MoeTest, NoiseIsAddedBeforeTheOneRounding) {
  const auto out = assemble(
      "base_model: '{base}'\ngate_mode: random\nexperts:\n"
      "- {source_model: '{a}', noise_scale: 0.25, residual_scale: 3}\n",
      5, DType::f32);
  const auto a = open_checkpoint(path("a"));
  for (const auto& [ours, theirs, scale] :
       {std::tuple("w1", "gate_proj", 1.0), std::tuple("w2", "down_proj", 3.0)}) {
    const std::string name =
        std::string("model.layers.0.block_sparse_moe.experts.0.") + ours + ".weight";
    std::vector<double> expected =
        values_of(*a, std::string("model.layers.0.mlp.") + theirs + ".weight");
    const IndexedRandom random(5, name);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expected[i] = static_cast<float>((expected[i] + 0.25 * random.normal(i)) * scale);
    }
    EXPECT_EQ(values_of(*out, name), expected);
  }
}

TEST_F(MoeTest, QwenThreeKeepsItsNorms) {
  for (const char* name : {"base", "a"}) {
    std::vector<MemoryTensor> tensors = dense(4);
    for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
      for (const char* norm : {"self_attn.q_norm.weight", "self_attn.k_norm.weight"}) {
        tensors.push_back(tensor(std::string(layer) + norm, {2}, 1, DType::bf16));
      }
    }
    std::filesystem::remove_all(path(name));
    write(name, tensors, config("qwen3"));
  }
  const auto out =
      assemble("base_model: '{base}'\ngate_mode: random\nexperts: [{source_model: '{a}'}]\n");
  EXPECT_EQ(written_config()["model_type"], "qwen3_moe");
  EXPECT_EQ(written_config()["head_dim"], 128);  // what a Qwen3 config without it means
  EXPECT_TRUE(out->find("model.layers.1.self_attn.k_norm.weight"));
  EXPECT_TRUE(out->find("model.layers.1.mlp.experts.0.down_proj.weight"));
}

TEST_F(MoeTest, RefusesWhatWouldNotLoadOrCompute) {
  const std::string start = "base_model: '{base}'\ngate_mode: random\n";
  expect_refused("base_model: '{base}'\nexperts: [{source_model: '{a}', positive_prompts: [x]}]\n",
                 "gate_mode hidden", "set 'gate_mode: cheap_embed'");
  expect_refused(start +
                     "experts: [{source_model: '{a}'}]\nshared_experts: [{source_model: '{b}'}]\n"
                     "architecture: mixtral\n",
                 "a mixtral has no shared expert");
  expect_refused(start + "experts: [{source_model: '{a}'}]\narchitecture: qwen\n",
                 "a qwen2_moe has one shared expert");
  expect_refused(start + "experts: [{source_model: '{a}'}]\narchitecture: mixtrall\n",
                 "'mixtrall' is not known", "did you mean 'mixtral'");
  std::vector<MemoryTensor> wide = dense(1);
  wide.back() = tensor("model.layers.1.mlp.down_proj.weight", {4, 8}, 1, DType::bf16);
  std::filesystem::remove_all(path("a"));
  write("a", wide);
  expect_refused(start + "experts: [{source_model: '{a}'}]\n",
                 "model.layers.1.mlp.down_proj.weight", "[4, 8]", "[4, 6]");
  std::vector<MemoryTensor> biased = dense(0);
  biased.push_back(tensor("model.layers.0.self_attn.q_proj.bias", {4}, 1, DType::bf16));
  std::filesystem::remove_all(path("base"));
  write("base", biased);
  expect_refused(start + "experts: [{source_model: '{b}'}]\n",
                 "'model.layers.0.self_attn.q_proj.bias' has no place in a mixtral");
  std::filesystem::remove_all(path("base"));
  write("base", dense(0), config("gpt2"));
  expect_refused(start + "experts: [{source_model: '{b}'}]\n", "of type 'gpt2'", "llama, mistral");
  std::filesystem::remove_all(path("base"));
  write("base", dense(0), config("mistral"));
  expect_refused(start + "experts: [{source_model: '{b}'}]\n", "'model_type'", "\"mistral\"");
}

TEST_F(MoeTest, PromptsNeedTokensOfTheModel) {
  const auto with_prompt = [](const std::string& prompt) {
    return "base_model: '{base}'\ngate_mode: cheap_embed\nexperts:\n"
           "- {source_model: '{a}', positive_prompts: [" +
           prompt +
           "]}\n"
           "- {source_model: '{b}', positive_prompts: [a]}\n";
  };
  // Beginning and unknown letters: the former alone is a token.
  EXPECT_NO_THROW(assemble(with_prompt("xyz")));
  std::filesystem::remove_all(path("out"));
  folder_.write("base/tokenizer_config.json", "{}");
  expect_refused(with_prompt("xyz"), "moe.yml:4", "has no tokens: 'xyz'");
  folder_.write("base/tokenizer.json",
                R"({"model": {"type": "BPE", "vocab": {"a": 9}, "merges": []}})");
  expect_refused(with_prompt("aa"), "token 9 ('a') has no row");
}

TEST(MoeRecipeTest, CanonicalFormReadsBackAsTheSame) {
  const MoeRecipe recipe = parse_moe_recipe(
      "base_model: base+adapter\narchitecture: qwen\ngate_mode: cheap_embed\ndtype: bfloat16\n"
      "experts_per_token: 2\nexperts:\n"
      "- source_model: a\n  positive_prompts: [\"Two\\nlines: 'quoted'\", 12]\n"
      "  negative_prompts: [no]\n  noise_scale: 0.1\n"
      "- source_model: b\n  positive_prompts: [b]\n"
      "shared_experts:\n- source_model: c\n  residual_scale: 0.1\n",
      "r");
  EXPECT_EQ(recipe.experts[0].positive_prompts[0], "Two\nlines: 'quoted'");
  EXPECT_EQ(recipe.base_model.adapter, "adapter");
  EXPECT_EQ(parse_moe_recipe(format_moe_recipe(recipe), "again"), recipe);
  EXPECT_TRUE(is_moe_recipe(format_moe_recipe(recipe), "r"));
  EXPECT_FALSE(is_moe_recipe("merge_method: linear\nmodels: [{model: a}]\n", "r"));
}

TEST(MoeRecipeTest, ErrorsNameTheLine) {
  const auto expect_refused = [](const std::string& yaml, const auto&... parts) {
    expect_error<InputError>([&] { parse_moe_recipe(yaml, "r.yml"); }, parts...);
  };
  const std::string start = "base_model: b\ngate_mode: random\n";
  expect_refused("gate_mode: random\nexperts: [{source_model: a}]\n", "r.yml:1", "no 'base_model'");
  expect_refused("base_model: b\n", "no 'experts'");
  expect_refused(start + "experts: []\n", "r.yml:3", "'experts' is empty");
  expect_refused(start + "experts: [{model: a}]\n", "r.yml:3", "no key 'model'");
  expect_refused(start + "experts: [{source_model: a}]\nexperts_per_token: 2\n", "r.yml:4",
                 "from 1 to 1");
  expect_refused(start + "experts: [{source_model: a, noise_scale: -1}]\n", "negative");
  expect_refused(start + "experts: [{source_model: a, residual_scale: x}]\n", "is 'x'",
                 "expected a number");
  expect_refused("base_model: b\ngate_mode: best\nexperts: [{source_model: a}]\n", "r.yml:2",
                 "expected hidden, cheap_embed, random, uniform_random");
  expect_refused("base_model: b\nexperts: [{source_model: a}]\n", "r.yml:2", "'positive_prompts'");
  expect_refused(
      "base_model: b\ngate_mode: cheap_embed\nexperts:\n"
      "- {source_model: a, positive_prompts: [x]}\n"
      "- {source_model: c, positive_prompts: [x]}\n",
      "the same prompts");
  expect_refused(start + "dtype: int8\nexperts: [{source_model: a}]\n", "'dtype' is 'int8'");
  expect_refused("merge_method: linear\n", "which 'amalgam merge' takes");
}

}  // namespace
}  // namespace amalgam
