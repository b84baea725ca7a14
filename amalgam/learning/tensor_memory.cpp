#include "amalgam/learning/tensor_memory.hpp"

#include <c10/core/CPUAllocator.h>

namespace amalgam::learning {
namespace {

// Memory from libtorch's own allocator.
class TensorMemory final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) const override {
    try {
      return own_->allocate(bytes);
    } catch (const c10::Error&) {
      throw NoTensorMemory(bytes);
    }
  }

  c10::DeleterFnPtr raw_deleter() const override { return own_->raw_deleter(); }

 private:
  c10::Allocator* own_ = c10::GetDefaultCPUAllocator();
};

}  // namespace

void report_lack_of_tensor_memory() {
  static TensorMemory memory;
  c10::SetCPUAllocator(&memory);
}

}  // namespace amalgam::learning
