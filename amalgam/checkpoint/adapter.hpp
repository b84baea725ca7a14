#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/checkpoint/adapter_config.hpp"
#include "amalgam/checkpoint/decorators.hpp"

namespace amalgam {

/// A product left * right [rows, columns] that is added to a weight: the factors of a LoRA as the
/// base stores the weight, row by row, with the scale of the LoRA in `left` or `right`.
template <class T>
struct LowRankFactors {
  std::size_t rank = 0;
  std::vector<T> left;   ///< [rows, rank]
  std::vector<T> right;  ///< [rank, columns]
};

/// What an adapter changes in one module of the base.
struct AdapterModule {
  std::string name;  ///< as in the base: "model.layers.0.self_attn.q_proj"
  // Tensors of the adapter, by index; LoRA has a and b, IA3 has vector.
  std::optional<std::size_t> a;          ///< [rank, inputs], or [rank, inputs, kernel...]
  std::optional<std::size_t> b;          ///< [outputs, rank], or [outputs, rank, 1...]
  std::optional<std::size_t> magnitude;  ///< DoRA: one per output
  std::optional<std::size_t> bias;       ///< added to the module's bias, times the scale
  std::optional<std::size_t> vector;     ///< IA3: one factor per input or output
  bool is_embedding = false;             ///< inputs are rows of the base
  std::uint64_t rank = 0;
  double scale = 1;  ///< alpha / rank
};

/// An opened PEFT adapter: LoRA (with DoRA, rsLoRA, embeddings, convolutions), or IA3.
struct Adapter {
  std::string label;  ///< its path, for errors
  AdapterConfig config;
  SharedSource tensors;
  std::vector<AdapterModule> modules;  ///< sorted by name
  /// Whole tensors that replace those of the base (modules_to_save, biases): the tensor of the
  /// adapter by the name in the base.
  std::map<std::string, std::size_t> saved;

  /// Whether the base stores the weight of `module` as [inputs, outputs].
  bool is_transposed(const AdapterModule& module) const {
    return module.is_embedding || config.transposed;
  }
  /// The shape of the base's weight that the factors of a LoRA module fit.
  Shape weight_shape(const AdapterModule& module) const;
  /// The factors of a LoRA module, the scale included (rounded once, from double to T).
  template <class T>
  LowRankFactors<T> factors(const AdapterModule& module) const;
};

/// Whether `path` is a folder with an `adapter_config.json`.
bool is_adapter_folder(const std::filesystem::path& path);
/// InputError that ends in `advice` if `path` is the folder of an adapter with no model in it: its
/// tensors are factors, and mean nothing without the base.
void refuse_lone_adapter(const std::filesystem::path& path, std::string_view advice);

/// Opens a PEFT folder: `adapter_config.json` beside `adapter_model.safetensors` (or `.bin`).
/// InputError naming the file for a configuration as parse_adapter_config, tensors that belong to
/// no known part of an adapter, factors that do not fit each other or the rank that the
/// configuration gives them, and missing ones.
Adapter open_adapter(const std::filesystem::path& folder);

/// The same of parts in memory.
Adapter make_adapter(SharedSource tensors, AdapterConfig config, std::string label);

/// "BASE+ADAPTER" as a path that does not exist itself: what comes before and after the last '+'.
/// Nothing if `path` exists or has no '+' with something on both sides.
struct AdaptedPath {
  std::filesystem::path base;  ///< may be such a path again
  std::filesystem::path adapter;
};
std::optional<AdaptedPath> split_adapted_path(const std::filesystem::path& path);
/// The folder or file of the base model: `path` without "+ADAPTER"s.
std::filesystem::path without_adapters(const std::filesystem::path& path);

/// `base` with `adapter` applied: a source in which the changed tensors are computed when they are
/// read, block by block; the same bits for whatever ranges. A tensor keeps its type, to which the
/// values are rounded once (values that are read are those that the bytes encode), but quantised
/// and F8 ones become F32, in which the change is not lost. The sum is computed in float, for F64
/// in double. Factors are held in memory only for the matrices that are being read. DoRA
/// reads a changed matrix once more, whole, for the norms of its outputs.
///
/// A tensor `x` of the adapter changes the base's tensor of that name, or of the name without its
/// first part ("transformer.h.0..." in "h.0..."), or the only one that ends in ".x". InputError
/// naming tensor, found and expected if there is none, or it does not have the shape that the
/// adapter was made for.
std::unique_ptr<TensorSource> apply_adapter(SharedSource base, Adapter adapter);

}  // namespace amalgam
