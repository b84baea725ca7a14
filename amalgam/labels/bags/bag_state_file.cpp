#include "amalgam/labels/bags/bag_state_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <type_traits>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/labels/column_file.hpp"

namespace amalgam::labels {
namespace {

constexpr const char* kFormat = "amalgam.labels.bags";
constexpr const char* kVersion = "1";

std::size_t fold_of(std::string_view bag, std::size_t folds) {
  return RandomStream(0, fmt::format("fold of bag {}", bag)).below(folds);
}

template <class T>
void append(std::vector<T>& all, const std::vector<T>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

void check_same_features(const BagStates& states, const BagStates& more, const std::string& first,
                         const std::string& second) {
  if (states.features.size() != more.features.size()) {
    throw InputError("{}: {} features, but {} has {}", second, more.features.size(), first,
                     states.features.size());
  }
  for (std::size_t j = 0; j < more.features.size(); ++j) {
    if (states.features[j] == more.features[j]) continue;
    throw InputError(
        "{}: feature {} is '{}', but in {} it is '{}'; expected the same in the same "
        "order (--features)",
        second, j + 1, printable(more.features[j]), first, printable(states.features[j]));
  }
}

// What a file has of each fold, one fold after the other.
struct FoldColumns {
  std::vector<std::uint64_t> rows;
  std::vector<std::uint64_t> bags;
  std::vector<double> response_means;
  std::vector<double> response_squares;
  std::vector<double> means;
  std::vector<double> between;
  std::vector<double> within;
  std::vector<double> cross;
};

// All columns: visit(name, type, column, dimensions of a fold's part, each as long as there are
// features).
template <class Columns, class Visit>
void for_each_column(Columns&& columns, Visit visit) {
  visit("rows", DType::u64, columns.rows, 0);
  visit("bags", DType::u64, columns.bags, 0);
  visit("response_mean", DType::f64, columns.response_means, 0);
  visit("response_square", DType::f64, columns.response_squares, 0);
  visit("mean", DType::f64, columns.means, 1);
  visit("between", DType::f64, columns.between, 2);
  visit("within", DType::f64, columns.within, 2);
  visit("cross", DType::f64, columns.cross, 1);
}

FoldColumns columns_of(const std::vector<LinearBagState>& folds) {
  FoldColumns columns;
  for (const LinearBagState& fold : folds) {
    columns.rows.push_back(fold.rows());
    columns.bags.push_back(fold.bags());
    columns.response_means.push_back(fold.response_mean());
    columns.response_squares.push_back(fold.response_square(true));
    append(columns.means, fold.mean());
    append(columns.between, fold.between(true));
    append(columns.within, fold.within());
    append(columns.cross, fold.cross(true));
  }
  return columns;
}

FoldColumns read_columns(const ColumnReader& reader, std::size_t features) {
  FoldColumns columns;
  for_each_column(columns, [&](const char* name, DType dtype, auto& column, int /*dimensions*/) {
    using T = typename std::remove_reference_t<decltype(column)>::value_type;
    column = reader.column<T>(name, dtype);
  });
  const std::size_t folds = columns.rows.size();
  reader.check(folds >= 1 && folds <= kMostBagFolds, "folds");
  for_each_column(columns,
                  [&](const char* name, DType /*dtype*/, const auto& column, int dimensions) {
                    std::size_t size = folds;
                    for (int i = 0; i < dimensions; ++i) size *= features;
                    reader.check(column.size() == size, name);
                  });
  return columns;
}

std::vector<double> part(const std::vector<double>& column, std::size_t fold, std::size_t folds) {
  const auto size = static_cast<std::ptrdiff_t>(column.size() / folds);
  const auto begin = column.begin() + static_cast<std::ptrdiff_t>(fold) * size;
  return {begin, begin + size};
}

std::vector<LinearBagState> states_of(const ColumnReader& reader, const FoldColumns& columns) {
  const std::size_t folds = columns.rows.size();
  std::vector<LinearBagState> states;
  for (std::size_t fold = 0; fold < folds; ++fold) {
    try {
      states.emplace_back(LinearBagMoments{.rows = columns.rows[fold],
                                           .bags = columns.bags[fold],
                                           .mean = part(columns.means, fold, folds),
                                           .response_mean = columns.response_means[fold],
                                           .between = part(columns.between, fold, folds),
                                           .within = part(columns.within, fold, folds),
                                           .cross = part(columns.cross, fold, folds),
                                           .response_square = columns.response_squares[fold]});
    } catch (const InputError& error) {
      reader.fail(error.what());
    }
  }
  return states;
}

std::uint64_t bag_count(const ColumnReader& reader, const FoldColumns& columns) {
  std::uint64_t sum = 0;
  for (const std::uint64_t bags : columns.bags) {
    reader.check(bags < std::uint64_t{1} << 40U, "bags");
    sum += bags;
  }
  return sum;
}

}  // namespace

LinearBagState BagStates::all() const {
  LinearBagState sum(features.size());
  for (const LinearBagState& fold : folds) sum.combine(LinearBagState(fold));
  return sum;
}

BagStates bag_states(const BagData& data, std::vector<std::string> features,
                     const StringPool& bag_names, std::size_t folds, const Parallel& parallel) {
  check_bag_data(data);
  if (features.size() != data.features || bag_names.size() != data.bags.count()) {
    throw InputError("{} names of {} features and {} of {} bags; expected as many", features.size(),
                     data.features, bag_names.size(), data.bags.count());
  }
  if (folds < 1 || folds > kMostBagFolds) {
    throw InputError("{} folds of bags; expected from 1 to {}", folds, kMostBagFolds);
  }
  std::vector<std::vector<std::size_t>> bags_of_fold(folds);
  BagStates states{.features = std::move(features), .folds = {}, .bags = {}};
  for (std::size_t bag = 0; bag < data.bags.count(); ++bag) {
    bags_of_fold[fold_of(bag_names[bag], folds)].push_back(bag);
    states.bags.push_back(fnv1a64(bag_names[bag]));
  }
  std::ranges::sort(states.bags);
  for (const std::vector<std::size_t>& bags : bags_of_fold) {
    states.folds.push_back(bags.empty() ? LinearBagState(data.features)
                                        : state_of_bags(select_bags(data, bags), parallel));
  }
  return states;
}

void combine_states(BagStates& states, BagStates&& more, const std::string& first,
                    const std::string& second) {
  check_same_features(states, more, first, second);
  if (states.folds.size() != more.folds.size()) {
    throw InputError("{}: {} folds, but {} has {}; expected the same (--folds)", second,
                     more.folds.size(), first, states.folds.size());
  }
  std::vector<std::uint64_t> both;
  std::ranges::set_intersection(states.bags, more.bags, std::back_inserter(both));
  if (!both.empty()) {
    throw InputError(
        "{}: {} of its bags are in {} too; expected bags with other names, for a bag may not be "
        "cut "
        "or counted twice",
        second, both.size(), first);
  }
  std::vector<std::uint64_t> bags;
  std::ranges::merge(states.bags, more.bags, std::back_inserter(bags));
  states.bags = std::move(bags);
  for (std::size_t fold = 0; fold < states.folds.size(); ++fold) {
    states.folds[fold].combine(std::move(more.folds[fold]));
  }
}

void write_bag_states(const std::filesystem::path& path, const BagStates& states) {
  StringPool names;
  for (const std::string& feature : states.features) names.add(feature);
  std::vector<Column> columns;
  add_names(columns, "features", names);
  columns.push_back(make_column("bag_names", DType::u64, states.bags));
  const auto add = [&](const char* name, DType dtype, const auto& values, int dimensions) {
    Shape shape(1 + static_cast<std::size_t>(dimensions), states.features.size());
    shape[0] = states.folds.size();
    columns.push_back(make_column(name, dtype, values, std::move(shape)));
  };
  for_each_column(columns_of(states.folds), add);
  write_column_file(path, {.columns = std::move(columns), .metadata = {{kFormat, kVersion}}});
}

BagStates read_bag_states(const std::filesystem::path& path) {
  const ColumnReader reader(path);
  if (!reader.has_text(kFormat) || reader.text(kFormat) != kVersion) {
    reader.fail(
        "it is no state of bags (of version 1); 'amalgam label bags fit --save-state' makes them");
  }
  BagStates states;
  const StringPool names = reader.names("features");
  reader.check(!names.empty() && names.size() <= kMostBagFeatures, "features");
  for (std::size_t j = 0; j < names.size(); ++j) states.features.emplace_back(names[j]);
  const FoldColumns columns = read_columns(reader, names.size());
  states.folds = states_of(reader, columns);
  states.bags = reader.column<std::uint64_t>("bag_names", DType::u64);
  reader.check(states.bags.size() == bag_count(reader, columns), "bags");
  reader.check(std::ranges::adjacent_find(states.bags, std::greater_equal<>()) == states.bags.end(),
               "names of bags");
  return states;
}

}  // namespace amalgam::labels
