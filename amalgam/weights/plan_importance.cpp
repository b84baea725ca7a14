#include "amalgam/weights/plan_importance.hpp"

#include <vector>

#include "amalgam/core/error.hpp"

namespace amalgam {

std::optional<ImportanceMatrix> importance_of(const MergePlan& plan,
                                              const std::filesystem::path& file) {
  if (file.empty()) return std::nullopt;
  std::vector<TensorInfo> quantised;
  for (const PlanTensor& tensor : plan.tensors) {
    const bool is_made = tensor.action == PlanTensor::Action::merge;
    if (is_made && dtype_is_quantised(tensor.output.dtype)) quantised.push_back(tensor.output);
  }
  if (quantised.empty()) {
    throw InputError(
        "--imatrix: weighs the errors of quantising, but nothing of the output is quantised; "
        "expected a .gguf output with --dtype Q4_K or the like");
  }
  ImportanceMatrix matrix = ImportanceMatrix::read(file);
  matrix.check_suits(quantised);
  return matrix;
}

}  // namespace amalgam
