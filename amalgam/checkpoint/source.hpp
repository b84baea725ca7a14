#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "amalgam/tensor/dtype.hpp"

namespace amalgam {

/// One tensor of a checkpoint: what the header says.
struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::uint64_t elements = 0;  ///< product of `shape`
  std::uint64_t bytes = 0;     ///< dtype_bytes(dtype, elements)
};

/// Makes a TensorInfo; InputError naming `where` if sizes overflow or do not fit whole blocks.
TensorInfo make_tensor_info(std::string name, DType dtype, Shape shape, std::string_view where);

/// A checkpoint to read: named tensors of known type and shape. Implementations are files, folders,
/// memory and lazily computed views of other sources. All reads are thread-safe, and ranges outside
/// a tensor are a programming error (Error); a file that has become shorter is an InputError naming
/// it.
class TensorSource {
 public:
  virtual ~TensorSource() = default;

  /// All tensors, sorted by name, names unique.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  /// The index in tensors() of `name`.
  std::optional<std::size_t> find(std::string_view name) const;
  /// What errors call this source: usually its path.
  const std::string& label() const { return label_; }
  /// Free-form key/value metadata of the container (safetensors `__metadata__`; "format" and such).
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// Reads out.size() raw little-endian bytes of tensor `tensor`, from byte `offset` of its
  /// row-major contents.
  virtual void read_bytes(std::size_t tensor, std::uint64_t offset,
                          std::span<std::byte> out) const = 0;

  /// Decodes elements [first, first + out.size()) of the row-major contents. For quantised types
  /// `first` is a multiple of 32, and the count too unless it reaches the end. The default reads
  /// bytes and decodes; computed sources override it.
  virtual void read(std::size_t tensor, std::uint64_t first, std::span<float> out) const;
  virtual void read(std::size_t tensor, std::uint64_t first, std::span<double> out) const;

  /// Hints that bytes [offset, offset + bytes) of `tensor` will be read soon (read-ahead).
  virtual void will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const;

  /// Tensors that share storage with another: names mapped to the name whose bytes they alias (tied
  /// embeddings in a PyTorch archive). Usually empty.
  virtual std::map<std::string, std::string> aliases() const { return {}; }

 protected:
  /// Called by constructors of implementations: sorts, indexes, and refuses duplicate names.
  void set_tensors(std::string label, std::vector<TensorInfo> tensors);
  void set_metadata(std::map<std::string, std::string> metadata) {
    metadata_ = std::move(metadata);
  }

 private:
  std::string label_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string_view, std::size_t> index_;  // views into tensors_
  std::map<std::string, std::string> metadata_;
};

}  // namespace amalgam
