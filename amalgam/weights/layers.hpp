#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace amalgam {

/// Layers that follow each other: the tensors named `<prefix><number>.<rest>`.
struct LayerStack {
  std::string prefix;                ///< with the separator: "model.layers."; may be empty
  std::vector<std::size_t> numbers;  ///< of the layers, ascending

  std::size_t count() const { return numbers.size(); }
  /// Whether the numbers are 0, 1, ..., count() - 1. Only such stacks can be sliced; a plain
  /// sequence of layers with activations between them has gaps.
  bool contiguous() const { return numbers.back() + 1 == numbers.size(); }
  /// The rank of a number among the layers.
  std::optional<std::size_t> position(std::size_t number) const;
};

/// Where a tensor stands.
struct LayerPlace {
  std::size_t stack = 0;
  std::size_t number = 0;  ///< as in the name
  std::size_t rank = 0;    ///< among the layers of the stack
  std::string_view rest;   ///< of the name, from the separator after the number
};

/// The numbered layers of a network, of any architecture.
class Layers {
 public:
  Layers() = default;
  explicit Layers(std::vector<LayerStack> stacks) : stacks_(std::move(stacks)) {}

  const std::vector<LayerStack>& stacks() const { return stacks_; }
  /// The place of a tensor; nothing if it is outside the layers. `rest` views into `name`.
  std::optional<LayerPlace> locate(std::string_view name) const;

 private:
  std::vector<LayerStack> stacks_;
};

/// Finds the layers from the names of all tensors and the layer counts that the config states
/// (num_hidden_layers and its relatives; may be empty).
///
/// Names are cut into components at '.' and '/'. A component that is a number makes what comes
/// before it a candidate prefix. A candidate inside a layer of a chosen one (experts in a layer) is
/// never chosen. Candidates are *blocks* if their numbers are 0, 1, ..., n - 1 with n >= 2, they
/// have at least two tensors per layer, and at least half of their tensors exist in another layer
/// too. Chosen are, the first kind that exists:
///   1. candidates with numbers 0, ..., n - 1 for a stated n; if some of them are blocks, only
///   those;
///   2. blocks;
///   3. candidates of at least two numbers, gaps allowed, at least half of whose tensors exist
///   under
///      another number too (a plain sequence of layers).
/// A list of one layer has no other layer to be told by. One with the number 0 alone, whose prefix
/// ends in what such lists are called ("layers", "layer", "h", "blocks", "block", "blk"), is chosen
/// instead of 2 and 3 if no second one is beside it and they are all inside it (experts), or if
/// there are none.
/// So an encoder and a decoder are two stacks, each with layers of its own.
Layers find_layers(std::span<const std::string_view> names,
                   std::span<const std::size_t> stated_counts = {});

/// Whether a tensor outside the layers belongs before them (token, position and patch embeddings
/// and what normalises them) rather than after them (final norm, heads), by the words in its name.
bool comes_before_layers(std::string_view name);

/// Whether the rows of a matrix of this name are one per token of the vocabulary: token embeddings
/// and language model heads, by the words in its name.
bool is_vocabulary_name(std::string_view name);
/// Of those, the ones after the layers (heads).
bool is_head_name(std::string_view name);

}  // namespace amalgam
