#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "amalgam/core/string_pool.hpp"
#include "amalgam/labels/bags/linear_state.hpp"

namespace amalgam::labels {

/// What linear models need of some bags, instead of their rows: the states of disjoint parts of
/// them, so that rho and ridge can still be chosen by cross-validation on whole bags. Which part a
/// bag is in depends on its name alone: states of tables are the same parts as the state of all of
/// them in one table.
struct BagStates {
  std::vector<std::string> features;
  std::vector<LinearBagState> folds;  ///< of disjoint bags; some may have none
  /// FNV-1a of the bags' names, increasing: by this a bag is found that is in two states.
  std::vector<std::uint64_t> bags;

  /// The state of all bags.
  LinearBagState all() const;
};

inline constexpr std::size_t kMostBagFolds = 1000;

/// The states of the bags of `data`, whose names are `bag_names` [bags]. InputError as
/// check_bag_data, unless 1 <= folds <= kMostBagFolds, and if names are not as many as what they
/// name.
BagStates bag_states(const BagData& data, std::vector<std::string> features,
                     const StringPool& bag_names, std::size_t folds, const Parallel& parallel = {});

/// Adds the bags of `more` to `states`. InputError, and nothing changes, if they have other
/// features or another number of folds, or a bag is in both; `first` and `second` say in it where
/// they are from.
void combine_states(BagStates& states, BagStates&& more, const std::string& first,
                    const std::string& second);

/// Writes a safetensors file, which is there whole or not at all. As check_state_name.
void write_bag_states(const std::filesystem::path& path, const BagStates& states);

/// Reads what write_bag_states wrote. InputError naming the file if it is something else, or does
/// not fit together.
BagStates read_bag_states(const std::filesystem::path& path);

}  // namespace amalgam::labels
