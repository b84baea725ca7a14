#include "amalgam/description/network_description.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>

#include "amalgam/description/architecture_options.hpp"
#include "tests/error_of.hpp"

namespace amalgam::learning {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

json image_network(const std::string& architecture, const json& options = json::object()) {
  json result = options;
  result["architecture"] = architecture;
  result["input"] = {{"shape", {1, 28, 28}}};
  result["classes"] = 10;
  return result;
}

json decoder(const json& options = json::object()) {
  json result = options;
  result["architecture"] = "llama";
  result["input"] = {{"shape", {64}}};
  result["classes"] = 256;
  return result;
}

template <class Options>
Options options_of(const json& description) {
  return std::get<Options>(
      architecture_options(parse_network_description(description, "test"), "test"));
}

std::string refusal_of(const json& description) {
  return error_of(
      [&] { (void)architecture_options(parse_network_description(description, "file"), "file"); });
}

TEST(NetworkDescription, SurvivesJson) {
  for (const json& written : {image_network("cnn", {{"channels", {4}}}), decoder()}) {
    const NetworkDescription description = parse_network_description(written, "test");
    const json once = to_json(description);
    EXPECT_EQ(to_json(parse_network_description(once, "again")), once);
  }
}

TEST(NetworkDescription, FillsInWhatInputsLeaveOut) {
  const NetworkDescription images = parse_network_description(image_network("mlp"), "test");
  EXPECT_THAT(images.input_mean, ElementsAre(0));
  EXPECT_THAT(images.input_deviation, ElementsAre(1));
  EXPECT_EQ(images.class_names.front(), "0");
  EXPECT_EQ(images.classes(), 10);
  EXPECT_TRUE(parse_network_description(decoder(), "test").takes_tokens());
}

TEST(NetworkDescription, HeadsHaveNeighbouringColumns) {
  json written = image_network("mlp");
  written.erase("classes");
  written["heads"] = {{{"name", "left"}, {"classes", {"a", "b"}}},
                      {{"name", "right"}, {"classes", 3}}};
  const NetworkDescription description = parse_network_description(written, "test");
  EXPECT_EQ(description.head("right", "test").first, 2);
  EXPECT_EQ(description.head("right", "test").classes, 3);
  EXPECT_THAT(description.class_names, ElementsAre("a", "b", "0", "1", "2"));
  EXPECT_EQ(description.head("", "test").classes, 5);
  EXPECT_THAT(error_of([&] { (void)description.head("rigth", "file"); }),
              HasSubstr("file: no head 'rigth'; did you mean 'right'"));
}

TEST(NetworkDescription, RefusesInputsOfNoNetwork) {
  json written = image_network("mlp");
  const auto with_input = [&](const json& input) {
    written["input"] = input;
    return refusal_of(written);
  };
  EXPECT_THAT(with_input(nullptr), HasSubstr("input.shape"));
  EXPECT_THAT(with_input(7), HasSubstr("input is 7"));
  EXPECT_THAT(with_input({{"shape", {1, -4, 4}}}), HasSubstr("input.shape"));
  EXPECT_THAT(with_input({{"shape", {1, 4}}}), HasSubstr("input.shape"));
  EXPECT_THAT(with_input({{"shape", {1, 5000, 4}}}), HasSubstr("at most 4096"));
  EXPECT_THAT(with_input({{"shape", {1, 4, 4}}, {"deviation", {0}}}),
              HasSubstr("input.deviation is [0]"));
  EXPECT_THAT(with_input({{"shape", {2, 4, 4}}, {"mean", {0}}}), HasSubstr("input.mean"));
  EXPECT_THAT(with_input({{"shape", {16}}}), HasSubstr("mlp takes images"));
}

TEST(NetworkDescription, RefusesOutputsOfNoNetwork) {
  json written = image_network("mlp");
  const auto with = [&](const char* key, const json& value) {
    json changed = written;
    changed[key] = value;
    return refusal_of(changed);
  };
  EXPECT_THAT(with("classes", 0), HasSubstr("classes is 0"));
  EXPECT_THAT(with("classes", 1'000'001), HasSubstr("classes"));
  EXPECT_THAT(with("classes", json::array()), HasSubstr("classes"));
  EXPECT_THAT(with("heads", json::array()), HasSubstr("classes is 10; expected nothing"));
  written.erase("classes");
  EXPECT_THAT(with("heads", json::array()), HasSubstr("1 to 1000 heads"));
  EXPECT_THAT(with("heads", {{{"name", "a b"}, {"classes", 2}}}), HasSubstr("heads[0].name"));
  EXPECT_THAT(with("heads", {{{"name", "a"}, {"classes", 2}}, {{"name", "a"}, {"classes", 2}}}),
              HasSubstr("heads[1].name is \"a\"; expected another name"));
  EXPECT_THAT(
      with("heads", {{{"name", "a"}, {"classes", 900'000}}, {{"name", "b"}, {"classes", 900'000}}}),
      HasSubstr("more than 1000000 classes"));
}

TEST(ArchitectureOptions, OfAResnetFollowFromItsDepth) {
  const auto resnet = options_of<ResnetOptions>(image_network("resnet", {{"depth", 14}}));
  EXPECT_THAT(resnet.blocks, ElementsAre(2, 2, 2));
  EXPECT_THAT(resnet.widths, ElementsAre(16, 32, 64));
  EXPECT_THAT(resnet.inner, ElementsAre(16, 16, 32, 32, 64, 64));
}

// 8/3 of 64 is 170.7, and 176 the next multiple of 8; heads are 64 / 4 wide.
TEST(ArchitectureOptions, OfADecoderFollowFromItsWidth) {
  const auto options = options_of<DecoderOptions>(decoder());
  EXPECT_EQ(options.inner, 176);
  EXPECT_EQ(options.key_value_heads, 4);
  EXPECT_EQ(options.head_width, 16);
}

TEST(ArchitectureOptions, RefuseSizesThatDoNotFitTogether) {
  const auto images = [](const char* architecture, const json& options) {
    return refusal_of(image_network(architecture, options));
  };
  EXPECT_THAT(images("cnm", json::object()), HasSubstr("did you mean 'cnn'"));
  EXPECT_THAT(images("llama", json::object()), HasSubstr("llama takes tokens"));
  EXPECT_THAT(images("mlp", {{"hiden", {4}}}), HasSubstr("did you mean 'hidden'"));
  EXPECT_THAT(images("cnn", {{"channels", {4, 4, 4, 4, 4}}}), HasSubstr("channels"));
  EXPECT_THAT(images("cnn", {{"kernel", 4}}), HasSubstr("an odd number"));
  EXPECT_THAT(images("resnet", {{"depth", 9}}), HasSubstr("depth is 9"));
  EXPECT_THAT(images("resnet", {{"inner", {4}}}), HasSubstr("each of 3 blocks"));
  EXPECT_THAT(images("vit", {{"patch", 5}}), HasSubstr("patch is 5"));
  EXPECT_THAT(images("vit", {{"attention_heads", 7}}), HasSubstr("divides width"));
  EXPECT_THAT(refusal_of(decoder({{"num_key_value_heads", 3}})), HasSubstr("divides"));
  EXPECT_THAT(refusal_of(decoder({{"head_dim", 3}})), HasSubstr("even width"));
  EXPECT_THAT(refusal_of(decoder({{"rope_scaling", {{"rope_type", "yarn"}}}})),
              HasSubstr("rope_scaling.rope_type"));
}

}  // namespace
}  // namespace amalgam::learning
