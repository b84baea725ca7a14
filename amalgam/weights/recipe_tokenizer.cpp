// read_tokenizer_keys: what a recipe says of vocabulary and chat template.
#include <algorithm>

#include "amalgam/weights/chat_templates.hpp"
#include "amalgam/weights/recipe_reader.hpp"

namespace amalgam {
namespace {

constexpr double kLargestNumber = 16'777'216;

class TokenizerReader {
 public:
  TokenizerReader(const NodeReader& reader, Recipe& recipe) : reader_(reader), recipe_(recipe) {}

  void read(const YamlNode& document) {
    const YamlNode* given = NodeReader::present(document, "tokenizer_source");
    const YamlNode* tokenizer = NodeReader::present(document, "tokenizer");
    if (given != nullptr && tokenizer != nullptr) {
      reader_.fail(*tokenizer, "'tokenizer' and 'tokenizer_source' exclude each other");
    }
    if (tokenizer != nullptr) {
      reader_.expect_map(*tokenizer, "'tokenizer'");
      reader_.check_keys(*tokenizer, "'tokenizer'", {"source", "tokens", "pad_to_multiple_of"});
      recipe_.tokenizer_source = "union";
      given = NodeReader::present(*tokenizer, "source");
      if (const YamlNode* tokens = NodeReader::present(*tokenizer, "tokens")) {
        reader_.expect_map(*tokens, "'tokens'");
        for (const auto& [name, node] : tokens->entries) read_token(name, *node);
      }
      if (const YamlNode* pad = NodeReader::present(*tokenizer, "pad_to_multiple_of")) {
        recipe_.pad_vocabulary = whole(*pad, "pad_to_multiple_of");
        if (recipe_.pad_vocabulary == 0) {
          reader_.fail(*pad, "'pad_to_multiple_of' is 0; expected at least 1");
        }
      }
    }
    if (given != nullptr) recipe_.tokenizer_source = source(*given);
    if (const YamlNode* chat = NodeReader::present(document, "chat_template")) {
      recipe_.chat_template = reader_.text(*chat, "chat_template");
      check_chat_template(*chat);
    }
  }

 private:
  // The base (or first) model itself is "base".
  std::string source(const YamlNode& node) const {
    std::string source = reader_.text(node, "tokenizer_source");
    if (source == "base" || source == "union") return source;
    const ModelReference model = parse_model_reference(source, reader_.where(node));
    check_model(node, model);
    return model == recipe_.reference() ? "base" : source;
  }

  void check_model(const YamlNode& node, const ModelReference& model) const {
    const std::vector<ModelReference> models = recipe_.all_models();
    if (std::find(models.begin(), models.end(), model) != models.end()) return;
    reader_.fail(node, fmt::format("'{}' is none of the recipe's models; expected one of them",
                                   model.text()));
  }

  std::uint64_t whole(const YamlNode& node, std::string_view what) const {
    const ParameterValue value = reader_.scalar(node, what);
    const double* number = std::get_if<double>(&value);
    if (number == nullptr || !(*number >= 0) || *number > kLargestNumber ||
        *number != static_cast<double>(static_cast<std::uint64_t>(*number))) {
      reader_.fail(node, fmt::format("'{}' is '{}'; expected a whole number of at most 2^24", what,
                                     node.text));
    }
    return static_cast<std::uint64_t>(*number);
  }

  void read_token(const std::string& name, const YamlNode& node) {
    RecipeToken token;
    token.token = name;
    token.line = {node.line};
    if (node.kind != YamlNode::Kind::null) {
      reader_.expect_map(node, fmt::format("token '{}'", name));
      reader_.check_keys(node, "a token", {"source", "force"});
      if (const YamlNode* from = NodeReader::present(node, "source")) read_source(*from, token);
      if (const YamlNode* force = NodeReader::present(node, "force")) {
        const ParameterValue value = reader_.scalar(*force, "force");
        const bool* flag = std::get_if<bool>(&value);
        if (flag == nullptr) reader_.fail(*force, "'force' is neither true nor false");
        token.force = *flag;
      }
      if (token.force && token.source == RecipeToken::Source::unsaid) {
        reader_.fail(node, fmt::format("token '{}' has 'force' without a 'source'", name));
      }
    }
    recipe_.tokens.push_back(std::move(token));
  }

  void read_source(const YamlNode& node, RecipeToken& token) const {
    if (node.kind == YamlNode::Kind::scalar) {
      token.source = RecipeToken::Source::model;
      token.model = parse_model_reference(reader_.text(node, "source"), reader_.where(node));
      check_model(node, token.model);
      return;
    }
    reader_.expect_map(node, "'source'");
    const YamlNode* kind = NodeReader::present(node, "kind");
    if (kind == nullptr) reader_.fail(node, "'source' has no 'kind'");
    const std::string named = reader_.text(*kind, "kind");
    if (named == "zero") {
      reader_.check_keys(node, "a source of kind 'zero'", {"kind"});
      token.source = RecipeToken::Source::zero;
      return;
    }
    if (named != "model_token") {
      reader_.fail(*kind, fmt::format("a source of kind '{}' is not known; expected 'zero' or "
                                      "'model_token'",
                                      named));
    }
    read_model_token(node, token);
  }

  void read_model_token(const YamlNode& node, RecipeToken& token) const {
    reader_.check_keys(node, "a source of kind 'model_token'",
                       {"kind", "model", "token", "token_id"});
    const YamlNode* model = NodeReader::present(node, "model");
    if (model == nullptr) reader_.fail(node, "a source of kind 'model_token' has no 'model'");
    token.model = parse_model_reference(reader_.text(*model, "model"), reader_.where(*model));
    check_model(*model, token.model);
    const YamlNode* text = NodeReader::present(node, "token");
    const YamlNode* id = NodeReader::present(node, "token_id");
    if ((text == nullptr) == (id == nullptr)) {
      reader_.fail(node, "expected exactly one of 'token' and 'token_id'");
    }
    if (text != nullptr) {
      token.source = RecipeToken::Source::model_token;
      token.model_token = reader_.text(*text, "token");
    } else {
      token.source = RecipeToken::Source::model_row;
      token.row = whole(*id, "token_id");
    }
  }

  void check_chat_template(const YamlNode& node) const {
    const std::string& given = recipe_.chat_template;
    if (given == "auto" || find_chat_template(given) != nullptr ||
        given.find("{{") != std::string::npos || given.find("{%") != std::string::npos) {
      return;
    }
    reader_.fail(node, fmt::format("chat template '{}' is not known; expected 'auto', {}, or the "
                                   "text of a Jinja template",
                                   given, join(chat_template_names(), ", ")));
  }

  const NodeReader& reader_;
  Recipe& recipe_;
};

}  // namespace

void read_tokenizer_keys(const NodeReader& reader, const YamlNode& document, Recipe& recipe) {
  TokenizerReader(reader, recipe).read(document);
}

}  // namespace amalgam
