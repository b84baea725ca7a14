#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace amalgam {

/// What `adapter_config.json` of a PEFT folder says that the weights of the adapted model depend
/// on; see docs/adapters.md.
struct AdapterConfig {
  enum class Kind {
    lora,  ///< W + scale B A (Hu et al. 2021), with a magnitude per output DoRA (Liu et al. 2024)
    ia3,   ///< inputs or outputs of layers are rescaled (Liu et al. 2022)
  };
  Kind kind = Kind::lora;
  double alpha = 8;              ///< `lora_alpha`
  std::size_t rank = 8;          ///< `r`
  bool rank_stabilised = false;  ///< `use_rslora`: alpha / sqrt(r) instead of alpha / r
  bool dora = false;             ///< `use_dora`
  bool transposed = false;       ///< `fan_in_fan_out`: matrices are stored [inputs, outputs]
  /// Other ranks and alphas of modules whose name matches, see module_matches.
  std::vector<std::pair<std::string, double>> rank_pattern;
  std::vector<std::pair<std::string, double>> alpha_pattern;
  std::vector<std::string> modules_to_save;
  /// IA3: modules whose inputs are rescaled, by the end of their name; nothing if they are given as
  /// a regular expression.
  std::optional<std::vector<std::string>> feedforward_modules;
  std::string base_model;  ///< `base_model_name_or_path`; empty if unknown
  std::string task_type;   ///< empty if unknown

  /// The rank that a module has to have. InputError if patterns contradict each other.
  std::size_t rank_of(std::string_view module) const;
  /// What the product of a module of this rank is multiplied by.
  double scale_of(std::string_view module, std::size_t rank) const;
};

/// Reads an `adapter_config.json`. InputError naming `where` if it is not one, its `peft_type` is
/// not LORA or IA3, or it uses a variant of LoRA whose effect is not a change of weights, or that
/// changes the base model first (PiSSA, OLoRA and the like).
AdapterConfig parse_adapter_config(std::string_view text, std::string_view where);

/// The text of a LoRA's `adapter_config.json`, which PEFT reads. `targets` are the names of all
/// modules that it changes.
std::string format_adapter_config(const AdapterConfig& config,
                                  const std::vector<std::string>& targets);

/// Whether the key of a pattern matches a module as PEFT does: the whole name, or its end after a
/// dot, is matched by the regular expression `key`. Of these, letters, '.', '\.', '\d', '^', '$'
/// and
/// '*' and '+' after a character are known. InputError for others.
bool module_matches(std::string_view key, std::string_view module);

}  // namespace amalgam
