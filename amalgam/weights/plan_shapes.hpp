#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/weights/plan.hpp"

namespace amalgam {

/// What is to be merged into one tensor.
struct ShapeRequest {
  const RuleInfo& rule;
  std::string_view output;      ///< name of the output tensor
  bool in_layers = false;       ///< vocabularies are outside the layers
  bool allow_mismatch = false;  ///< leave members of another shape out
  std::vector<PlanInput> members;
  std::optional<PlanInput> base;  ///< only if the rule uses it
};

/// The same with one shape for all.
struct ShapeResult {
  Shape shape;
  std::vector<PlanInput> members;
  std::vector<std::size_t> kept;  ///< which of the requested members those are
  std::optional<PlanInput> base;
};

/// Makes the members of a tensor meet in one shape: that of the base, or else of the first member.
/// Where they differ:
///  - token embeddings and language model heads (2-d, outside the layers) are cut to the largest
///    common top-left submatrix if the rule says so (RuleInfo::common_submatrix);
///  - for other rules that use a base, such a member takes part with the rows and columns that the
///    base has too, and equals the base elsewhere;
///  - everything else is an InputError naming both files, or with `allow_mismatch` leaves the
///    member out.
/// Each of these but the error is a warning in the log. Views are appended to `sources`.
ShapeResult fit_shapes(const ShapeRequest& request,
                       std::vector<std::shared_ptr<const TensorSource>>& sources);

}  // namespace amalgam
