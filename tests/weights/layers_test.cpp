// The layers are found from names alone, in any architecture.
#include "amalgam/weights/layers.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "amalgam/weights/model_config.hpp"

namespace amalgam {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Names {
 public:
  Names& add(std::string name) {
    names_.push_back(std::move(name));
    return *this;
  }
  // "a.{}.b" for 0 ... count - 1.
  Names& add_each(const std::string& pattern, int count) {
    for (int i = 0; i < count; ++i) add(fmt::format(fmt::runtime(pattern), i));
    return *this;
  }
  Layers find(std::vector<std::size_t> stated = {}) const {
    const std::vector<std::string_view> views(names_.begin(), names_.end());
    return find_layers(views, stated);
  }

 private:
  std::vector<std::string> names_;
};

std::vector<std::string> prefixes(const Layers& layers) {
  std::vector<std::string> found;
  for (const LayerStack& stack : layers.stacks()) {
    found.push_back(fmt::format("{}:{}", stack.prefix, stack.count()));
  }
  return found;
}

TEST(Layers, AreFoundWithoutAListOfArchitectures) {
  EXPECT_THAT(prefixes(Names()
                           .add("model.embed_tokens.weight")
                           .add_each("model.layers.{}.mlp.up_proj.weight", 12)
                           .add_each("model.layers.{}.self_attn.q_proj.weight", 12)
                           .add("lm_head.weight")
                           .find()),
              ElementsAre("model.layers.:12"));
  EXPECT_THAT(prefixes(Names()
                           .add_each("transformer.h.{}.ln_1.weight", 3)
                           .add_each("transformer.h.{}.ln_1.bias", 3)
                           .find()),
              ElementsAre("transformer.h.:3"));
  EXPECT_THAT(
      prefixes(Names().add_each("blk.{}.attn_q.weight", 4).add_each("blk.{}.ffn.weight", 4).find()),
      ElementsAre("blk.:4"));
  EXPECT_THAT(prefixes(Names().add_each("enc/block/{}/w", 3).add_each("enc/block/{}/b", 3).find()),
              ElementsAre("enc/block/:3"));
}

TEST(Layers, OneLayerIsKnownByTheNameOfItsList) {
  Names one;
  one.add("model.embed_tokens.weight").add("model.layers.0.up.weight").add("model.layers.0.norm");
  EXPECT_THAT(prefixes(one.find()), ElementsAre("model.layers.:1"));
  EXPECT_EQ(one.find().locate("model.layers.0.norm")->rest, ".norm");
  // Experts in it are no layers.
  Names experts = one;
  experts.add_each("model.layers.0.mlp.experts.{}.w1.weight", 4)
      .add_each("model.layers.0.mlp.experts.{}.w2.weight", 4);
  EXPECT_THAT(prefixes(experts.find()), ElementsAre("model.layers.:1"));
  // Beside layers that are many, one is none of them.
  Names beside = one;
  beside.add_each("trunk.layers.{}.a.weight", 4).add_each("trunk.layers.{}.b.weight", 4);
  EXPECT_THAT(prefixes(beside.find()), ElementsAre("trunk.layers.:4"));
  // Two lists of one: which is meant?
  Names two = one;
  two.add("decoder.block.0.a.weight").add("decoder.block.0.b.weight");
  EXPECT_THAT(prefixes(two.find()), IsEmpty());
  EXPECT_THAT(prefixes(Names().add("head.0.weight").add("head.0.bias").find()), IsEmpty());
  EXPECT_THAT(prefixes(Names().add("layers.1.weight").add("layers.1.bias").find()), IsEmpty());
  EXPECT_THAT(prefixes(Names().add("layers.0.weight").find()), ElementsAre("layers.:1"));
}

TEST(Layers, OfExpertsAreTheOuterOnes) {
  Names names;
  for (int layer = 0; layer < 4; ++layer) {
    names.add_each("model.layers." + std::to_string(layer) + ".experts.{}.w1.weight", 8)
        .add_each("model.layers." + std::to_string(layer) + ".experts.{}.w2.weight", 8);
  }
  const Layers layers = names.find();
  EXPECT_THAT(prefixes(layers), ElementsAre("model.layers.:4"));
  const auto place = layers.locate("model.layers.3.experts.7.w1.weight");
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->number, 3U);
  EXPECT_EQ(place->rest, ".experts.7.w1.weight");
  // Also when as many experts as there are layers are stated.
  EXPECT_THAT(prefixes(names.find({4})), ElementsAre("model.layers.:4"));
}

TEST(Layers, OfEncoderAndDecoderStayApart) {
  const Names names = Names()
                          .add_each("encoder.block.{}.layer.0.q.weight", 6)
                          .add_each("encoder.block.{}.layer.1.wi.weight", 6)
                          .add_each("decoder.block.{}.layer.0.q.weight", 4)
                          .add_each("decoder.block.{}.layer.1.wi.weight", 4)
                          .add("shared.weight");
  const Layers layers = names.find();
  EXPECT_THAT(prefixes(layers), ElementsAre("decoder.block.:4", "encoder.block.:6"));
  EXPECT_EQ(layers.locate("encoder.block.3.layer.0.q.weight")->stack, 1U);
  EXPECT_EQ(layers.locate("decoder.block.3.layer.0.q.weight")->stack, 0U);
  EXPECT_FALSE(layers.locate("encoder.block.6.layer.0.q.weight").has_value());
  EXPECT_FALSE(layers.locate("shared.weight").has_value());
}

