#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "amalgam/checkpoint/source.hpp"
#include "amalgam/weights/recipe.hpp"

namespace amalgam {

/// Blocks of a diffusion model that follow each other.
struct BlockRun {
  std::string_view label;  ///< "IN": what people call them, with a number of two digits
  std::string_view stem;   ///< of tensor names before the number: "input_blocks."
  std::size_t count = 0;   ///< 0: one block without a number
  std::size_t size() const { return count == 0 ? 1 : count; }
};

/// The blocks of one architecture in the order of "merge block weighted": one number per block.
struct BlockLayout {
  std::string_view name;   ///< "sdxl", as `blocks` in recipes
  std::string_view model;  ///< for people
  std::span<const BlockRun> runs;

  std::size_t size() const;
  /// "IN00-IN08, M00, OUT00-OUT08".
  std::string labels() const;
  /// The block that a tensor belongs to, counted from 0; nothing for tensors outside the blocks.
  /// In a UNet the embeddings of time and class count to the first block and what comes after the
  /// output blocks to the last.
  std::optional<std::size_t> block_of(std::string_view tensor) const;
};

/// All layouts.
std::span<const BlockLayout> block_layouts();
/// Null if there is none of that name.
const BlockLayout* find_block_layout(std::string_view name);

/// What a list of block weights says for a tensor: the number of its block; outside the blocks the
/// first number if there is one more than blocks (BASE), else nothing.
std::optional<ParameterValue> block_weight(const BlockLayout& layout,
                                           std::span<const ParameterValue> values,
                                           std::string_view tensor);

/// InputError if an entry names blocks that are not known, or has another number of values than
/// they need, or values that are no numbers.
void check_block_list(const ParameterSetting::Entry& entry);

/// InputError naming recipe and line if a parameter of the recipe has weights for blocks that
/// `model` does not have, or `model` has more.
void check_block_weights(const Recipe& recipe, const TensorSource& model);

}  // namespace amalgam
