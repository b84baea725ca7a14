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

/// Fits `bradley-terry` or `noisy-bradley-terry` with "name=value" parameters. `start`: where the
/// fit goes on from, of the items and workers of `table`. InputError as find_other_method, and for
/// parameters that do not fit.
PairwiseFit fit_comparisons(std::string_view method, const ComparisonTable& table,
                            std::span<const std::string> parameters,
                            const PairwisePoint* start = nullptr);

/// Comparisons and where their fit stands, which take in more of them: every update is a fit of all
/// from where the last one stood. bradley-terry has one solution, which it converges to from
/// anywhere up to its tolerance; the noisy model's likelihood may have several maxima, and an
/// update stays with the one that it is near.
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
  PairwisePoint known_of(const ComparisonTable& table) const;

  StateHead head_;
  ComparisonTable table_;
  PairwisePoint point_;  // of table_
};

}  // namespace amalgam::labels
