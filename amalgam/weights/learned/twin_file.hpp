#pragma once

#include <filesystem>
#include <memory>

#include "amalgam/weights/learned/twin_network.hpp"

namespace amalgam::learned {

/// The file of a twin folder that says what is in the others.
inline constexpr const char* kTwinManifest = "twin.json";

/// Whether `path` is a folder that save_twin made.
bool is_twin_folder(const std::filesystem::path& path);

/// Writes a folder that comes into place whole: `shared.safetensors` (a network like any other),
/// `module-<k>.safetensors` per task, `router.safetensors` if there is one, and `twin.json`, which
/// names tasks, routing, ranks and the hash of the shared model; modules and router carry that hash
/// too. InputError if the place is taken and `overwrite` is not set.
void save_twin(const std::filesystem::path& path, const TwinModel& model, bool overwrite);

/// Reads it back: the same logits bit for bit. InputError naming the file if something is missing,
/// damaged, or made for another shared model.
TwinModel load_twin(const std::filesystem::path& path);

/// What network is in a checkpoint or a twin folder, if it says so.
std::optional<learning::NetworkDescription> network_description_at(
    const std::filesystem::path& path);

/// A network from a checkpoint that names its architecture, or from a twin folder.
std::shared_ptr<learning::Network> load_network_or_twin(
    const std::filesystem::path& path,
    const std::optional<learning::NetworkDescription>& description = {});

}  // namespace amalgam::learned
