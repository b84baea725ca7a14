#pragma once

#include <cstddef>
#include <new>

namespace amalgam::learning {

/// There is no memory for a tensor of `bytes`.
class NoTensorMemory : public std::bad_alloc {
 public:
  explicit NoTensorMemory(std::size_t bytes) : bytes_(bytes) {}
  const char* what() const noexcept override { return "no memory for a tensor"; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_;
};

/// From now on a tensor for which memory lacks raises NoTensorMemory, in the whole process.
/// libtorch itself raises a c10::Error of many lines, which is also what its other errors are.
void report_lack_of_tensor_memory();

}  // namespace amalgam::learning
