#include <gtest/gtest.h>

#include <filesystem>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/random.hpp"
#include "tests/checkpoint/tensor_access.hpp"
#include "tests/cli/run_binary.hpp"
#include "tests/cli/token_model_fixture.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

std::vector<double> normal(std::size_t count, const std::string& name) {
  RandomStream random(11, name);
  std::vector<double> values(count);
  for (double& value : values) value = random.normal();
  return values;
}

std::vector<MemoryTensor> model(const std::string& name) {
  return {make_tensor("layers.0.norm.weight", {40}, normal(40, name + "n")),
          make_tensor("layers.0.q.weight", {24, 40}, normal(960, name + "q"), DType::bf16)};
}

class Lora : public ::testing::Test {
 protected:
  Lora() {
    write_safetensors(folder_ / "base.safetensors", model("base"));
    write_safetensors(folder_ / "a.safetensors", model("a"));
    write_safetensors(folder_ / "b.safetensors", model("b"));
    for (const std::string name : {"a", "b"}) {
      done({"lora", "extract", path("base.safetensors"), path(name + ".safetensors"),
            path("lora_" + name), "--rank", "4"});
    }
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static RunResult done(const std::vector<std::string>& words) {
    RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result;
  }
  TemporaryFolder folder_;
};

TEST_F(Lora, AMergeOfBasePlusAdapterHasTheBitsOfTheAppliedModel) {
  const std::string base = path("base.safetensors");
  for (const std::string name : {"a", "b"}) {
    done({"lora", "apply", base, path("lora_" + name), path("applied_" + name + ".safetensors")});
  }
  const std::vector<std::string> options = {"--method", "linear", "-p", "weight=1"};
  const auto merge = [&](const std::string& a, const std::string& b, const std::string& out) {
    std::vector<std::string> words = {"merge", a, b, "-o", path(out)};
    words.insert(words.end(), options.begin(), options.end());
    done(words);
  };
  merge(base + "+" + path("lora_a"), base + "+" + path("lora_b"), "lazy.safetensors");
  merge(path("applied_a.safetensors"), path("applied_b.safetensors"), "eager.safetensors");
  const auto lazy = open_checkpoint(path("lazy.safetensors"));
  const auto eager = open_checkpoint(path("eager.safetensors"));
  const auto plain = open_checkpoint(base);
  ASSERT_EQ(lazy->tensors().size(), 2U);
  for (const TensorInfo& info : lazy->tensors()) {
    EXPECT_EQ(bytes_of(*lazy, info.name), bytes_of(*eager, info.name)) << info.name;
    EXPECT_NE(bytes_of(*lazy, info.name), bytes_of(*plain, info.name)) << info.name;
  }
}

TEST_F(Lora, MergesAndReportsRanks) {
  // The norms differ, and no sum of whole tensors is meant.
  const RunResult refused =
      run_amalgam({"lora", "merge", path("lora_a"), path("lora_b"), "-o", path("both"), "--json"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("saves 'layers.0.norm.weight' whole"), std::string::npos)
      << refused.err;
  EXPECT_FALSE(fs::exists(path("both")));
  const RunResult merged =
      done({"lora", "merge", path("lora_a"), path("lora_a"), "-o", path("both"), "--method",
            "exact", "--weight", "0.5", "0.5", "--json"});
  EXPECT_EQ(merged.json()["modules"][0]["name"], "layers.0.q");
  EXPECT_EQ(merged.json()["modules"][0]["rank"], 4);
  const RunResult by_rule =
      done({"lora", "merge", path("lora_a"), path("lora_a"), "-o", path("ties"), "--method", "ties",
            "-p", "density=0.5", "-p", "weight=1", "--rank", "3", "--json"});
  EXPECT_EQ(by_rule.json()["modules"][0]["rank"], 3);
}

TEST_F(Lora, WeightsMayBeSeparatedByCommas) {
  const auto merge = [&](const std::string& out, const std::vector<std::string>& weights) {
    std::vector<std::string> words = {"lora", "merge",   path("lora_a"), path("lora_a"),
                                      "-o",   path(out), "--weight"};
    words.insert(words.end(), weights.begin(), weights.end());
    done(words);
    return contents_of(folder_ / out / "adapter_model.safetensors");
  };
  EXPECT_EQ(merge("commas", {"0.5,0.25"}), merge("words", {"0.5", "0.25"}));
  expect_bad_usage(run_amalgam({"lora", "merge", path("lora_a"), "-o", path("one")}),
                   "At least 2 required");
}

TEST_F(Lora, ExtractRefusesWhatIsNoModel) {
  const auto refused = [&](const std::string& base, const std::string& tuned,
                           const std::string& part) {
    expect_bad_usage(run_amalgam({"lora", "extract", path(base), path(tuned), path("out")}), part);
    EXPECT_FALSE(fs::exists(path("out")));
    EXPECT_FALSE(fs::exists(path(".out.partial")));
  };
  refused("base.safetensors", "lora_a", "lora_a: the folder of an adapter, expected a model");
  refused("lora_a", "a.safetensors", "lora_a: the folder of an adapter, expected a model");
  std::vector<MemoryTensor> packed = model("a");
  packed.push_back(make_tensor("layers.1.q.qweight", {2, 2}, {1, 2, 3, 4}, DType::i32));
  packed.push_back(make_tensor("layers.1.q.g_idx", {2}, {0, 1}, DType::i32));
  write_safetensors(folder_ / "packed.safetensors", packed);
  refused("base.safetensors", "packed.safetensors", "packed as GPTQ");
  refused("packed.safetensors", "a.safetensors", "packed as GPTQ");
  std::vector<MemoryTensor> part = model("a");
  part.erase(part.begin());
  write_safetensors(folder_ / "part.safetensors", part);
  refused("base.safetensors", "part.safetensors", "tensor 'layers.0.norm.weight' of");
}

TEST_F(Lora, AMergeRefusesAdaptersAlone) {
  const RunResult result = run_amalgam({"merge", "--method", "linear", path("lora_a"),
                                        path("lora_b"), "-p", "weight=1", "-o", path("out")});
  expect_bad_usage(result, "lora_a: the folder of an adapter", "BASE+ADAPTER", "lora merge");
  EXPECT_FALSE(fs::exists(path("out")));
}

TEST_F(Lora, InspectAndDiffTakeBasePlusAdapter) {
  const std::string adapted = path("base.safetensors") + "+" + path("lora_a");
  EXPECT_EQ(done({"inspect", adapted, "--json"}).json()["tensors"].size(), 2U);
  const auto compared = done({"diff", adapted, path("base.safetensors"), "--json"}).json();
  EXPECT_GT(compared["tensors"][1]["distance"].get<double>(), 1.0);
}

// An adapter that adds a token: a row of the embedding, and a tokenizer of its own.
class LoraTokens : public TokenModelFixture {
 protected:
  LoraTokens() {
    base_ = write("base", {.tokens = {"x", "y"}, .first = 0});
    folder_.write("base/additional_chat_templates/tool_use.jinja", "{{ base's }}");
    folder_.write("base/LICENSE", "terms");
    folder_.write("adapter/adapter_config.json",
                  R"({"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["q"],
                      "modules_to_save": ["embed_tokens", "lm_head"]})");
    const std::string prefix = "base_model.model.";
    write_safetensors(folder_ / "adapter/adapter_model.safetensors",
                      {rows(prefix + "model.embed_tokens.weight", 3, 50, 1),
                       rows(prefix + "lm_head.weight", 3, 50, 1)});
  }
  void give_tokenizer() const {
    folder_.write("adapter/tokenizer.json", tokenizer_json({"x", "y", "<new>"}).dump());
    folder_.write("adapter/tokenizer_config.json", R"({"chat_template": "{{ adapter }}"})");
    folder_.write("adapter/additional_chat_templates/rag.jinja", "{{ adapter's }}");
  }
  void expect_adapted() const {
    EXPECT_EQ(embedding(), (std::vector<double>{50, 51, 52}));
    EXPECT_EQ(out_json("config.json")["vocab_size"], 3);
    EXPECT_EQ(out_json("tokenizer.json")["model"]["vocab"]["<new>"], 2);
    EXPECT_EQ(out_json("tokenizer_config.json")["chat_template"], "{{ adapter }}");
  }
  std::string base_;
};

TEST_F(LoraTokens, ApplyTakesTheAdaptersTokenizerAndStatesItsRows) {
  const std::vector<std::string> apply = {"lora",          "apply",     base_,
                                          path("adapter"), path("out"), "--overwrite"};
  const RunResult bare = run_amalgam(apply);
  ASSERT_EQ(bare.code, 0) << bare.err;
  EXPECT_NE(bare.err.find("gives the token embedding 3 rows but has no tokenizer"),
            std::string::npos)
      << bare.err;
  EXPECT_EQ(out_json("config.json")["vocab_size"], 3);
  EXPECT_EQ(contents_of(folder_ / "out/tokenizer.json"),
            contents_of(folder_ / "base/tokenizer.json"));
  give_tokenizer();
  const RunResult result = run_amalgam(apply);
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err.find("no tokenizer"), std::string::npos) << result.err;
  expect_adapted();
  // Templates go with the tokenizer, licences with the base.
  EXPECT_EQ(contents_of(folder_ / "out/additional_chat_templates/rag.jinja"), "{{ adapter's }}");
  EXPECT_FALSE(fs::exists(folder_ / "out/additional_chat_templates/tool_use.jinja"));
  EXPECT_EQ(contents_of(folder_ / "out/LICENSE"), "terms");
}

