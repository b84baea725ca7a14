#include "amalgam/weights/moe/prompt_directions.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "amalgam/checkpoint/decorators.hpp"
#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/checkpoint/token_encoder.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t kLargestConfigFile = 64'000'000;
constexpr double kSmallestNorm = 1e-8;
// Two routers with a larger cosine choose nearly the same tokens.
constexpr double kNearlySame = 0.95;

// The text of the token that begins a sequence; empty if the tokenizer names none.
std::string beginning_of(const fs::path& folder) {
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    if (!names_file(folder / name)) continue;
    const json config =
        parse_json(read_text_file(folder / name, kLargestConfigFile), (folder / name).string());
    const json token = config.is_object() ? config.value("bos_token", json()) : json();
    if (token.is_string()) return token.get<std::string>();
    if (token.is_object() && token.value("content", json()).is_string()) {
      return token["content"].get<std::string>();
    }
    if (config.is_object() && config.contains("bos_token")) return {};
  }
  return {};
}

std::vector<double> normalised(std::vector<double> vector) {
  double square = 0;
  for (const double value : vector) square += value * value;
  const double norm = std::max(std::sqrt(square), kSmallestNorm);
  for (double& value : vector) value /= norm;
  return vector;
}

class PromptReader {
 public:
  PromptReader(const MoeRecipe& recipe, const GateModel& model)
      : recipe_(recipe),
        model_(model),
        tokenizer_(Tokenizer::read(model.folder)),
        encoder_(tokenizer_),
        beginning_(beginning_of(model.folder)) {
    const auto found = model.tensors.find("model.embed_tokens.weight");
    if (!found || model.tensors.tensors()[*found].shape.size() != 2 ||
        model.tensors.tensors()[*found].shape[1] != model.hidden) {
      throw InputError(
          "{}: no tensor 'model.embed_tokens.weight' of {} columns, which gates are "
          "made of",
          model.tensors.label(), model.hidden);
    }
    embedding_ = *found;
  }

  // Of one expert, for every layer that has a direction of its own.
  Directions directions(const MoeExpert& expert) const {
    const bool is_hidden = recipe_.gates == MoeRecipe::Gates::hidden;
    const auto mean = [&](const std::vector<std::string>& prompts) {
      return is_hidden ? mean_states(expert, prompts)
                       : Directions{normalised(mean_embedding(expert, prompts))};
    };
    Directions result = mean(expert.positive_prompts);
    if (!expert.negative_prompts.empty()) {
      const Directions negative = mean(expert.negative_prompts);
      for (std::size_t layer = 0; layer < result.size(); ++layer) {
        for (std::size_t i = 0; i < model_.hidden; ++i) result[layer][i] -= negative[layer][i];
      }
    }
    for (std::vector<double>& one : result) one = normalised(std::move(one));
    return result;
  }

 private:
  std::vector<std::size_t> encode(const MoeExpert& expert, const std::string& prompt) const {
    std::vector<std::size_t> tokens = encoder_.encode(beginning_ + prompt);
    const std::uint64_t rows = model_.tensors.tensors()[embedding_].shape[0];
    for (const std::size_t token : tokens) {
      if (token < rows) continue;
      throw InputError("{}: token {} ('{}') has no row in '{}', which has {}",
                       model_.tensors.label(), token, tokenizer_.token(token).value_or(""),
                       model_.tensors.tensors()[embedding_].name, rows);
    }
    if (tokens.empty()) {
      throw InputError("{}:{}: a prompt of '{}' has no tokens: '{}'", recipe_.label,
                       expert.line.number, expert.model.text(), printable(prompt));
    }
    return tokens;
  }

  std::vector<double> mean_embedding(const MoeExpert& expert,
                                     const std::vector<std::string>& prompts) const {
    std::vector<double> sum(model_.hidden);
    std::vector<double> row(model_.hidden);
    std::size_t count = 0;
    for (const std::string& prompt : prompts) {
      for (const std::size_t token : encode(expert, prompt)) {
        read_elements(model_.tensors, embedding_, token * model_.hidden, row);
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += row[i];
        ++count;
      }
    }
    for (double& value : sum) value /= static_cast<double>(count);
    return sum;
  }

  Directions mean_states(const MoeExpert& expert, const std::vector<std::string>& prompts) const {
    Directions sum(model_.layers, std::vector<double>(model_.hidden));
    for (const std::string& prompt : prompts) {
      const auto states = model_.states->last_states(encode(expert, prompt));
      if (states.size() != model_.layers || states.front().size() != model_.hidden) {
        throw Error("{}: {} hidden states for {} layers", model_.tensors.label(), states.size(),
                    model_.layers);
      }
      for (std::size_t layer = 0; layer < sum.size(); ++layer) {
        for (std::size_t i = 0; i < model_.hidden; ++i) {
          sum[layer][i] += states[layer][i] / static_cast<double>(prompts.size());
        }
      }
    }
    return sum;
  }

  const MoeRecipe& recipe_;
  const GateModel& model_;
  const Tokenizer tokenizer_;
  const TokenEncoder encoder_;
  const std::string beginning_;
  std::size_t embedding_ = 0;
};

// `directions`: of all experts in the layer in the middle.
void warn_of_equal(const MoeRecipe& recipe, const Directions& directions) {
  for (std::size_t i = 0; i < directions.size(); ++i) {
    for (std::size_t j = i + 1; j < directions.size(); ++j) {
      double cosine = 0;
      for (std::size_t k = 0; k < directions[i].size(); ++k) {
        cosine += directions[i][k] * directions[j][k];
      }
      if (cosine < kNearlySame) continue;
      log::warn(
          "{}: the prompts of experts {} and {} point nearly the same way (cosine {:.3f}), so the "
          "routers hardly tell them apart; choose texts that differ more, or add negative_prompts",
          recipe.label, i, j, cosine);
    }
  }
}

}  // namespace

std::vector<Directions> prompt_directions(const MoeRecipe& recipe,
                                          const std::vector<MoeExpert>& experts,
                                          const GateModel& model) {
  const PromptReader reader(recipe, model);
  std::vector<Directions> by_layer;
  for (const MoeExpert& expert : experts) {
    if (expert.positive_prompts.empty()) {
      throw InputError(
          "{}:{}: the shared expert '{}' has no 'positive_prompts', which gate_mode {} "
          "makes its gate of",
          recipe.label, expert.line.number, expert.model.text(), gates_name(recipe.gates));
    }
    Directions own = reader.directions(expert);
    by_layer.resize(own.size());
    for (std::size_t layer = 0; layer < own.size(); ++layer) {
      by_layer[layer].push_back(std::move(own[layer]));
    }
  }
  warn_of_equal(recipe, by_layer[by_layer.size() / 2]);
  return by_layer;
}

}  // namespace amalgam
