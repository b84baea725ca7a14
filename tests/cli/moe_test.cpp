#include <cmath>
#include <cstring>
#include <fstream>

#include "tests/checkpoint/tensor_access.hpp"
#include "tests/cli/run_binary.hpp"
#include "tests/weights/moe_fixture.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

class Moe : public MoeFixture {
 protected:
  Moe() {
    write("base", dense(0));
    write("a", dense(1));
    write("b", dense(2));
    write_tokenizer("base");
    recipe_ = write_recipe("base_model: " + path("base") +
                           "\ngate_mode: cheap_embed\nexperts:\n- source_model: " + path("a") +
                           "\n  positive_prompts: [ab]\n- source_model: " + path("b") +
                           "\n  positive_prompts: [c]\n  noise_scale: 0.1\n");
  }
  // Sets the first number of a tensor of floats in a file.
  static void set_first_number(const std::string& file, const std::string& name, float value) {
    const std::string text = contents_of(file);
    std::uint64_t header = 0;
    std::memcpy(&header, text.data(), sizeof(header));
    const auto json = nlohmann::json::parse(text.substr(8, header));
    std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(static_cast<std::streamoff>(8 + header) +
              json[name]["data_offsets"][0].get<std::streamoff>());
    out.write(reinterpret_cast<const char*>(&value), sizeof(value));
  }

  std::string recipe_;
};

