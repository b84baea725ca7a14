#pragma once

#include "amalgam/labels/annotation_table.hpp"

namespace amalgam::labels {

/// The annotations of both tables, in one.
inline AnnotationTable joined(const AnnotationTable& first, const AnnotationTable& second) {
  AnnotationBuilder both;
  both.add(first);
  both.add(second);
  return both.finish("both");
}

}  // namespace amalgam::labels
