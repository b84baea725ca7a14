#pragma once

#include <span>
#include <string>
#include <vector>

#include "amalgam/labels/label_model.hpp"

/// Where methods that do not learn the class prior get it from.
namespace amalgam::labels::models {

/// The parameter "balance" with its default.
ParameterInfo balance_parameter(std::string default_value, std::string more_doc = "");

/// The class balance that `text` asks for: "uniform"; "votes" (each label's share of the votes);
/// "gold" (each label's share of the gold labels, with one more of each); or one positive number
/// per label in label order, separated by commas, which are divided by their sum. InputError for
/// anything else, another number of them, or "gold" without gold.
std::vector<double> class_balance(std::string_view method, std::string_view text,
                                  const AnnotationTable& table, const FitContext& context);

/// (n_k + 1) / (n + classes) of the gold labels.
std::vector<double> gold_balance(const GoldLabels& gold, std::size_t classes);

}  // namespace amalgam::labels::models
