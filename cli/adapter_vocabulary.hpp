#pragma once

#include <filesystem>
#include <string>

#include "amalgam/checkpoint/source.hpp"

namespace amalgam::cli {

/// Gives the output `folder` of an adapted model, which has the files of its base, the tokens that
/// the adapter added: the adapter's tokenizer files if it has some, and `vocab_size` in config.json
/// if the token embedding has other rows than the base's. A warning if there are such rows without
/// a tokenizer; nothing happens if output or base is a single file. `base` and `adapter` are paths
/// as given, the base possibly with adapters of its own.
void take_adapter_vocabulary(const std::string& base, const std::string& adapter,
                             const TensorSource& adapted, const std::filesystem::path& folder);

}  // namespace amalgam::cli
