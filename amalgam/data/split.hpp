#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace amalgam {

/// Parts of a data set, with the same meaning everywhere: `train` is learned from, `validation` is
/// for choosing between models, `test` for the final figures only. `all` is every example of a
/// table or text, for one that is a test set by itself.
///
/// Images come with an official test set, which is `test` in its order; `validation` is one twelfth
/// of the official training images, `train` the others. A table or a text is one file, of which
/// `test` is one sixth, `validation` one twelfth and `train` the others. The examples of a split of
/// images or of a table are drawn once for all (Philox stream "split", seed 0) and are in that
/// random order, so that any range of them is a random sample; a text is cut in its order: `train`,
/// `validation`, `test`.
enum class Split { train, validation, test, all };

/// "train", "validation", "test" or "all"; InputError naming the nearest otherwise.
Split parse_split(std::string_view text);
std::string_view split_name(Split split);

/// The rows of a split of a file of `count` rows (`all` in the file's order). InputError beginning
/// with `source` if there are too few for each split to have one.
std::vector<std::size_t> split_rows(std::size_t count, Split split, const std::string& source);

/// Where a split of a text of `count` tokens begins and how long it is. InputError as above.
std::pair<std::size_t, std::size_t> split_range(std::size_t count, Split split,
                                                const std::string& source);

}  // namespace amalgam
