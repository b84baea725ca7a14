#pragma once

#include <gmock/gmock.h>

#include <string>
#include <string_view>
#include <vector>

#include "amalgam/labels/label_model.hpp"

namespace amalgam::labels {

/// Three workers on three tasks, small enough to be fitted by hand: 0,0,1; 1,1,1; 0,1,1.
inline AnnotationTable three_by_three() {
  return make_table(std::vector<Triple>{{"t0", "A", "0"},
                                        {"t0", "B", "0"},
                                        {"t0", "C", "1"},
                                        {"t1", "A", "1"},
                                        {"t1", "B", "1"},
                                        {"t1", "C", "1"},
                                        {"t2", "A", "0"},
                                        {"t2", "B", "1"},
                                        {"t2", "C", "1"}});
}

inline LabelFit fit_tiny(std::string_view method, const std::vector<std::string>& parameters = {},
                         const FitContext& context = {}) {
  return fit_labels(method, three_by_three(), parameters, context);
}

inline auto near(double value) { return ::testing::DoubleNear(value, 1e-6); }

}  // namespace amalgam::labels
