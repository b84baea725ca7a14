// What lies beside the weights: true of the output, complete, and nothing that does not belong.
#include "amalgam/weights/output_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class OutputFilesTest : public ::testing::Test {
 protected:
  OutputFilesTest() {
    std::string name = (fs::temp_directory_path() / "amalgam_output_XXXXXX").string();
    root_ = mkdtemp(name.data());
    fs::create_directories(root_ / "base");
    fs::create_directories(root_ / "other");
    fs::create_directories(out());
    plan_.rule = &find_merge_rule("linear");
    add_tensor("model.embed_tokens.weight", {8, 4}, DType::bf16);
    add_tensor("model.layers.0.w", {4, 4}, DType::bf16, 0);
    add_tensor("model.norm.weight", {4}, DType::f32);
  }
  ~OutputFilesTest() override { fs::remove_all(root_); }

  fs::path out() const { return root_ / "out"; }

  void add_tensor(const std::string& name, Shape shape, DType dtype,
                  std::optional<std::size_t> layer = {}) {
    PlanTensor tensor;
    tensor.output = make_tensor_info(name, dtype, std::move(shape), "test");
    tensor.layer = layer;
    plan_.tensors.push_back(std::move(tensor));
  }

  static void write(const fs::path& path, std::string_view text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  static std::string read(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }

  OutputDescription description(std::string_view yaml =
                                    "merge_method: linear\n"
                                    "base_model: base\n"
                                    "models: [{model: a}]\n") {
    return {.documents = parse_recipe(yaml, "r.yml"),
            .plan = &plan_,
            .reference = root_ / "base",
            .models = {root_ / "base", root_ / "other"},
            .seed = 7};
  }

  fs::path root_;
  MergePlan plan_;
};

PlanLayers layers(std::string prefix, std::size_t old_count, std::vector<std::size_t> origins) {
  return {.prefix = std::move(prefix), .old_count = old_count, .origins = std::move(origins)};
}

TEST_F(OutputFilesTest, ConfigFollowsLayersVocabularyAndType) {
  plan_.layers = {layers("model.layers.", 3, {0, 1, 1, 2})};
  const json config = updated_config(
      json::parse(R"({"num_hidden_layers": 3, "vocab_size": 10, "torch_dtype": "float32",
                      "layer_types": ["full", "sliding", "linear"], "eos_token_id": [1, 2, 3],
                      "hidden_size": 4, "vision_config": {"num_hidden_layers": 3, "dtype": "float32"}})"),
      plan_);
  EXPECT_EQ(config,
            json::parse(R"({"num_hidden_layers": 4, "vocab_size": 8, "torch_dtype": "bfloat16",
                      "layer_types": ["full", "sliding", "sliding", "linear"],
                      "eos_token_id": [1, 2, 3], "hidden_size": 4,
                      "vision_config": {"num_hidden_layers": 3, "dtype": "bfloat16"}})"));
}

TEST_F(OutputFilesTest, ConfigOfAnUnchangedNetworkOnlyGetsItsType) {
  plan_.layers = {layers("model.layers.", 3, {0, 1, 2})};
  const json before = json::parse(R"({"n_layer": 3, "vocab_size": 8, "x": null})");
  json expected = before;
  expected["torch_dtype"] = "bfloat16";
  EXPECT_EQ(updated_config(before, plan_), expected);
}

TEST_F(OutputFilesTest, ConfigTellsEncodersDecodersAndSubNetworksApart) {
  plan_.layers = {layers("decoder.block.", 6, {0, 1})};
  EXPECT_EQ(updated_config(json::parse(R"({"encoder_layers": 6, "decoder_layers": 6})"), plan_)
                .at("encoder_layers"),
            6);
  EXPECT_EQ(updated_config(json::parse(R"({"encoder_layers": 6, "decoder_layers": 6})"), plan_)
                .at("decoder_layers"),
            2);
  plan_.layers = {layers("vision_tower.layers.", 6, {0, 1})};
  const json nested = updated_config(json::parse(R"({"text_config": {"num_hidden_layers": 6},
                      "vision_config": {"num_hidden_layers": 6}})"),
                                     plan_);
  EXPECT_EQ(nested["text_config"]["num_hidden_layers"], 6);
  EXPECT_EQ(nested["vision_config"]["num_hidden_layers"], 2);
}

TEST_F(OutputFilesTest, FolderGetsConfigTokenizerCardAndRecipe) {
  write(root_ / "base/config.json", R"({"num_hidden_layers": 1, "vocab_size": 8})");
  write(root_ / "base/generation_config.json", "{\"g\": 1}");
  write(root_ / "base/tokenizer.json", std::string("{\"t\":\0 1}", 8));
  write(root_ / "base/tokenizer_config.json", "{\"chat_template\": \"kept\"}");
  write(root_ / "base/model.safetensors", "weights");
  write(root_ / "base/modeling_x.py", "code");
  write(root_ / "base/secret.txt", "no");
  write_output_files(out(), description());
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(out())) names.insert(entry.path().filename());
  EXPECT_THAT(names, ::testing::ElementsAre("README.md", "amalgam_recipe.yml", "config.json",
                                            "generation_config.json", "tokenizer.json",
                                            "tokenizer_config.json"));
  EXPECT_EQ(read(out() / "tokenizer.json"), read(root_ / "base/tokenizer.json"));
  EXPECT_EQ(read(out() / "tokenizer_config.json"), "{\"chat_template\": \"kept\"}");
  EXPECT_EQ(json::parse(read(out() / "config.json"))["torch_dtype"], "bfloat16");
  EXPECT_EQ(parse_recipe(read(out() / "amalgam_recipe.yml"), "again"), description().documents);
}

