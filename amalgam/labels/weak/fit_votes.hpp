#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/labels/label_state.hpp"

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

/// A state of votes (LabelState) and the class balance that they were fitted with, which takes in
/// more votes: of new items, or of new functions on any.
class VoteState {
 public:
  /// Fits as fit_votes, and goes on until nothing changes by kSettled. InputError also if nothing
  /// votes.
  VoteState(std::string_view method, const AnnotationTable& table, std::span<const double> balance,
            std::span<const std::string> parameters, const FitContext& context);
  /// InputError naming the file if it is no such state, or does not fit together.
  explicit VoteState(const ColumnReader& reader);

  /// InputError as LabelState::absorb and check_new_answers.
  AbsorbReport absorb(const AnnotationTable& added, const AbsorbOptions& options = {});
  /// LabelState::refine until nothing changes by kSettled.
  RefineReport refine(const Parallel& parallel);
  /// What that was in the first fit.
  const RefineReport& settled() const { return settled_; }

  /// As LabelState::result; items without a vote have the balance, if there is one.
  LabelState::Result result(bool keep_evidence = false) const;

  const LabelState& votes() const { return *state_; }
  std::size_t classes() const { return classes_; }
  ColumnSet columns() const;
  /// Writes the state as a safetensors file; it is there whole or not at all. As check_state_name.
  void save(const std::filesystem::path& path) const { write_column_file(path, columns()); }

 private:
  std::unique_ptr<LabelState> state_;
  RefineReport settled_;
  std::size_t classes_ = 0;
  std::vector<double> balance_;  // [labels], sum 1; or empty
};

/// Whether the file is one of VoteState, for those who take the states of several commands.
bool is_vote_state(const ColumnReader& reader);

}  // namespace amalgam::labels
