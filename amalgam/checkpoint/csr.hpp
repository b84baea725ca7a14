#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "amalgam/checkpoint/source.hpp"

// Sparse matrices in compressed sparse rows, inside safetensors (docs/formats/csr.md).
namespace amalgam {

/// The metadata key that says which tensors are stored so: a JSON object of shapes by name.
inline constexpr const char* kCsrKey = "amalgam.csr";

struct CsrStatistics {
  std::uint64_t tensors = 0;   ///< that are stored as sparse rows
  std::uint64_t stored = 0;    ///< elements of these
  std::uint64_t elements = 0;  ///< of the same tensors, in full
  std::uint64_t bytes = 0;     ///< of all tensors of the file
};

/// Writes the tensors of `source` as a safetensors file at `path` (which must not exist). Sparse
/// rows are made of the tensors that `mask` names (a file that `amalgam train` wrote beside a
/// sparse network), with what the mask keeps, zeros included; without `mask`, of those with two
/// axes and more that get smaller by it, with all elements whose bits are not all 0. Others are
/// copied. Memory is that of the largest tensor. InputError if the mask is damaged, is of other
/// tensors, or an element outside it is not 0.
CsrStatistics write_csr(const TensorSource& source, const TensorSource* mask,
                        const std::filesystem::path& path);

/// `source` itself, or, if it holds sparse rows, a view of it in which these are whole tensors
/// again, made as they are read. InputError naming tensor and place for what is damaged, some of it
/// when it is read.
std::unique_ptr<TensorSource> expand_csr(std::unique_ptr<TensorSource> source);

}  // namespace amalgam