TEST_F(OutputFilesTest, ModulesAreCopiedIfTheConfigNamesThem) {
  write(root_ / "base/config.json", R"({"auto_map": {"AutoModel": "modeling_x.Model"}})");
  write(root_ / "base/modeling_x.py", "code");
  write_output_files(out(), description());
  EXPECT_EQ(read(out() / "modeling_x.py"), "code");
}

TEST_F(OutputFilesTest, WhatTheNextToolNeedsIsCarriedOver) {
  const std::map<std::string, std::string> files = {
      {"modules.json", R"([{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Dense"},
                           {"path": "../other"}, {"path": "3_Missing"}])"},
      {"sentence_bert_config.json", "{\"max_seq_length\": 8}"},
      {"config_sentence_transformers.json", "{\"prompts\": {}}"},
      {"preprocessor_config.json", "{\"size\": 224}"},
      {"processor_config.json", "{}"},
      {"generation_config.json", "{\"top_p\": 0.5}"},
      {"special_tokens_map.json", "{\"unk_token\": \"[UNK]\"}"},
      {"1_Pooling/config.json", "{\"pooling_mode_mean_tokens\": true}"},
      {"2_Dense/config.json", "{}"},
      {"2_Dense/model.safetensors", "weights"},
      {"chat_template.jinja", "{{ messages }}"},
      {"additional_chat_templates/tool_use.jinja", "{{ tools }}"},
      {"LICENSE", "may be used"},
      {"Licence-Code.md", "may be copied"},
      {"NOTICE.txt", "made by"},
      {"USE_POLICY.md", "not for harm"},
  };
  for (const auto& [name, text] : files) {
    fs::create_directories((root_ / "base" / name).parent_path());
    write(root_ / "base" / name, text);
  }
  write_output_files(out(), description());
  for (const auto& [name, text] : files) EXPECT_EQ(read(out() / name), text) << name;
  EXPECT_FALSE(fs::exists(out() / "3_Missing"));
}

TEST_F(OutputFilesTest, OnlyTemplatesAndLicencesAreTakenForSuch) {
  fs::create_directories(root_ / "base/additional_chat_templates/more.jinja");
  write(root_ / "base/additional_chat_templates/.hidden.jinja", "x");
  write(root_ / "base/additional_chat_templates/letter.txt", "dear");
  write(root_ / "base/license.bin", "weights");
  write(root_ / "base/LICENSE.large", "");
  fs::resize_file(root_ / "base/LICENSE.large", 300'000'000);  // a hole, no disk
  fs::create_symlink("/dev/zero", root_ / "base/NOTICE");
  write_output_files(out(), description());
  EXPECT_FALSE(fs::exists(out() / "additional_chat_templates"));
  for (const char* name : {"license.bin", "LICENSE.large", "NOTICE"}) {
    EXPECT_FALSE(fs::exists(out() / name)) << name;
  }
}

TEST_F(OutputFilesTest, OnlyModulesThatHaveFilesAreMissed) {
  write(root_ / "base/modules.json", R"([{"path": "1_Pooling", "type": "x.models.Pooling"},
      {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}])");
  ::testing::internal::CaptureStderr();
  write_output_files(out(), description());
  const std::string warnings = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(warnings, HasSubstr("names '1_Pooling', which is not a folder"));
  EXPECT_EQ(warnings.find("2_Normalize"), std::string::npos);
}

TEST_F(OutputFilesTest, HeadsOfClassifiersKeepTheNamesOfTheirClasses) {
  write(root_ / "base/config.json", R"({"id2label": {"0": "no", "1": "yes"},
      "label2id": {"no": 0, "yes": 1}, "architectures": ["BertForSequenceClassification"]})");
  write(root_ / "other/config.json", R"({"id2label": {"0": "yes", "1": "no"}})");
  ::testing::internal::CaptureStderr();
  write_output_files(out(), description());
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("the classes of its head"));
  const json config = json::parse(read(out() / "config.json"));
  EXPECT_EQ(config["id2label"], json::parse(R"({"0": "no", "1": "yes"})"));
  EXPECT_EQ(config["label2id"]["yes"], 1);
  EXPECT_EQ(config["architectures"][0], "BertForSequenceClassification");
}

