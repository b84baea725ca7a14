#include "amalgam/data/split.hpp"

#include <array>
#include <numeric>
#include <span>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/data/shuffle.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kTestShare = 6;
constexpr std::size_t kValidationShare = 12;
constexpr std::array kSplits{Split::train, Split::validation, Split::test, Split::all};

}  // namespace

Split parse_split(std::string_view text) {
  std::vector<std::string> names;
  for (const Split split : kSplits) {
    if (text == split_name(split)) return split;
    names.emplace_back(split_name(split));
  }
  throw InputError("no split '{}'{}; expected train, validation, test or all", text,
                   did_you_mean(text, names));
}

std::string_view split_name(Split split) {
  switch (split) {
    case Split::train:
      return "train";
    case Split::validation:
      return "validation";
    case Split::test:
      return "test";
    case Split::all:
      return "all";
  }
  return "";
}

std::pair<std::size_t, std::size_t> split_range(std::size_t count, Split split,
                                                const std::string& source) {
  const std::size_t test = count / kTestShare;
  const std::size_t validation = count / kValidationShare;
  const std::size_t train = count - test - validation;
  if (split == Split::all) {
    if (count == 0) throw InputError("{}: no examples", source);
    return {0, count};
  }
  if (validation == 0) {
    throw InputError(
        "{}: {} examples are too few to hold out a validation and a test split; expected at least"
        " {}",
        source, count, kValidationShare);
  }
  if (split == Split::train) return {0, train};
  if (split == Split::validation) return {train, validation};
  return {train + validation, test};
}

std::vector<std::size_t> split_rows(std::size_t count, Split split, const std::string& source) {
  const auto [begin, length] = split_range(count, split, source);
  std::vector<std::size_t> order(count);
  if (split == Split::all) {
    std::iota(order.begin(), order.end(), std::size_t{0});
    return order;
  }
  order = shuffled_indices(count, 0, "split");
  const std::span<const std::size_t> rows = std::span(order).subspan(begin, length);
  return {rows.begin(), rows.end()};
}

}  // namespace amalgam
