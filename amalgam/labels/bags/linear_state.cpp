#include "amalgam/labels/bags/linear_state.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/fold.hpp"

namespace amalgam::labels {
namespace {

constexpr std::size_t kLeafRows = 4096;
constexpr std::size_t kBlockRows = 256;

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// matrix += factor * left right^T, all of the same side.
void add_outer(std::vector<double>& matrix, double factor, std::span<const double> left,
               std::span<const double> right) {
  const std::size_t side = left.size();
  for (std::size_t i = 0; i < side; ++i) {
    const double scaled = factor * left[i];
    double* row = matrix.data() + i * side;
    for (std::size_t j = 0; j < side; ++j) row[j] += scaled * right[j];
  }
}

void add(std::vector<double>& sum, const std::vector<double>& more) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += more[i];
}

std::vector<double> minus(const std::vector<double>& left, const std::vector<double>& right) {
  std::vector<double> difference(left.size());
  for (std::size_t i = 0; i < left.size(); ++i) difference[i] = left[i] - right[i];
  return difference;
}

// The mean of two groups whose second one has the share `share` of all rows.
void move_mean(std::vector<double>& mean, const std::vector<double>& distance, double share) {
  for (std::size_t j = 0; j < mean.size(); ++j) mean[j] += share * distance[j];
}

// Rows that are added to a matrix as sum_i w_i x_i x_i^T, a block at a time.
class RowProducts {
 public:
  RowProducts(std::vector<double>& sum, std::size_t side)
      : sum_(sum.data(), static_cast<Eigen::Index>(side), static_cast<Eigen::Index>(side)),
        block_(static_cast<Eigen::Index>(kBlockRows), static_cast<Eigen::Index>(side)) {}

  double* next() {
    if (used_ == static_cast<Eigen::Index>(kBlockRows)) flush();
    return block_.data() + block_.cols() * used_++;
  }
  // Adds the last rows too.
  void flush() {
    if (used_ == 0) return;
    const auto rows = block_.topRows(used_);
    sum_.noalias() += rows.transpose() * rows;
    used_ = 0;
  }

 private:
  Eigen::Map<Matrix> sum_;
  Matrix block_;
  Eigen::Index used_ = 0;
};

void check_features(std::size_t expected, std::size_t found) {
  if (expected == found) return;
  throw InputError("a bag with {} features cannot be added to bags with {}", found, expected);
}

void check_finite(const std::vector<double>& values) {
  if (std::ranges::all_of(values, [](double value) { return std::isfinite(value); })) return;
  throw InputError("moments of bags with a number that is not finite");
}

}  // namespace

PartialBag::PartialBag(std::size_t features) : mean_(features), scatter_(features * features) {}

void PartialBag::absorb(std::span<const double> row) {
  check_features(mean_.size(), row.size());
  ++rows_;
  std::vector<double> before(row.size());
  std::vector<double> after(row.size());
  for (std::size_t j = 0; j < row.size(); ++j) {
    before[j] = row[j] - mean_[j];
    mean_[j] += before[j] / static_cast<double>(rows_);
    after[j] = row[j] - mean_[j];
  }
  add_outer(scatter_, 1, before, after);
}

void PartialBag::combine(PartialBag&& right) {
  check_features(mean_.size(), right.mean_.size());
  if (right.rows_ == 0) return;
  const auto left_rows = static_cast<double>(rows_);
  const auto right_rows = static_cast<double>(right.rows_);
  const double share = right_rows / (left_rows + right_rows);
  const std::vector<double> distance = minus(right.mean_, mean_);
  add(scatter_, right.scatter_);
  add_outer(scatter_, left_rows * share, distance, distance);
  move_mean(mean_, distance, share);
  rows_ += right.rows_;
}

LinearBagState::LinearBagState(std::size_t features)
    : mean_(features),
      between_(features * features),
      within_(features * features),
      cross_(features) {}

LinearBagState::LinearBagState(LinearBagMoments moments)
    : rows_(moments.rows),
      bags_(moments.bags),
      mean_(std::move(moments.mean)),
      response_mean_(moments.response_mean),
      between_(std::move(moments.between)),
      within_(std::move(moments.within)),
      cross_(std::move(moments.cross)),
      response_square_(moments.response_square) {
  const std::size_t side = mean_.size();
  if (between_.size() != side * side || within_.size() != side * side || cross_.size() != side) {
    throw InputError("moments of bags with {} features do not fit together", side);
  }
  if (rows_ < bags_ || (bags_ == 0) != (rows_ == 0)) {
    throw InputError("moments of {} rows in {} bags; expected at least one row in each bag", rows_,
                     bags_);
  }
  for (const std::vector<double>* values : {&mean_, &between_, &within_, &cross_}) {
    check_finite(*values);
  }
  check_finite(std::vector<double>{response_mean_, response_square_});
  bool negative = response_square_ < 0;
  for (std::size_t j = 0; j < side; ++j) {
    negative = negative || between_[j * side + j] < 0 || within_[j * side + j] < 0;
  }
  if (negative) throw InputError("moments of bags with a negative sum of squares");
}

void LinearBagState::absorb(const PartialBag& bag, double response) {
  check_features(features(), bag.mean().size());
  if (bag.rows() == 0) throw InputError("a bag has no rows; expected at least one");
  if (!std::isfinite(response)) {
    throw InputError("the response of a bag is {}; expected a finite number", response);
  }
  LinearBagState one(features());
  one.rows_ = bag.rows();
  one.bags_ = 1;
  one.mean_ = bag.mean();
  one.response_mean_ = response;
  one.within_ = bag.scatter();
  combine(std::move(one));
}

