#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "amalgam/description/network_description.hpp"

namespace amalgam::learning {

/// The description of the network that Hugging Face's config.json states, for the `model_type`s
/// llama, mistral and qwen2: architecture `llama` with the options of decoder.cpp, reading
/// max_position_embeddings tokens of a vocabulary of vocab_size, which are bytes if there are 256.
/// InputError naming `where` and the
/// key for another type, for what the decoder does not compute (another activation, quantised
/// weights, a sliding window shorter than the context, other kinds of rope_scaling), and for values
/// that are missing or out of range.
NetworkDescription hugging_face_description(const nlohmann::json& config, const std::string& where);

/// That of the config.json in the folder `path`, or beside the file `path` if that has the name
/// that the weights of such a folder have (model.safetensors, pytorch_model.bin); nothing if there
/// is no such file.
std::optional<NetworkDescription> hugging_face_folder(const std::filesystem::path& path);

}  // namespace amalgam::learning