TEST(Layers, StatedCountsChooseAmongStacks) {
  const Names names = Names()
                          .add_each("vision.layers.{}.a", 5)
                          .add_each("vision.layers.{}.b", 5)
                          .add_each("text.layers.{}.a", 3)
                          .add_each("text.layers.{}.b", 3);
  EXPECT_THAT(prefixes(names.find({3})), ElementsAre("text.layers.:3"));
  EXPECT_THAT(prefixes(names.find({3, 5})), ElementsAre("text.layers.:3", "vision.layers.:5"));
  EXPECT_THAT(prefixes(names.find({7})), ElementsAre("text.layers.:3", "vision.layers.:5"));
}

TEST(Layers, OneLayerIsFoundIfTheConfigSaysSo) {
  const Names names = Names().add("model.stages.0.w").add("model.stages.0.b");
  EXPECT_THAT(names.find().stacks(), IsEmpty());
  EXPECT_THAT(prefixes(names.find({1})), ElementsAre("model.stages.:1"));
}

TEST(Layers, OfASmallProjectorBesidesBlocksAreNotTaken) {
  EXPECT_THAT(prefixes(Names()
                           .add_each("layers.{}.w", 4)
                           .add_each("layers.{}.b", 4)
                           .add("merger.mlp.0.weight")
                           .add("merger.mlp.2.weight")
                           .find()),
              ElementsAre("layers.:4"));
}

TEST(Layers, OfAPlainSequenceKeepTheirGaps) {
  const Layers layers = Names()
                            .add("0.weight")
                            .add("0.bias")
                            .add("2.weight")
                            .add("2.bias")
                            .add("5.weight")
                            .add("5.bias")
                            .find();
  EXPECT_THAT(prefixes(layers), ElementsAre(":3"));
  EXPECT_FALSE(layers.stacks()[0].contiguous());
  EXPECT_EQ(layers.stacks()[0].position(5), 2U);
  EXPECT_FALSE(layers.stacks()[0].position(1).has_value());
}

TEST(Layers, AWrapperThatNumbersUnlikePartsIsNotAStack) {
  EXPECT_THAT(prefixes(Names()
                           .add_each("0.model.layer.{}.w", 3)
                           .add_each("0.model.layer.{}.b", 3)
                           .add("1.linear.weight")
                           .add("1.linear.bias")
                           .find()),
              ElementsAre("0.model.layer.:3"));
}

TEST(Layers, AreNotSeenInWordsAndOddNumbers) {
  EXPECT_THAT(Names()
                  .add("layer1.weight")
                  .add("layer2.weight")
                  .add("a.01.w")
                  .add("a.02.w")
                  .add("v.99999999999999999999.w")
                  .add("tail.1")
                  .add("tail.2")
                  .find()
                  .stacks(),
              IsEmpty());
}

TEST(Layers, WordsTellWhatComesBefore) {
  for (const char* name : {"model.embed_tokens.weight", "transformer.wte.weight",
                           "transformer.wpe.weight", "token_embd.weight", "shared.weight",
                           "embeddings.LayerNorm.weight", "patch_embed.proj.weight"}) {
    EXPECT_TRUE(comes_before_layers(name)) << name;
  }
  for (const char* name : {"model.norm.weight", "lm_head.weight", "output.weight", "ln_f.weight",
                           "embed_out.weight", "pooler.dense.weight", "output_norm.weight"}) {
    EXPECT_FALSE(comes_before_layers(name)) << name;
  }
}

TEST(Layers, WordsTellVocabularies) {
  for (const char* name :
       {"model.embed_tokens.weight", "lm_head.weight", "token_embd.weight", "output.weight",
        "wte.weight", "shared.weight", "embed_out.weight", "embeddings.word_embeddings.weight"}) {
    EXPECT_TRUE(is_vocabulary_name(name)) << name;
  }
  for (const char* name : {"model.norm.weight", "classifier.weight", "embeddings.LayerNorm.weight",
                           "attention.output_proj.weight", "position_embeddings.weight"}) {
    EXPECT_FALSE(is_vocabulary_name(name)) << name;
  }
}

TEST(ModelConfig, ReadsLayerCountsAlsoOfSubNetworks) {
  const ModelConfig config = model_config(nlohmann::json::parse(
      R"({"num_hidden_layers": 32, "vision_config": {"depth": 24, "num_hidden_layers": -1},
          "n_layer": "x", "num_layers": 99999999999, "tie_word_embeddings": true, "vocab_size": 7})"));
  EXPECT_THAT(config.layer_counts, ::testing::UnorderedElementsAre(32, 24));
  EXPECT_TRUE(config.tied_embeddings);
  EXPECT_FALSE(model_config(nlohmann::json::parse("[1]")).tied_embeddings);
}

}  // namespace
}  // namespace amalgam
