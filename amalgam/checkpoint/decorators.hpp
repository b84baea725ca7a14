#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// What decorators hold: a source that outlives its views.
using SharedSource = std::shared_ptr<const TensorSource>;

/// Reads elements [first, first + out.size()) of a tensor even where they begin or end inside a
/// block of a quantised type.
void read_elements(const TensorSource& source, std::size_t tensor, std::uint64_t first,
                   std::span<float> out);
void read_elements(const TensorSource& source, std::size_t tensor, std::uint64_t first,
                   std::span<double> out);

/// Some tensors of a source under new names: slices of layers, renumbered layers, a sub-network.
class RenamedSource final : public TensorSource {
 public:
  struct Pick {
    std::string name;   ///< in this view
    std::string inner;  ///< in the inner source
  };
  /// An inner tensor may be picked several times. InputError if one does not exist or two picks
  /// have the same name. The label and metadata are the inner source's.
  RenamedSource(SharedSource inner, std::vector<Pick> picks);

  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<float> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<double> out) const override;
  void will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const override;
  std::map<std::string, std::string> aliases() const override;

 private:
  SharedSource inner_;
  std::vector<std::size_t> places_;  // inner index, in the order of tensors()
};

/// The task vector of a model: x - base for every floating-point tensor that both have, as F32 (F64
/// if either is F64), one subtraction in that type. Integer tensors, and those of only one of the
/// two, are left out.
class DifferenceSource final : public TensorSource {
 public:
  /// InputError naming both if a tensor's shapes differ.
  DifferenceSource(SharedSource model, SharedSource base);

  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<float> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<double> out) const override;
  void will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const override;

 private:
  SharedSource model_;
  SharedSource base_;
  std::vector<std::pair<std::size_t, std::size_t>> places_;  // in model and base
};

/// A source rounded to other element types: bytes are the encoding, values the encoding decoded
/// again.
class CastSource final : public TensorSource {
 public:
  /// The type a tensor is to have.
  using Choice = std::function<DType(const TensorInfo&)>;

  /// Every floating-point tensor becomes `dtype`; the others stay.
  CastSource(SharedSource inner, DType dtype);
  /// Every tensor becomes what `choose` says. InputError if a shape does not fit whole blocks.
  CastSource(SharedSource inner, const Choice& choose);

  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<float> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<double> out) const override;
  void will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const override;
  std::map<std::string, std::string> aliases() const override { return inner_->aliases(); }

 private:
  bool unchanged(std::size_t tensor) const;
  SharedSource inner_;
};

/// A source whose named 2-d tensors are cut to their first rows and columns (embeddings of
/// different vocabulary sizes); the others stay.
class SubmatrixSource final : public TensorSource {
 public:
  /// `shapes`: the shape to cut to, by name. InputError if a tensor does not exist, is not 2-d, or
  /// is smaller than its shape.
  SubmatrixSource(SharedSource inner, const std::map<std::string, Shape>& shapes);

  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<float> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<double> out) const override;
  void will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const override;
  std::map<std::string, std::string> aliases() const override;

 private:
  template <class T>
  void read_values(std::size_t tensor, std::uint64_t first, std::span<T> out) const;

  SharedSource inner_;
  std::vector<bool> cut_;  // whether the tensor has another shape than the inner one
};

}  // namespace amalgam
