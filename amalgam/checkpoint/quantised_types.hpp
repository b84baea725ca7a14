#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// Which quantised types the matrices of a GGUF file get.
struct Quantisation {
  DType dtype = DType::q8_0;  ///< a quantised type that can be written
  /// Q3_K_M, Q4_K_M and Q5_K_M: the matrices that a language model's quality hangs on most (the
  /// head, attention values, the second of the feed-forward network) get more bits, in some layers
  /// or all.
  bool is_mixture = false;
};

/// Reads "q4_k", "Q8_0", "q4_k_m". Nothing if it is none that can be written.
std::optional<Quantisation> parse_quantisation(std::string_view name);
/// "Q4_K_M", as parse_quantisation reads it.
std::string quantisation_name(Quantisation quantisation);
/// "Q8_0 Q6_K ...": what can be written.
std::string_view writable_quantisations();

/// The type of every tensor of a GGUF file with a quantisation.
///
/// Quantised are matrices: tensors of two dimensions, and the stacked matrices of experts, of three
/// ("..._exps.weight"). All others keep F32, F16 or BF16 (F64 becomes F32, F8 becomes F16, in which
/// it is exact), integers stay. Where rows are no multiple of the type's block of 256, the matrix
/// gets a type with blocks of 32, as in llama.cpp: Q2_K, Q3_K and IQ4_XS give way to IQ4_NL, Q4_K
/// to Q5_0, Q5_K to Q5_1, Q6_K to Q8_0; where they are no multiple of 32 either, it stays as it is.
class QuantisedTypes {
 public:
  /// `tensors`: all of the file, of which names are enough (mixtures look at the number of layers,
  /// and whether there is a head).
  QuantisedTypes(Quantisation wanted, const std::vector<TensorInfo>& tensors);

  DType choose(const TensorInfo& info) const;

  /// The quantised type that a matrix gets if its rows fit the blocks.
  DType wanted_for(const TensorInfo& info) const;

 private:
  Quantisation wanted_;
  std::uint64_t layers_ = 0;
  bool has_head_ = false;
};

/// Warns of the matrices of `written`, all tensors of a file, that have another type than the
/// quantisation gives them because their rows do not fit blocks: by both types, number and name.
void warn_of_replaced_types(const std::string& label, Quantisation wanted,
                            const std::vector<TensorInfo>& written);

/// What a tensor that is not quantised has in GGUF: F32 for F64, F16 for F8, else its own type.
DType without_quantisation(DType dtype);

/// Whether a quantisation applies to a tensor at all.
bool is_matrix(const TensorInfo& info);

}  // namespace amalgam
