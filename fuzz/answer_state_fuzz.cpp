#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/multilabel_state.hpp"
#include "amalgam/labels/pairwise/comparison_state.hpp"
#include "amalgam/labels/weak/fit_votes.hpp"
#include "fuzz/memory_file.hpp"

namespace {

using namespace amalgam::labels;

void read_comparisons(const ColumnReader& reader) {
  ComparisonState state(reader);
  const std::size_t before = state.table().rows.size();
  ComparisonBuilder builder;
  builder.add("a worker", "an item", state.table().item_names[0], true);
  const PairwiseFit fit = state.absorb(builder.finish());
  if (state.table().rows.size() != before + 1) std::abort();
  if (fit.scores.size() != state.table().item_names.size()) std::abort();
  state.columns();
}

void read_answers(const ColumnReader& reader) {
  MultilabelState state(reader);
  state.probabilities();
  const std::size_t before = state.answers().rows();
  const std::string label(state.answers().label_names[0]);
  const std::array<Triple, 2> added{{{"a task", "a worker", label}, {"a task", "another", "new"}}};
  AbsorbOptions options;
  options.max_sweeps = 2;
  state.absorb(make_table(added), options);
  if (state.answers().rows() != before + 2) std::abort();
  if (state.probabilities().items != state.answers().task_count()) std::abort();
  state.columns();
}

void read_votes(const ColumnReader& reader) {
  if (!is_vote_state(reader)) return;
  VoteState state(reader);
  const LabelState::Result result = state.result();
  const std::string label(result.table.label_names[0]);
  const std::array<Triple, 1> added{{{"a task", "a worker", label}}};
  AbsorbOptions options;
  options.max_sweeps = 2;
  state.absorb(make_table(added), options);
  if (state.votes().annotations() != result.table.rows() + 1) std::abort();
  state.columns();
}

}  // namespace

// Any bytes are refused or are a state of comparisons, of answers with several labels, or of votes,
// that takes in one more.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile file;
  file.set(data, size);
  for (const auto read : {read_comparisons, read_answers, read_votes}) {
    try {
      read(ColumnReader(file.path()));
    } catch (const amalgam::InputError&) {
    }
  }
  return 0;
}