void LinearBagState::combine(LinearBagState&& right) {
  check_features(features(), right.features());
  if (right.rows_ == 0) return;
  if (rows_ == 0) {
    *this = std::move(right);
    return;
  }
  const auto left_rows = static_cast<double>(rows_);
  const auto right_rows = static_cast<double>(right.rows_);
  const double share = right_rows / (left_rows + right_rows);
  const std::vector<double> distance = minus(right.mean_, mean_);
  const double response_distance = right.response_mean_ - response_mean_;
  add(within_, right.within_);
  add(between_, right.between_);
  add_outer(between_, left_rows * share, distance, distance);
  for (std::size_t j = 0; j < features(); ++j) {
    cross_[j] += right.cross_[j] + left_rows * share * distance[j] * response_distance;
  }
  response_square_ +=
      right.response_square_ + left_rows * share * response_distance * response_distance;
  move_mean(mean_, distance, share);
  response_mean_ += share * response_distance;
  rows_ += right.rows_;
  bags_ += right.bags_;
}

std::vector<double> LinearBagState::between(bool centred) const {
  std::vector<double> matrix = between_;
  if (!centred) add_outer(matrix, static_cast<double>(rows_), mean_, mean_);
  return matrix;
}

std::vector<double> LinearBagState::cross(bool centred) const {
  std::vector<double> vector = cross_;
  if (centred) return vector;
  for (std::size_t j = 0; j < features(); ++j) {
    vector[j] += static_cast<double>(rows_) * mean_[j] * response_mean_;
  }
  return vector;
}

double LinearBagState::response_square(bool centred) const {
  return centred ? response_square_
                 : response_square_ + static_cast<double>(rows_) * response_mean_ * response_mean_;
}

// Two passes over a range of bags: means first, then scatters about them.
class BlockState {
 public:
  BlockState(const BagData& data, std::size_t first, std::size_t last)
      : data_(data), first_(first), last_(last), side_(data.features), state_(data.features) {}

  LinearBagState make() {
    add_means();
    RowProducts between(state_.between_, side_);
    RowProducts within(state_.within_, side_);
    for (std::size_t bag = first_; bag < last_; ++bag) {
      const auto size = static_cast<double>(data_.bags.size(bag));
      const double* mean = bag_means_.data() + (bag - first_) * side_;
      const double response = data_.responses[bag] - state_.response_mean_;
      double* scaled = between.next();
      for (std::size_t j = 0; j < side_; ++j) {
        const double distance = mean[j] - state_.mean_[j];
        scaled[j] = std::sqrt(size) * distance;
        state_.cross_[j] += size * distance * response;
      }
      state_.response_square_ += size * response * response;
      // A bag of one row has no scatter, not even by rounding.
      if (data_.bags.size(bag) > 1) add_scatter(bag, mean, within);
    }
    between.flush();
    within.flush();
    return std::move(state_);
  }

 private:
  void add_means() {
    bag_means_.resize((last_ - first_) * side_);
    for (std::size_t bag = first_; bag < last_; ++bag) {
      double* mean = bag_means_.data() + (bag - first_) * side_;
      const auto size = static_cast<double>(data_.bags.size(bag));
      for (const std::size_t row : data_.bags.rows_of(bag)) {
        const std::span<const double> values = data_.row(row);
        for (std::size_t j = 0; j < side_; ++j) mean[j] += values[j];
      }
      for (std::size_t j = 0; j < side_; ++j) {
        state_.mean_[j] += mean[j];
        mean[j] /= size;
      }
      state_.response_mean_ += size * data_.responses[bag];
      state_.rows_ += data_.bags.size(bag);
      ++state_.bags_;
    }
    for (double& value : state_.mean_) value /= static_cast<double>(state_.rows_);
    state_.response_mean_ /= static_cast<double>(state_.rows_);
  }

  void add_scatter(std::size_t bag, const double* mean, RowProducts& within) const {
    for (const std::size_t row : data_.bags.rows_of(bag)) {
      const std::span<const double> values = data_.row(row);
      double* distance = within.next();
      for (std::size_t j = 0; j < side_; ++j) distance[j] = values[j] - mean[j];
    }
  }

  const BagData& data_;
  std::size_t first_;
  std::size_t last_;
  std::size_t side_;
  LinearBagState state_;
  std::vector<double> bag_means_;
};

LinearBagState state_of_range(const BagData& data, std::size_t first, std::size_t last) {
  if (first >= last) return LinearBagState(data.features);
  return BlockState(data, first, last).make();
}

LinearBagState state_of_bags(const BagData& data, const Parallel& parallel) {
  check_bag_data(data);
  std::vector<std::size_t> leaves{0};
  for (std::size_t bag = 0; bag < data.bags.count(); ++bag) {
    const bool full = data.bags.begins[bag + 1] - data.bags.begins[leaves.back()] >= kLeafRows;
    if (full || bag + 1 == data.bags.count()) leaves.push_back(bag + 1);
  }
  std::optional<LinearBagState> all =
      fold(parallel, leaves.size() - 1, [&](std::size_t leaf, std::size_t) {
        return state_of_range(data, leaves[leaf], leaves[leaf + 1]);
      });
  return all ? std::move(*all) : LinearBagState(data.features);
}

LinearBagState state_of_bags(const BagData& data, std::span<const std::size_t> bags) {
  if (bags.empty()) return LinearBagState(data.features);
  return state_of_bags(select_bags(data, bags));
}

}  // namespace amalgam::labels
