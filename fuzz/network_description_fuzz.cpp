// Any text as the description of a network: either a clear InputError, or a description whose JSON
// reads back as the same, and whose architecture's sizes fit together.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <variant>
#include <vector>

#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/description/architecture_options.hpp"
#include "amalgam/description/encoding.hpp"

namespace {

using namespace amalgam::learning;

void require(bool holds) {
  if (!holds) std::abort();
}

bool are_sizes(const std::vector<std::int64_t>& values) {
  return std::all_of(values.begin(), values.end(), [](std::int64_t value) { return value >= 1; });
}

void check(const NetworkDescription& description) {
  std::int64_t columns = 0;
  for (const Head& head : description.heads) {
    require(head.first == columns && head.classes >= 1);
    columns += head.classes;
  }
  require(description.heads.empty() || columns == description.classes());
  require(description.classes() >= 1 && are_sizes(description.input_shape));
  const std::size_t channels =
      description.takes_tokens() ? 0 : static_cast<std::size_t>(description.input_shape[0]);
  require(description.input_mean.size() == channels);
  require(description.input_deviation.size() == channels);
}

void check(const NetworkDescription& description, const CnnOptions& cnn) {
  require(!cnn.channels.empty() && are_sizes(cnn.channels) && cnn.kernel % 2 == 1);
  require(description.input_shape[1] >> cnn.channels.size() >= 1);
}
void check(const NetworkDescription&, const MlpOptions& mlp) { require(are_sizes(mlp.hidden)); }
void check(const NetworkDescription&, const ResnetOptions& resnet) {
  std::int64_t blocks = 0;
  for (const std::int64_t stage : resnet.blocks) blocks += stage;
  require(blocks >= 1 && static_cast<std::size_t>(blocks) == resnet.inner.size());
  require(resnet.widths.size() == resnet.blocks.size());
  require(are_sizes(resnet.blocks) && are_sizes(resnet.widths) && are_sizes(resnet.inner));
}
void check(const NetworkDescription& description, const VitOptions& vit) {
  require(are_sizes({vit.patch, vit.width, vit.depth, vit.heads, vit.mlp_ratio}));
  require(description.input_shape[1] % vit.patch == 0 && vit.width % vit.heads == 0);
}
void check(const NetworkDescription&, const DecoderOptions& decoder) {
  require(are_sizes({decoder.width, decoder.inner, decoder.layers, decoder.heads,
                     decoder.key_value_heads, decoder.head_width}));
  require(decoder.heads % decoder.key_value_heads == 0 && decoder.head_width % 2 == 0);
  require(decoder.epsilon > 0 && decoder.rotary.theta >= 1 && decoder.rotary.factor >= 1);
}

// What reads the examples' encoding; where one does, it writes the same again.
void check_encoding(const NetworkDescription& description) {
  try {
    const amalgam::TableLayout layout =
        parse_table_layout(description.input_encoding, description.class_names, "fuzz");
    require(to_json(parse_table_layout(to_json(layout), layout.class_names, "again")) ==
            to_json(layout));
  } catch (const amalgam::InputError&) {
  }
  try {
    const amalgam::TextTokens tokens = parse_text_tokens(description.input_encoding, "fuzz");
    require(to_json(parse_text_tokens(to_json(tokens), "again")) == to_json(tokens));
  } catch (const amalgam::InputError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const NetworkDescription description =
        parse_network_description(amalgam::parse_json(text, "fuzz"), "fuzz");
    check(description);
    const nlohmann::json json = to_json(description);
    require(to_json(parse_network_description(json, "again")) == json);
    check_encoding(description);
    std::visit([&](const auto& options) { check(description, options); },
               architecture_options(description, "fuzz"));
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
