// Any text as an adapter_config.json: either a clear InputError, or a configuration that gives
// every module a rank and a positive scale, and that is read back from what is written of it.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "amalgam/checkpoint/adapter_config.hpp"
#include "amalgam/core/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const amalgam::AdapterConfig config = amalgam::parse_adapter_config(text, "fuzz");
    for (const char* module : {"model.layers.10.self_attn.q_proj", "score", ""}) {
      const std::size_t rank = config.rank_of(module);
      const double scale = config.scale_of(module, rank);
      if (rank == 0 || std::isnan(scale) || scale < 0) std::abort();
    }
    const auto back =
        amalgam::parse_adapter_config(amalgam::format_adapter_config(config, {"score"}), "written");
    if (config.kind == amalgam::AdapterConfig::Kind::lora && back.rank != config.rank) std::abort();
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
