#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// What writing a tensor in a quantised type changed.
struct QuantisationError {
  std::string tensor;
  DType dtype = DType::q8_0;
  std::uint64_t elements = 0;  ///< that were written; fewer than the tensor's where a run went on
  double squares = 0;          ///< sum of squares of the values before
  double squared_error = 0;    ///< sum of squares of what they changed by

  /// Root of the mean squared error.
  double rmse() const;
  /// The error's root of squares over that of the values; 0 for zeros that stay zeros.
  double relative() const;
};

/// The errors of all, as one: "" for the name; the type of the first.
QuantisationError total_error(const std::vector<QuantisationError>& errors);

/// Collects the errors of the quantised tensors among `tensors`, which are written in pieces by
/// several threads. The sums do not depend on the threads.
class QuantisationMeter {
 public:
  /// `pieces`: of each tensor, how many there are. `also`: indices of tensors that are measured
  /// besides those of quantised types.
  QuantisationMeter(const std::vector<TensorInfo>& tensors,
                    const std::vector<std::uint64_t>& pieces,
                    const std::vector<std::size_t>& also = {});

  bool measures(std::size_t tensor) const { return !pieces_[tensor].empty(); }

  /// Adds values of a piece and the bytes they became. Several calls for one piece come one after
  /// another, those for different pieces at any time. `stored` becomes the values that the bytes
  /// stand for.
  template <class T>
  void add(std::size_t tensor, std::uint64_t piece, std::span<const T> values,
           std::span<const std::byte> bytes, std::vector<T>& stored);

  /// The same where the values that the bytes stand for are known.
  template <class T, class Stored>
  void add_decoded(std::size_t tensor, std::uint64_t piece, std::span<const T> values,
                   std::span<const Stored> stored);

  /// By tensor, those of which something was written.
  std::vector<QuantisationError> errors() const;

 private:
  struct Sums {
    std::uint64_t elements = 0;
    double squares = 0;
    double squared_error = 0;
  };
  std::vector<std::string> names_;
  std::vector<DType> dtypes_;
  std::vector<std::vector<Sums>> pieces_;  // by tensor; none for those that are not quantised
};

}  // namespace amalgam
