#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "amalgam/labels/annotation_table.hpp"

namespace amalgam::labels {

/// The votes of labelling functions, dense: what generated functions give, and the small cases.
struct VoteMatrix {
  std::size_t items = 0;
  std::size_t functions = 0;
  std::vector<Label> votes;  ///< [items, functions], a class or kNoLabel (abstains)

  VoteMatrix() = default;
  VoteMatrix(std::size_t item_count, std::size_t function_count)
      : items(item_count),
        functions(function_count),
        votes(item_count * function_count, kNoLabel) {}

  Label& at(std::size_t item, std::size_t function) { return votes[item * functions + function]; }
  Label at(std::size_t item, std::size_t function) const {
    return votes[item * functions + function];
  }
  /// Whether a function votes on the item.
  bool covered(std::size_t item) const;
};

/// The rows of `above`, then those of `below`. InputError if their functions are not as many.
VoteMatrix stacked(const VoteMatrix& above, const VoteMatrix& below);

/// The table of the votes: tasks, workers and labels are the numbers of items, functions and
/// classes. If all abstain it has no rows. InputError if a vote is not below `classes`, or there
/// are no items, functions or classes.
AnnotationTable table_of(const VoteMatrix& votes, std::size_t classes);

struct VoteMatrixOptions {
  /// Labels are the numbers below this, also those that nobody votes for; 0: up to the largest
  /// vote.
  std::size_t classes = 0;
  /// CSV: the column that holds the names of the items; without one, items are numbered from 0.
  std::string item_column = "task";
  std::uint64_t first_item = 0;  ///< the number of the first item, where they are numbered
};

/// Reads votes [items, functions] of labelling functions, -1 = abstain, from a .npy array of two
/// dimensions (integers, or floating point that holds whole numbers) or from a CSV file, one item
/// per row and one function per column, in memory of the order of the votes that are not
/// abstentions.
///
/// A CSV file whose first record is not all numbers has a header with the functions' names, else
/// functions are numbered from 0. An empty cell abstains.
///
/// InputError naming file, item and function: no items or no functions, a vote that is not a whole
/// number, below -1, or not below `classes`, a row with another number of cells; for a .npy file as
/// NpyReader; and if all abstain and `classes` is 0 (else the table has no rows).
AnnotationTable read_vote_matrix(const std::filesystem::path& path,
                                 const VoteMatrixOptions& options = {});

}  // namespace amalgam::labels
