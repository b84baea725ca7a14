#include "amalgam/checkpoint/quantisation_error.hpp"

#include <cmath>

#include "amalgam/tensor/convert.hpp"
#include "amalgam/tensor/error_kernel.hpp"

namespace amalgam {

double QuantisationError::rmse() const {
  return elements == 0 ? 0 : std::sqrt(squared_error / static_cast<double>(elements));
}

double QuantisationError::relative() const {
  const double ratio = squared_error / squares;
  return squared_error <= 0 ? 0 : std::sqrt(ratio);
}

QuantisationError total_error(const std::vector<QuantisationError>& errors) {
  QuantisationError total;
  if (!errors.empty()) total.dtype = errors.front().dtype;
  for (const QuantisationError& one : errors) {
    total.elements += one.elements;
    total.squares += one.squares;
    total.squared_error += one.squared_error;
  }
  return total;
}

QuantisationMeter::QuantisationMeter(const std::vector<TensorInfo>& tensors,
                                     const std::vector<std::uint64_t>& pieces,
                                     const std::vector<std::size_t>& also)
    : pieces_(tensors.size()) {
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    names_.push_back(tensors[t].name);
    dtypes_.push_back(tensors[t].dtype);
    if (dtype_is_quantised(tensors[t].dtype)) pieces_[t].resize(pieces[t]);
  }
  for (const std::size_t t : also) pieces_[t].resize(pieces[t]);
}

template <class T>
void QuantisationMeter::add(std::size_t tensor, std::uint64_t piece, std::span<const T> values,
                            std::span<const std::byte> bytes, std::vector<T>& stored) {
  stored.resize(values.size());
  decode(dtypes_[tensor], bytes, std::span<T>(stored));
  add_decoded(tensor, piece, values, std::span<const T>(stored));
}

template <class T, class Stored>
void QuantisationMeter::add_decoded(std::size_t tensor, std::uint64_t piece,
                                    std::span<const T> values, std::span<const Stored> stored) {
  const kernels::ErrorSums found = kernels::error_sums(values, stored);
  Sums& sums = pieces_[tensor].at(piece);
  sums.elements += values.size();
  sums.squared_error += found.squared_error;
  sums.squares += found.squares;
}

template void QuantisationMeter::add(std::size_t, std::uint64_t, std::span<const float>,
                                     std::span<const std::byte>, std::vector<float>&);
template void QuantisationMeter::add(std::size_t, std::uint64_t, std::span<const double>,
                                     std::span<const std::byte>, std::vector<double>&);
template void QuantisationMeter::add_decoded(std::size_t, std::uint64_t, std::span<const float>,
                                             std::span<const float>);

std::vector<QuantisationError> QuantisationMeter::errors() const {
  std::vector<QuantisationError> errors;
  for (std::size_t t = 0; t < pieces_.size(); ++t) {
    QuantisationError error{names_[t], dtypes_[t]};
    for (const Sums& sums : pieces_[t]) {
      error.elements += sums.elements;
      error.squares += sums.squares;
      error.squared_error += sums.squared_error;
    }
    if (error.elements > 0) errors.push_back(std::move(error));
  }
  return errors;
}

}  // namespace amalgam
