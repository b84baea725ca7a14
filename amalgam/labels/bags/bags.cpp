#include "amalgam/labels/bags/bags.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/data/shuffle.hpp"

namespace amalgam::labels {
namespace {

void check_size(std::size_t size, std::size_t rows) {
  if (size < 1 || size > rows) {
    throw InputError("bags of {} rows cannot be made of {} rows; expected a size from 1 to {}",
                     size, rows, rows);
  }
}

void close_bag(Bags& bags) {
  std::sort(bags.rows.begin() + static_cast<std::ptrdiff_t>(bags.begins.back()), bags.rows.end());
  bags.begins.push_back(bags.rows.size());
}

// Cuts `order`, which has at least `size` rows, into bags of `size` rows or a few more.
void cut(std::span<const std::size_t> order, std::size_t size, Bags& bags) {
  const std::size_t count = order.size() / size;
  for (std::size_t bag = 0; bag < count; ++bag) {
    const std::size_t begin = order.size() * bag / count;
    const std::size_t end = order.size() * (bag + 1) / count;
    bags.rows.insert(bags.rows.end(), order.begin() + static_cast<std::ptrdiff_t>(begin),
                     order.begin() + static_cast<std::ptrdiff_t>(end));
    close_bag(bags);
  }
}

}  // namespace

std::size_t Bags::smallest() const {
  std::size_t least = count() == 0 ? 0 : size(0);
  for (std::size_t bag = 0; bag < count(); ++bag) least = std::min(least, size(bag));
  return least;
}

std::size_t Bags::largest() const {
  std::size_t most = 0;
  for (std::size_t bag = 0; bag < count(); ++bag) most = std::max(most, size(bag));
  return most;
}

std::vector<std::uint32_t> Bags::bag_of_row() const {
  std::vector<std::uint32_t> bag_of(row_count());
  for (std::size_t bag = 0; bag < count(); ++bag) {
    for (const std::size_t row : rows_of(bag)) bag_of[row] = static_cast<std::uint32_t>(bag);
  }
  return bag_of;
}

Bags bags_of(std::span<const std::uint32_t> bag_of_row, std::size_t count) {
  Bags bags;
  bags.begins.assign(count + 1, 0);
  for (std::size_t row = 0; row < bag_of_row.size(); ++row) {
    if (bag_of_row[row] >= count) {
      throw InputError("row {} is in bag {}, but there are {} bags", row, bag_of_row[row], count);
    }
    ++bags.begins[bag_of_row[row] + 1];
  }
  for (std::size_t bag = 0; bag < count; ++bag) {
    if (bags.begins[bag + 1] == 0) {
      throw InputError("bag {} has no rows; expected at least one", bag);
    }
    bags.begins[bag + 1] += bags.begins[bag];
  }
  bags.rows.resize(bag_of_row.size());
  std::vector<std::size_t> next(bags.begins.begin(), bags.begins.end() - 1);
  for (std::size_t row = 0; row < bag_of_row.size(); ++row) {
    bags.rows[next[bag_of_row[row]]++] = row;
  }
  return bags;
}

Bags single_rows(std::size_t rows) {
  Bags bags;
  for (std::size_t row = 0; row < rows; ++row) {
    bags.rows.push_back(row);
    bags.begins.push_back(row + 1);
  }
  return bags;
}

Bags random_bags(std::size_t rows, std::size_t size, std::uint64_t seed) {
  check_size(size, rows);
  Bags bags;
  cut(shuffled_indices(rows, seed, "bags"), size, bags);
  return bags;
}

Bags random_bags_within(std::span<const std::uint32_t> group_of_row, std::size_t size,
                        std::uint64_t seed) {
  check_size(size, group_of_row.size());
  std::uint32_t groups = 0;
  for (const std::uint32_t group : group_of_row) groups = std::max(groups, group + 1);
  std::vector<std::vector<std::size_t>> members(groups);
  for (const std::size_t row : shuffled_indices(group_of_row.size(), seed, "bags")) {
    members[group_of_row[row]].push_back(row);
  }
  Bags bags;
  std::vector<std::size_t> left_over;
  for (const auto& group : members) {
    if (group.size() >= size) {
      cut(group, size, bags);
    } else {
      left_over.insert(left_over.end(), group.begin(), group.end());
    }
  }
  if (left_over.size() >= size) {
    cut(left_over, size, bags);
  } else if (!left_over.empty()) {
    bags.begins.pop_back();
    bags.rows.insert(bags.rows.end(), left_over.begin(), left_over.end());
    close_bag(bags);
  }
  return bags;
}

std::vector<double> bag_means(const Bags& bags, std::span<const double> values) {
  if (values.size() != bags.row_count()) {
    throw InputError("{} values for {} rows in bags; expected one each", values.size(),
                     bags.row_count());
  }
  std::vector<double> means(bags.count());
  for (std::size_t bag = 0; bag < bags.count(); ++bag) {
    for (const std::size_t row : bags.rows_of(bag)) means[bag] += values[row];
    means[bag] /= static_cast<double>(bags.size(bag));
  }
  return means;
}

void check_bag_data(const BagData& data) {
  if (data.bags.count() == 0) throw InputError("there are no bags; expected at least one");
  if (data.features == 0 || data.features > kMostBagFeatures) {
    throw InputError("the rows have {} features; expected 1 to {}", data.features,
                     kMostBagFeatures);
  }
  if (data.x.size() / data.features != data.rows() || data.x.size() % data.features != 0) {
    throw InputError("{} values are no {} rows of {} features", data.x.size(), data.rows(),
                     data.features);
  }
  if (data.responses.size() != data.bags.count()) {
    throw InputError("{} responses for {} bags; expected one each", data.responses.size(),
                     data.bags.count());
  }
  for (std::size_t i = 0; i < data.x.size(); ++i) {
    if (std::isfinite(data.x[i])) continue;
    throw InputError("row {}, feature {} is {}; expected a finite number", i / data.features,
                     i % data.features, data.x[i]);
  }
  for (std::size_t bag = 0; bag < data.responses.size(); ++bag) {
    if (std::isfinite(data.responses[bag])) continue;
    throw InputError("the response of bag {} is {}; expected a finite number", bag,
                     data.responses[bag]);
  }
}

BagData select_bags(const BagData& data, std::span<const std::size_t> bags) {
  BagData selected{.features = data.features, .x = {}, .bags = {}, .responses = {}};
  for (const std::size_t bag : bags) {
    for (const std::size_t row : data.bags.rows_of(bag)) {
      const std::span<const double> values = data.row(row);
      selected.x.insert(selected.x.end(), values.begin(), values.end());
      selected.bags.rows.push_back(selected.bags.rows.size());
    }
    selected.bags.begins.push_back(selected.bags.rows.size());
    selected.responses.push_back(data.responses[bag]);
  }
  return selected;
}

std::vector<std::vector<std::size_t>> bag_folds(std::size_t bags, std::size_t folds,
                                                std::uint64_t seed) {
  if (folds < 2 || folds > bags) {
    throw InputError(
        "cross-validation in {} rounds does not fit {} bags; expected 2 rounds or more and a bag"
        " for each",
        folds, bags);
  }
  const std::vector<std::size_t> order = shuffled_indices(bags, seed, "bag folds");
  std::vector<std::vector<std::size_t>> held_out(folds);
  for (std::size_t i = 0; i < bags; ++i) held_out[i % folds].push_back(order[i]);
  for (auto& fold : held_out) std::sort(fold.begin(), fold.end());
  return held_out;
}

}  // namespace amalgam::labels
