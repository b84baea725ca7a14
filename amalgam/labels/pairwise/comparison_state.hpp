#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/labels/pairwise/bradley_terry.hpp"
#include "amalgam/labels/state_rows.hpp"

namespace amalgam::labels {

/// Fits `bradley-terry` or `noisy-bradley-terry` with "name=value" parameters. `start`: the
/// scores of the items of `table` that bradley-terry goes on from (BradleyTerryOptions). InputError
/// as find_other_method, and for
/// parameters that do not fit.
PairwiseFit fit_comparisons(std::string_view method, const ComparisonTable& table,
                            std::span<const std::string> parameters,
                            std::span<const double> start = {});

/// Comparisons that take in more of them. Every update is a fit of all: bradley-terry's from the
/// scores that the items had, for it has one solution, which it converges to from anywhere up to
/// its tolerance; that of noisy-bradley-terry, which may have several, from the start, so that it
/// is the fit of everything at once to the bit.
class ComparisonState {
 public:
  /// Of no comparison yet. InputError as fit_comparisons.
  ComparisonState(std::string method, std::vector<std::string> parameters);
  /// InputError naming the file if it is no such state, or does not fit together.
  explicit ComparisonState(const ColumnReader& reader);

  /// Takes in comparisons, of which there must be some now or before. Items and workers may be new.
  PairwiseFit absorb(const ComparisonTable& added);

  const std::string& method() const { return head_.method; }
  const ComparisonTable& table() const { return table_; }
  ColumnSet columns() const;
  /// Writes the state as a safetensors file; it is there whole or not at all. As check_state_name.
  void save(const std::filesystem::path& path) const { write_column_file(path, columns()); }

 private:
  StateHead head_;
  ComparisonTable table_;
  std::vector<double> scores_;  // of table_, where fits go on; or empty
};

}  // namespace amalgam::labels
