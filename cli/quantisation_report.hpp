#pragma once

#include <string>
#include <vector>

#include "amalgam/checkpoint/quantisation_error.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {

/// {"rmse", "relative", "tensors": [{"tensor", "dtype", "elements", "rmse", "relative"}]}: what
/// quantising changed.
Json quantisation_as_json(const std::vector<QuantisationError>& errors);

/// The same as a table for people, a row per tensor.
std::string quantisation_table(const std::vector<QuantisationError>& errors);

/// "12 tensors quantised, 4.21 % off" for a line that ends a command; "" if there are none.
std::string quantisation_summary(const std::vector<QuantisationError>& errors);

}  // namespace amalgam::cli
