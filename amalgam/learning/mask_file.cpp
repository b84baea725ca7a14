#include "amalgam/learning/mask_file.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/checkpoint/safetensors_sink.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam::learning {
namespace {

constexpr const char* kMaskKey = "amalgam.mask";

std::string hash_text(const PruningMask& mask) { return fmt::format("{:016x}", mask.hash()); }

PruningMask::Part read_part(const TensorSource& source, const std::string& name,
                            const std::vector<std::int64_t>& shape) {
  Shape sizes;
  for (const std::int64_t size : shape) {
    if (size < 0) throw InputError("{}: '{}' has a negative size", source.label(), name);
    sizes.push_back(static_cast<std::uint64_t>(size));
  }
  const std::uint64_t elements = element_count(sizes, name);
  const auto index = source.find(name);
  if (!index || source.tensors()[*index].dtype != DType::u8 ||
      source.tensors()[*index].elements != (elements + 7) / 8) {
    throw InputError("{}: '{}' is missing or not {} bits in U8", source.label(), name, elements);
  }
  std::vector<std::byte> bytes(source.tensors()[*index].elements);
  source.read_bytes(*index, 0, bytes);
  torch::Tensor kept = torch::empty(shape, torch::kBool);
  auto* bit = kept.data_ptr<bool>();
  for (std::size_t i = 0; i < elements; ++i) {
    bit[i] = (std::to_integer<unsigned>(bytes[i / 8]) >> (i % 8) & 1U) != 0;
  }
  return {name, kept};
}

}  // namespace

void save_mask(const std::filesystem::path& path, const PruningMask& mask, bool overwrite) {
  OutputTransaction output(path, {.overwrite = overwrite});
  std::vector<TensorInfo> infos;
  nlohmann::json parts = nlohmann::json::array();
  for (const PruningMask::Part& part : mask.parts()) {
    const std::uint64_t bytes = (static_cast<std::uint64_t>(part.kept.numel()) + 7) / 8;
    infos.push_back(make_tensor_info(part.name, DType::u8, {bytes}, path.string()));
    parts.push_back({part.name, part.kept.sizes().vec()});
  }
  const nlohmann::json json{{"hash", hash_text(mask)}, {"parts", std::move(parts)}};
  const auto sink =
      create_safetensors_file(output.work_path(), std::move(infos), {{kMaskKey, json.dump()}});
  for (std::size_t i = 0; i < sink->tensors().size(); ++i) {
    const torch::Tensor* kept = mask.find(sink->tensors()[i].name);
    if (kept == nullptr) throw Error("{}: no part '{}'", path.string(), sink->tensors()[i].name);
    const std::vector<std::uint8_t> bits = pack_bits(*kept);
    sink->write(i, 0, std::as_bytes(std::span(bits)));
  }
  sink->finish();
  output.commit();
}

PruningMask load_mask(const std::filesystem::path& path) {
  const auto source = open_checkpoint_file(path);
  const auto found = source->metadata().find(kMaskKey);
  if (found == source->metadata().end()) {
    throw InputError("{}: not a pruning mask (no '{}' in its metadata)", path.string(), kMaskKey);
  }
  try {
    const nlohmann::json json = parse_json(found->second, source->label());
    std::vector<PruningMask::Part> parts;
    for (const nlohmann::json& part : json.at("parts")) {
      if (!is_count_list(part.at(1))) {
        throw InputError("{}: a part of '{}' is {}; expected a name and a shape", path.string(),
                         kMaskKey, part.dump());
      }
      parts.push_back(read_part(*source, part.at(0).get<std::string>(),
                                part.at(1).get<std::vector<std::int64_t>>()));
    }
    PruningMask mask(std::move(parts));
    if (json.at("hash").get<std::string>() != hash_text(mask)) {
      throw InputError("{}: the mask has another hash than the file says", path.string());
    }
    return mask;
  } catch (const nlohmann::json::exception& error) {
    throw InputError("{}: its '{}' is damaged: {}", path.string(), kMaskKey, error.what());
  }
}

}  // namespace amalgam::learning