TEST_F(OutputFilesTest, LinksOfTheHubsCacheAreFollowedButDevicesAreNot) {
  write(root_ / "blob", "{\"a\": 1}");
  fs::create_symlink(root_ / "blob", root_ / "base/tokenizer.json");
  fs::create_symlink("/dev/zero", root_ / "base/vocab.json");
  fs::create_symlink(root_ / "nowhere", root_ / "base/merges.txt");
  write_output_files(out(), description());
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(out() / "tokenizer.json")));
  EXPECT_EQ(read(out() / "tokenizer.json"), "{\"a\": 1}");
  EXPECT_FALSE(fs::exists(out() / "vocab.json"));
  EXPECT_FALSE(fs::exists(out() / "merges.txt"));
}

TEST_F(OutputFilesTest, FilesOfAbsurdSizeAreLeftOut) {
  write(root_ / "base/tokenizer.json", "{}");
  fs::resize_file(root_ / "base/tokenizer.json", 300'000'000);  // a hole, no disk
  write_output_files(out(), description());
  EXPECT_FALSE(fs::exists(out() / "tokenizer.json"));
}

TEST_F(OutputFilesTest, ChatTemplateGoesIntoTheTokenizerConfig) {
  write(root_ / "base/tokenizer_config.json", R"({"model_max_length": 5, "chat_template": "old"})");
  write(root_ / "base/chat_template.jinja", "old");
  fs::create_directory(root_ / "base/additional_chat_templates");
  write(root_ / "base/additional_chat_templates/rag.jinja", "old");
  write_output_files(out(), description("merge_method: linear\nmodels: [{model: a}]\n"
                                        "chat_template: \"{{ messages }}\"\n"));
  EXPECT_EQ(json::parse(read(out() / "tokenizer_config.json")),
            json::parse(R"({"model_max_length": 5, "chat_template": "{{ messages }}"})"));
  EXPECT_FALSE(fs::exists(out() / "chat_template.jinja"));
  EXPECT_FALSE(fs::exists(out() / "additional_chat_templates"));
}

TEST_F(OutputFilesTest, AutomaticChatTemplateIsTheMostCommon) {
  fs::create_directories(root_ / "third");
  write(root_ / "base/tokenizer_config.json", R"({"chat_template": "rare"})");
  write(root_ / "other/tokenizer_config.json", R"({"chat_template": "common"})");
  write(root_ / "third/chat_template.jinja", "common");
  OutputDescription output =
      description("merge_method: linear\nmodels: [{model: a}]\nchat_template: auto\n");
  output.models.push_back(root_ / "third");
  write_output_files(out(), output);
  EXPECT_EQ(json::parse(read(out() / "tokenizer_config.json"))["chat_template"], "common");
}

TEST_F(OutputFilesTest, ASingleFileHasOnlyCardAndRecipe) {
  write(root_ / "base/m.safetensors", "x");
  write(root_ / "base/tokenizer.json", "{}");
  OutputDescription output = description();
  output.reference = root_ / "base/m.safetensors";
  write_output_files(out(), output);
  EXPECT_EQ(std::distance(fs::directory_iterator(out()), {}), 2);
}

TEST_F(OutputFilesTest, BrokenConfigsAreNamed) {
  write(root_ / "base/config.json", "{");
  try {
    write_output_files(out(), description());
    FAIL();
  } catch (const InputError& thrown) {
    EXPECT_THAT(thrown.what(), HasSubstr("base/config.json: not valid JSON"));
  }
}

TEST_F(OutputFilesTest, CardHasFrontMatterModelsAndRecipe) {
  const std::string card = model_card(description(R"(
name: stage
merge_method: linear
models: [{model: /hub/models--org--good/snapshots/1a2b}, {model: ./x/a}]
---
name: My model
merge_method: slerp
base_model: dir/base/
models: [{model: stage}]
parameters: {t: 0.5}
)"));
  EXPECT_THAT(
      card, AllOf(HasSubstr("---\nbase_model:\n- \"org/good\"\n- \"a\"\n- \"base\"\n"),
                  HasSubstr("tags:\n- amalgam\n- merge\n---\n# My model\n"), HasSubstr("`linear`"),
                  HasSubstr("* `base` (base)\n"), HasSubstr("```yaml\nname: stage\n"),
                  HasSubstr("--seed 7"), Not(HasSubstr("library_name"))));
}

TEST_F(OutputFilesTest, CardFencesARecipeThatHoldsFences) {
  const std::string card = model_card(description(
      "merge_method: linear\nmodels: [{model: a}]\nchat_template: \"{{ x }} ``` ````\"\n"));
  EXPECT_THAT(card, HasSubstr("\n`````yaml\n"));
}

TEST(ModelDisplayName, IsWhatPeopleCallTheModel) {
  EXPECT_EQ(model_display_name("/a/b/model"), "model");
  EXPECT_EQ(model_display_name("/a/b/model/"), "model");
  EXPECT_EQ(model_display_name("m.safetensors"), "m.safetensors");
  EXPECT_EQ(model_display_name("/c/models--meta--llama--x/snapshots/f00"), "meta/llama--x");
}

}  // namespace
}  // namespace amalgam