TEST_F(Moe, ReportsWhatItMadeAndVerifyMakesItAgain) {
  fs::create_directory(path("base") + "/additional_chat_templates");
  std::ofstream(path("base") + "/additional_chat_templates/rag.jinja") << "{{ x }}";
  std::ofstream(path("base") + "/LICENSE") << "terms";
  const RunResult made = run_amalgam({"moe", recipe_, "-o", path("out"), "--manifest", "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(made.json()["outputs"][0], path("out"));
  EXPECT_EQ(made.json()["experts"], 2);
  EXPECT_EQ(made.json()["experts_per_token"], 2);
  EXPECT_EQ(made.json()["gate_mode"], "cheap_embed");
  // 3 outside the layers; per layer 6 of the base, 2 experts of 3, a router.
  EXPECT_EQ(made.json()["tensors_copied"], 3 + 2 * (6 + 6 + 1));
  const RunResult good = run_amalgam({"verify", path("out"), "--recompute", "100", "--json"});
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_EQ(good.json()["recomputed"], 29);
  EXPECT_EQ(contents_of(path("out") + "/additional_chat_templates/rag.jinja"), "{{ x }}");
  EXPECT_EQ(contents_of(path("out") + "/LICENSE"), "terms");
  const RunResult again =
      run_amalgam({"moe", recipe_, "-o", path("out"), "--manifest", "--resume", "--json"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(again.json()["was_finished"], true);
  fs::remove(path("out") + "/additional_chat_templates/rag.jinja");
  const RunResult lacking = run_amalgam({"verify", path("out")});
  EXPECT_EQ(lacking.code, 1);
  EXPECT_NE(lacking.out.find("additional_chat_templates/rag.jinja: is missing"), std::string::npos)
      << lacking.out;
  // Another noise is another model.
  const RunResult other = run_amalgam({"moe", recipe_, "-o", path("other"), "--seed", "1"});
  ASSERT_EQ(other.code, 0) << other.err;
  EXPECT_NE(contents_of(path("out") + "/model.safetensors"),
            contents_of(path("other") + "/model.safetensors"));
}

TEST_F(Moe, TheBitsDependOnNeitherThreadsNorShardsNorResuming) {
  ASSERT_EQ(run_amalgam({"moe", recipe_, "-o", path("one"), "--threads", "1"}).code, 0);
  const RunResult many = run_amalgam({"moe", recipe_, "-o", path("many"), "--threads", "3",
                                      "--resume", "--memory", "64MB", "--shard-size", "400B"});
  ASSERT_EQ(many.code, 0) << many.err;
  EXPECT_TRUE(fs::exists(path("many") + "/model.safetensors.index.json"));
  const auto compared = run_amalgam({"diff", path("one"), path("many"), "--json"});
  ASSERT_EQ(compared.code, 0) << compared.err;
  const auto differences = compared.json();
  EXPECT_EQ(differences["tensors"].size(), 29U);
  for (const auto& tensor : differences["tensors"]) EXPECT_EQ(tensor["distance"], 0.0);
}

// Matrices of experts and attention become FP8, routers and embeddings do not.
TEST_F(Moe, CanBeFp8WithScales) {
  const RunResult made = run_amalgam(
      {"moe", recipe_, "-o", path("out"), "--dtype", "fp8_channel", "--manifest", "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  // Per layer 4 of attention and 2 experts of 3.
  EXPECT_EQ(made.json()["quantisation"]["tensors"].size(), 2 * (4 + 6));
  const auto out = open_checkpoint(path("out"));
  const auto stored = open_stored_checkpoint(path("out"));
  const std::string expert = "model.layers.1.block_sparse_moe.experts.0.w1.weight";
  EXPECT_EQ(stored->tensors()[*stored->find(expert)].dtype, DType::f8_e4m3);
  EXPECT_EQ(stored->tensors()[*stored->find(expert + "_scale")].shape, (Shape{6, 1}));
  const std::string router = "model.layers.1.block_sparse_moe.gate.weight";
  EXPECT_EQ(stored->tensors()[*stored->find(router)].dtype, DType::bf16);
  const std::vector<double> before =
      values_of(*open_checkpoint(path("a")), "model.layers.1.mlp.gate_proj.weight");
  const std::vector<double> after = values_of(*out, expert);
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_NEAR(after[i], before[i], std::max(std::abs(before[i]) / 16, 0.01));
  }
  const auto config = nlohmann::json::parse(contents_of(path("out") + "/config.json"));
  const auto& quantisation = config["quantization_config"];
  EXPECT_EQ(quantisation["quant_method"], "compressed-tensors");
  EXPECT_EQ(quantisation["ignore"],
            (nlohmann::json{"lm_head", "model.layers.0.block_sparse_moe.gate",
                            "model.layers.1.block_sparse_moe.gate"}));
  // Codes and scales of 20 matrices, and 9 tensors that are not FP8.
  const RunResult good = run_amalgam({"verify", path("out"), "--recompute", "100", "--json"});
  EXPECT_EQ(good.code, 0) << good.err << good.out;
  EXPECT_EQ(good.json()["recomputed"], 49);
  // The expert with noise is rounded once: the same without FP8, quantised.
  ASSERT_EQ(run_amalgam({"moe", recipe_, "-o", path("wide"), "--dtype", "f32"}).code, 0);
  ASSERT_EQ(run_amalgam({"convert", path("wide"), path("narrow"), "--dtype", "fp8_channel"}).code,
            0);
  const auto narrow = open_stored_checkpoint(path("narrow"));
  for (const TensorInfo& info : stored->tensors()) {
    if (info.name.find("experts.1.") == std::string::npos) continue;
    EXPECT_EQ(bytes_of(*stored, info.name), bytes_of(*narrow, info.name)) << info.name;
  }
}

// What comes in as FP8 goes out as FP8, byte for byte.
TEST_F(Moe, OfFp8ModelsIsFp8) {
  for (const char* name : {"base", "a", "b"}) {
    const std::string fp8 = path(std::string(name) + "8");
    ASSERT_EQ(run_amalgam({"convert", path(name), fp8, "--dtype", "fp8_block"}).code, 0);
  }
  const std::string recipe =
      write_recipe("base_model: " + path("base8") +
                   "\ngate_mode: random\nexperts:\n- source_model: " + path("a8") +
                   "\n- source_model: " + path("b8") + "\n");
  const RunResult made = run_amalgam({"moe", recipe, "-o", path("out"), "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  const auto stored = open_stored_checkpoint(path("out"));
  const auto expert = open_stored_checkpoint(path("b8"));
  for (const char* ending : {"", "_scale_inv"}) {
    EXPECT_EQ(bytes_of(*stored,
                       std::string("model.layers.0.block_sparse_moe.experts.1.w2.weight") + ending),
              bytes_of(*expert, std::string("model.layers.0.mlp.down_proj.weight") + ending));
  }
  const auto config = nlohmann::json::parse(contents_of(path("out") + "/config.json"));
  EXPECT_EQ(config["quantization_config"]["quant_method"], "fp8");
  EXPECT_EQ(config["quantization_config"]["modules_to_not_convert"].size(), 3);
  ASSERT_EQ(run_amalgam({"moe", recipe, "-o", path("plain"), "--dtype", "bf16"}).code, 0);
  EXPECT_FALSE(nlohmann::json::parse(contents_of(path("plain") + "/config.json"))
                   .contains("quantization_config"));
}

// What enters the first layer is the embedding of the token.
TEST_F(Moe, RoutersOfHiddenStatesSeeWhatEntersEachLayer) {
  const std::string recipe = write_recipe(
      "base_model: " + path("base") + "\nexperts:\n" + "- {source_model: " + path("a") +
      ", positive_prompts: [abc]}\n- {source_model: " + path("b") +
      ", positive_prompts: [a, b]}\n");
  const RunResult made =
      run_amalgam({"moe", recipe, "-o", path("out"), "--dtype", "f32", "--manifest", "--json"});
  if (made.code == 2 && made.err.find("learning library") != std::string::npos) {
    GTEST_SKIP() << "this build has no learning library";
  }
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(made.json()["gate_mode"], "hidden");
  const auto out = open_checkpoint(path("out"));
  const std::vector<double> embedding =
      values_of(*open_checkpoint(path("base")), "model.embed_tokens.weight");
  const auto router = [&](const char* layer) {
    return values_of(*out, std::string("model.layers.") + layer + ".block_sparse_moe.gate.weight");
  };
  // "<s>abc" ends in c, number 3; the second expert's prompts end in a and b, numbers 1 and 2.
  std::vector<double> expected(8);
  for (std::size_t i = 0; i < 4; ++i) {
    expected[i] = embedding[12 + i];
    expected[4 + i] = (embedding[4 + i] + embedding[8 + i]) / 2;
  }
  for (const std::size_t row : {0, 4}) {
    double square = 0;
    for (std::size_t i = 0; i < 4; ++i) square += expected[row + i] * expected[row + i];
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_NEAR(router("0")[row + i], expected[row + i] / std::sqrt(square), 1e-6);
    }
  }
  double square = 0;
  for (std::size_t i = 0; i < 4; ++i) square += router("1")[i] * router("1")[i];
  EXPECT_NEAR(square, 1, 1e-6);
  EXPECT_NE(router("0"), router("1"));
  // The base is run again to check them.
  const RunResult good = run_amalgam({"verify", path("out"), "--recompute", "100", "--json"});
  EXPECT_EQ(good.code, 0) << good.err << good.out;
  EXPECT_EQ(good.json()["recomputed"], 29);
  EXPECT_EQ(run_amalgam({"verify", path("out")}).code, 0);
  // A router that is another one is found.
  set_first_number(path("out") + "/model.safetensors",
                   "model.layers.1.block_sparse_moe.gate.weight", 1.5F);
  const RunResult changed = run_amalgam({"verify", path("out"), "--no-hash", "--recompute", "100"});
  EXPECT_EQ(changed.code, 1) << changed.err;
  EXPECT_NE(changed.out.find("tensor 'model.layers.1.block_sparse_moe.gate.weight'"),
            std::string::npos)
      << changed.out;
}

TEST_F(Moe, ADryRunSaysWhatWouldBeAndDoesNothing) {
  const RunResult shown =
      run_amalgam({"moe", recipe_, "-o", path("out"), "--dtype", "f32", "--dry-run", "--json"});
  ASSERT_EQ(shown.code, 0) << shown.err;
  const auto plan = shown.json();
  const auto& tensors = plan["stages"][0]["tensors"];
  EXPECT_EQ(tensors.size(), 29U);
  EXPECT_EQ(tensors[0]["dtype"], "F32");
  EXPECT_FALSE(fs::exists(path("out")));
}

TEST_F(Moe, BadInputIsOneSentence) {
  expect_bad_usage(run_amalgam({"moe", recipe_, "-o", path("out.safetensors")}),
                   "is a folder with its config");
  expect_bad_usage(run_amalgam({"moe", recipe_, "-o", path("a")}), "already exists");
  expect_bad_usage(run_amalgam({"moe", path("base"), "-o", path("out")}), "is a folder",
                   "mergekit-moe's YAML");
  expect_bad_usage(run_amalgam({"moe", recipe_, "-o", path("out"), "--dtype", "Q4_K"}),
                   "Q4_K is no type of a safetensors folder");
  expect_bad_usage(run_amalgam({"moe", recipe_, "-o", path("a") + "/out"}), path("a"));
  fs::remove(path("base") + "/config.json");
  expect_bad_usage(run_amalgam({"moe", recipe_, "-o", path("out")}), "no config.json");
  EXPECT_FALSE(fs::exists(path("out")));
}

}  // namespace
}  // namespace amalgam