TEST_F(LoraTokens, ExtractKeepsTheTokenizerOfTokensThatWereAdded) {
  const std::string tuned = write("tuned", {.tokens = {"x", "y", "<new>"}, .first = 0});
  const RunResult extracted = run_amalgam({"lora", "extract", base_, tuned, path("lora")});
  ASSERT_EQ(extracted.code, 0) << extracted.err;
  EXPECT_EQ(contents_of(folder_ / "lora/tokenizer.json"),
            contents_of(folder_ / "tuned/tokenizer.json"));
  const RunResult applied = run_amalgam({"lora", "apply", base_, path("lora"), path("out")});
  ASSERT_EQ(applied.code, 0) << applied.err;
  EXPECT_EQ(embedding(), (std::vector<double>{0, 1, 2}));
  EXPECT_EQ(out_json("config.json")["vocab_size"], 3);
  EXPECT_EQ(out_json("tokenizer.json")["model"]["vocab"]["<new>"], 2);
}

TEST_F(LoraTokens, AMergeOnTheAdaptedBaseKeepsThemToo) {
  give_tokenizer();
  merge(recipe("merge_method: linear\nmodels:\n- {model: " + base_ + "+" + path("adapter") +
               ", parameters: {weight: 1}}\n"));
  expect_adapted();
  // y is the adapted base's 51 and the base's 1; the new token is its only owner's.
  merge(recipe("merge_method: linear\nbase_model: " + base_ + "\ntokenizer_source: union\n" +
               "parameters: {weight: 1}\nmodels:\n- model: " + base_ + "\n- model: " + base_ + "+" +
               path("adapter") + "\n"));
  EXPECT_EQ(embedding(), (std::vector<double>{25, 26, 52}));
}

}  // namespace
}  // namespace amalgam
