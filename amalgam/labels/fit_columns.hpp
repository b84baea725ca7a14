#pragma once

#include <vector>

#include "amalgam/labels/column_file.hpp"
#include "amalgam/labels/label_model.hpp"

/// Fits in the columns of a file.
namespace amalgam::labels {

/// The fit's posterior, prior, skills, confusion, evidence, numbers by name, and point. What tells
/// of its making (trace, iterations, warnings) is not kept.
void add_fit(std::vector<Column>& columns, const LabelFit& fit);

/// What add_fit wrote of a fit of `table`. InputError naming the file unless shapes are those of
/// the table, and numbers finite, probabilities within [0, 1].
LabelFit read_fit(const ColumnReader& reader, const AnnotationTable& table);

}  // namespace amalgam::labels
