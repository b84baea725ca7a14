#include "cli/adapter_vocabulary.hpp"

#include "amalgam/checkpoint/adapter.hpp"
#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/side_files.hpp"
#include "amalgam/checkpoint/tokenizer_files.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/weights/recipe_vocabulary.hpp"

namespace amalgam::cli {

void take_adapter_vocabulary(const std::string& base, const std::string& adapter,
                             const TensorSource& adapted, const std::filesystem::path& folder) {
  const std::filesystem::path model = without_adapters(base);
  if (!std::filesystem::is_directory(folder) || !std::filesystem::is_directory(model)) return;
  const std::filesystem::path tokenizer = tokenizer_folder({base, adapter});
  if (tokenizer != model) replace_tokenizer_files(tokenizer, folder);
  const auto rows = find_vocabulary_rows(adapted);
  if (!rows || rows == find_vocabulary_rows(*open_checkpoint(model))) return;
  set_config_vocabulary(folder, *rows);
  if (tokenizer != model) return;
  log::warn(
      "{}: gives the token embedding {} rows but has no tokenizer; copy that of its training into "
      "the output",
      adapter, *rows);
}

}  // namespace amalgam::cli
