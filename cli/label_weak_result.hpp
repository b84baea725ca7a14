#pragma once

#include <optional>
#include <string>

#include "amalgam/labels/annotation_files.hpp"
#include "amalgam/labels/weak/fit_votes.hpp"
#include "amalgam/labels/weak/function_analysis.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {

/// What `label weak` finds.
struct WeakResult {
  std::string method;
  labels::AnnotationTable table;
  std::optional<labels::GoldFile> gold;
  labels::MatrixAnalysis analysis;
  labels::LabelFit fit;
  labels::HardLabels hard;
  double seconds = 0;  ///< of the fit
  std::optional<labels::VoteState> state;
  std::optional<labels::AbsorbReport> report;  ///< of --from
};

/// Writes each function's coverage, overlap, conflict, classes and, with gold labels, accuracy.
void write_function_analysis(const std::string& path, const WeakResult& result);
/// The result for programs, and as lines for people.
Json weak_json(const WeakResult& result);
std::string weak_summary(const WeakResult& result);

}  // namespace amalgam::cli
