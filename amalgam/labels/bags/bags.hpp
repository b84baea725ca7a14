#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// Learning from aggregate responses: rows whose own responses may not be seen come in bags, each
/// with the mean of its responses (Javanmard, Chen, Mirrokni, Badanidiyuru and Fu, ICLR 2024).
namespace amalgam::labels {

/// A partition of rows into bags, each with at least one row.
struct Bags {
  std::vector<std::size_t> begins{0};  ///< [bags + 1], where each bag begins in `rows`
  std::vector<std::size_t> rows;       ///< [rows], ascending within a bag

  std::size_t count() const { return begins.size() - 1; }
  std::size_t row_count() const { return rows.size(); }
  std::size_t size(std::size_t bag) const { return begins[bag + 1] - begins[bag]; }
  std::span<const std::size_t> rows_of(std::size_t bag) const {
    return {rows.data() + begins[bag], size(bag)};
  }
  std::size_t smallest() const;  ///< rows of the smallest bag; 0 if there is none
  std::size_t largest() const;

  /// The bag of each row, [rows].
  std::vector<std::uint32_t> bag_of_row() const;
};

/// The bags 0, ..., `count` - 1 that rows say they are in. InputError naming a bag without rows or
/// a row whose bag is >= `count`.
Bags bags_of(std::span<const std::uint32_t> bag_of_row, std::size_t count);

/// Every row in a bag of its own: responses that are not aggregated.
Bags single_rows(std::size_t rows);

/// Bag curation: `rows` rows in a random order (Philox stream "bags" of `seed`), cut into
/// floor(rows / size) bags of `size` rows; what is left over is given out one by one, so no bag is
/// smaller. InputError unless 1 <= size <= rows.
Bags random_bags(std::size_t rows, std::size_t size, std::uint64_t seed);

/// Bag curation within groups: random bags of at least `size` rows that are of one group, so that a
/// bag's rows are alike in what the groups stand for. Rows of groups with fewer than `size` rows
/// are put together first; if they are still fewer, they join the last bag. InputError as above.
Bags random_bags_within(std::span<const std::uint32_t> group_of_row, std::size_t size,
                        std::uint64_t seed);

/// The mean of `values` [rows] in each bag, [bags].
std::vector<double> bag_means(const Bags& bags, std::span<const double> values);

/// The most features that a linear model from bags takes: its state is two matrices of that side.
inline constexpr std::size_t kMostBagFeatures = 4096;

/// What is learned from: features of rows, and one response per bag.
struct BagData {
  std::size_t features = 0;
  std::vector<double> x;  ///< [rows, features]
  Bags bags;
  std::vector<double> responses;  ///< [bags], the mean response of each bag (or a noisy one)

  std::size_t rows() const { return bags.row_count(); }
  std::span<const double> row(std::size_t index) const {
    return {x.data() + index * features, features};
  }
};

/// InputError naming the place: no bag, no feature or too many, sizes that do not fit, or a value
/// that is not finite.
void check_bag_data(const BagData& data);

/// The data of some bags, whole, in the given order; rows are numbered anew.
BagData select_bags(const BagData& data, std::span<const std::size_t> bags);

/// Which bags are held out in each of `folds` rounds of cross-validation: a random partition of the
/// bags (Philox stream "bag folds" of `seed`), sizes differing by at most one. No bag is split.
/// InputError unless 2 <= folds <= bags.
std::vector<std::vector<std::size_t>> bag_folds(std::size_t bags, std::size_t folds,
                                                std::uint64_t seed);

}  // namespace amalgam::labels
