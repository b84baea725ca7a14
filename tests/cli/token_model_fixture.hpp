#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "tests/checkpoint/tensor_access.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {

/// Language models of a token embedding, a norm and a head, in folders, for tests of vocabularies.
/// The row of token number i is [first + i, -(first + i)] in the embedding, ten times that in the
/// head.
class TokenModelFixture : public ::testing::Test {
 protected:
  using Json = nlohmann::json;
  struct Model {
    std::vector<std::string> tokens;  ///< by number; "<...>" are added special tokens
    double first = 0;
    bool tied = false;        ///< without a head of its own
    bool tokenizer = true;    ///< whether the folder has tokenizer.json
    std::size_t padding = 0;  ///< rows beyond the tokens
  };

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  static Json tokenizer_json(const std::vector<std::string>& tokens) {
    Json vocabulary = Json::object();
    Json added = Json::array();
    for (std::size_t id = 0; id < tokens.size(); ++id) {
      vocabulary[tokens[id]] = id;
      if (tokens[id].starts_with("<")) {
        added.push_back({{"id", id}, {"content", tokens[id]}, {"special", true}});
      }
    }
    return {{"version", "1.0"},
            {"added_tokens", added},
            {"model", {{"type", "WordLevel"}, {"vocab", vocabulary}, {"unk_token", tokens[0]}}}};
  }

  static MemoryTensor rows(const std::string& name, std::size_t count, double first, double scale) {
    std::vector<double> values;
    for (std::size_t i = 0; i < count; ++i) {
      const double value = scale * (first + static_cast<double>(i));
      values.insert(values.end(), {value, -value});
    }
    return make_tensor(name, {count, 2}, values);
  }

  std::string write(const std::string& name, const Model& model) const {
    const std::size_t count = model.tokens.size() + model.padding;
    if (model.tokenizer) {
      folder_.write(name + "/tokenizer.json", tokenizer_json(model.tokens).dump());
      folder_.write(name + "/tokenizer_config.json", R"({"tokenizer_class": "Fast"})");
    }
    folder_.write(name + "/config.json", Json({{"model_type", "llama"},
                                               {"vocab_size", count},
                                               {"bos_token_id", model.tokens.size() - 1},
                                               {"tie_word_embeddings", model.tied}})
                                             .dump());
    std::vector<MemoryTensor> tensors = {rows("model.embed_tokens.weight", count, model.first, 1),
                                         make_tensor("model.norm.weight", {2}, {1, 1})};
    if (!model.tied) tensors.push_back(rows("lm_head.weight", count, model.first, 10));
    write_safetensors(folder_ / (name + "/model.safetensors"), tensors);
    return path(name);
  }

  std::string recipe(const std::string& yaml) const {
    return folder_.write("recipe.yml", yaml).string();
  }

  /// A mean of two models with weights 1 and 3, `more` being keys of the document.
  std::string mean(const std::string& a, const std::string& b, const std::string& more) const {
    return recipe("merge_method: linear\nmodels:\n- {model: " + a +
                  ", parameters: {weight: 1}}\n- {model: " + b + ", parameters: {weight: 3}}\n" +
                  more);
  }

  /// Merges into the folder "out".
  void merge(const std::string& recipe) const {
    const RunResult result = run_amalgam({"merge", recipe, "-o", path("out"), "--overwrite"});
    ASSERT_EQ(result.code, 0) << result.err;
  }

  /// The first number of every row.
  std::vector<double> column(const std::string& tensor) const {
    const std::vector<double> values = values_of(*open_checkpoint(path("out")), tensor);
    std::vector<double> first;
    for (std::size_t i = 0; i < values.size(); i += 2) first.push_back(values[i]);
    return first;
  }
  std::vector<double> embedding() const { return column("model.embed_tokens.weight"); }
  std::vector<double> head() const { return column("lm_head.weight"); }
  Json out_json(const std::string& name) const {
    return Json::parse(contents_of(folder_ / ("out/" + name)));
  }

  const TemporaryFolder folder_;
};

}  // namespace amalgam
