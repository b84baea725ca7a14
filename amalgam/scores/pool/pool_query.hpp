#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/scores/pool/sample_pool.hpp"

namespace amalgam::scores {

/// A condition on a sample: "field.op.value". Fields: dataset, name, tag, question, answer, or one
/// of the sample's own. A field with several values (tags, datasets) meets a condition if one of
/// them does, but `ne` if none is equal.
struct PoolFilter {
  enum class Op {
    equal,      ///< eq: the same number if both are numbers, else the same text
    not_equal,  ///< ne
    greater,    ///< gt: a number greater than `value`, which is one; also ge, lt, le
    greater_equal,
    less,
    less_equal,
    contains,  ///< contains: the text has `value` in it, ASCII letters in any case
    length,    ///< len: the text has as many characters; "len.ge.10" compares otherwise
  };
  std::string field;
  Op op = Op::equal;
  Op comparison = Op::equal;  ///< of lengths
  std::string value;
};

/// InputError saying what is wrong for a text that is no condition or longer than 4096 bytes. The
/// field ends at the first dot that an operator and a dot follow, so fields may have dots.
PoolFilter parse_pool_filter(std::string_view text);

bool matches(const PoolEntry& entry, const PoolFilter& filter);

/// A capability: which samples a ranking should be about.
struct PoolQuery {
  std::vector<PoolFilter> filters;  ///< all must be met; they come first
  std::string question;             ///< like this text; empty: not asked
  std::string answer;               ///< and the answer like this one
  /// Instead of `question`: its vector, of the same embedder as those in the pool; empty: none.
  std::vector<float> vector;
  std::string embedder;              ///< with `vector`: whose vectors of samples are compared
  std::size_t top = 0;               ///< the most similar so many; 0: all
  std::optional<double> similarity;  ///< only those of more than this cosine
};

struct SelectedSample {
  std::size_t entry = 0;  ///< of the entries
  double similarity = 0;  ///< of the question, else of the answer; 1 if neither is asked for
};

/// The samples that fit, the most similar first, of equally similar ones those that came first.
/// Questions and answers are chosen each by itself, of those that meet the filters, and samples
/// chosen for both remain. `embedder` makes the vectors of texts. InputError if no sample fits, or
/// for a vector without an embedder or of another size.
std::vector<SelectedSample> select_samples(const SamplePool& pool,
                                           std::span<const PoolEntry> entries,
                                           const PoolQuery& query,
                                           const language::TextEmbedder& embedder);

/// The mean over relevant items of the precision at their place in a list, relevant ones that are
/// not in the list counting 0: `relevant` [list], `count` >= 1 relevant ones in all.
double average_precision(std::span<const char> relevant, std::size_t count);

/// How well a query finds the samples that are about what it asks for.
struct QueryQuality {
  std::size_t relevant = 0;  ///< samples that it should find
  std::size_t selected = 0;  ///< that it found
  std::size_t found = 0;     ///< that it should and did
  /// average_precision() of the selection; NaN if no sample is relevant.
  double average_precision = 0;
};
/// Samples are relevant if they meet `relevant`; `selected` is the most similar first.
QueryQuality query_quality(std::span<const PoolEntry> entries,
                           std::span<const SelectedSample> selected, const PoolFilter& relevant);

}  // namespace amalgam::scores
