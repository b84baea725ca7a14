#include "amalgam/labels/bags/bag_state_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
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

// The part of each column of the file that belongs to one fold.
class FoldReader {
 public:
  FoldReader(const ColumnReader& reader, std::size_t features)
      : reader_(reader),
        rows_(reader.column<std::uint64_t>("rows", DType::u64)),
        bags_(reader.column<std::uint64_t>("bags", DType::u64)),
        response_means_(numbers("response_mean")),
        response_squares_(numbers("response_square")),
        means_(numbers("mean")),
        between_(numbers("between")),
        within_(numbers("within")),
        cross_(numbers("cross")) {
    const std::size_t folds = rows_.size();
    reader.check(folds >= 1 && folds <= kMostBagFolds && bags_.size() == folds, "folds");
    reader.check(response_means_.size() == folds && response_squares_.size() == folds, "responses");
    reader.check(means_.size() == folds * features && cross_.size() == folds * features &&
                     between_.size() == folds * features * features &&
                     within_.size() == folds * features * features,
                 "features");
  }

  std::vector<LinearBagState> states() const {
    std::vector<LinearBagState> states;
    for (std::size_t fold = 0; fold < rows_.size(); ++fold) {
      try {
        states.emplace_back(LinearBagMoments{.rows = rows_[fold],
                                             .bags = bags_[fold],
                                             .mean = part(means_, fold),
                                             .response_mean = response_means_[fold],
                                             .between = part(between_, fold),
                                             .within = part(within_, fold),
                                             .cross = part(cross_, fold),
                                             .response_square = response_squares_[fold]});
      } catch (const InputError& error) {
        reader_.fail(error.what());
      }
    }
    return states;
  }

  std::uint64_t bag_count() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t bags : bags_) {
      reader_.check(bags < std::uint64_t{1} << 40U, "bags");
      sum += bags;
    }
    return sum;
  }

 private:
  std::vector<double> numbers(const char* name) const {
    return reader_.column<double>(name, DType::f64);
  }
  std::vector<double> part(const std::vector<double>& column, std::size_t fold) const {
    const auto size = static_cast<std::ptrdiff_t>(column.size() / rows_.size());
    const auto begin = column.begin() + static_cast<std::ptrdiff_t>(fold) * size;
    return {begin, begin + size};
  }

  const ColumnReader& reader_;
  std::vector<std::uint64_t> rows_;
  std::vector<std::uint64_t> bags_;
  std::vector<double> response_means_;
  std::vector<double> response_squares_;
  std::vector<double> means_;
  std::vector<double> between_;
  std::vector<double> within_;
  std::vector<double> cross_;
};

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
  const std::size_t folds = states.folds.size();
  const std::size_t features = states.features.size();
  std::vector<std::uint64_t> rows;
  std::vector<std::uint64_t> bags;
  std::vector<double> response_means;
  std::vector<double> response_squares;
  std::vector<double> means;
  std::vector<double> between;
  std::vector<double> within;
  std::vector<double> cross;
  for (const LinearBagState& fold : states.folds) {
    rows.push_back(fold.rows());
    bags.push_back(fold.bags());
    response_means.push_back(fold.response_mean());
    response_squares.push_back(fold.response_square(true));
    append(means, fold.mean());
    append(between, fold.between(true));
    append(within, fold.within());
    append(cross, fold.cross(true));
  }
  StringPool names;
  for (const std::string& feature : states.features) names.add(feature);
  std::vector<Column> columns;
  add_names(columns, "features", names);
  columns.push_back(make_column("bag_names", DType::u64, states.bags));
  columns.push_back(make_column("rows", DType::u64, rows));
  columns.push_back(make_column("bags", DType::u64, bags));
  columns.push_back(make_column("response_mean", DType::f64, response_means));
  columns.push_back(make_column("response_square", DType::f64, response_squares));
  columns.push_back(make_column("mean", DType::f64, means, Shape{folds, features}));
  columns.push_back(make_column("between", DType::f64, between, Shape{folds, features, features}));
  columns.push_back(make_column("within", DType::f64, within, Shape{folds, features, features}));
  columns.push_back(make_column("cross", DType::f64, cross, Shape{folds, features}));
  write_column_file(path, columns, {{kFormat, kVersion}});
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
  const FoldReader folds(reader, names.size());
  states.folds = folds.states();
  states.bags = reader.column<std::uint64_t>("bag_names", DType::u64);
  reader.check(states.bags.size() == folds.bag_count(), "bags");
  reader.check(std::ranges::adjacent_find(states.bags, std::greater_equal<>()) == states.bags.end(),
               "names of bags");
  return states;
}

}  // namespace amalgam::labels
