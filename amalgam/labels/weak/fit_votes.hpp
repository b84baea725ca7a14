#pragma once

#include <span>
#include <string>
#include <string_view>

#include "amalgam/labels/label_model.hpp"

namespace amalgam::labels {

/// Fits a label model to a table of labelling functions' votes as fit_labels does, with a class
/// balance: a model with a parameter `balance` gets it, unless `parameters` have one, and every
/// item without a vote gets the balance itself. If no function votes on anything, all items get the
/// balance, with a warning. `balance` [labels] is positive; empty: the model's own prior, uniform
/// where nothing votes. InputError as fit_labels, and for a balance of another size or that is not
/// positive.
LabelFit fit_votes(std::string_view method, const AnnotationTable& table,
                   std::span<const double> balance, std::span<const std::string> parameters = {},
                   const FitContext& context = {});

}  // namespace amalgam::labels
