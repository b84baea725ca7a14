#pragma once

#include <memory>
#include <string>
#include <vector>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/progress.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/weights/data_methods.hpp"
#include "amalgam/weights/learned/twin_network.hpp"
#include "cli/learning/merge_data.hpp"
#include "cli/merge_command.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {

/// A merge by a method that looks at data, with everything that the recipe says of it checked.
struct LearnedMerge {
  const MergeCommand& command;  ///< output and common options
  const Recipe& recipe;
  const RuleInfo& method;
  Parameters parameters;             ///< of the whole merge
  std::vector<std::size_t> models;   ///< the members, as numbers of the recipe's models
  std::vector<std::string> members;  ///< their paths
  std::string base;                  ///< the path of the base; empty: none
  MergeData data;

  std::uint64_t seed() const { return command.common.seed; }
};

/// The members of a merge, opened, and the network they hold.
struct OpenedMembers {
  std::vector<std::shared_ptr<const TensorSource>> sources;
  learning::NetworkDescription network;
};
/// InputError naming the file if the first does not say what network it holds.
OpenedMembers open_members(const std::vector<std::string>& members);

/// What methods that compute in memory start from.
struct Ingredients {
  std::shared_ptr<learning::Network> network;             ///< the first member
  std::vector<std::string> names;                         ///< paths of the members
  std::vector<learning::NamedTensors> members;            ///< none of a pool (frank_wolfe)
  std::vector<learning::NetworkDescription> kinds;        ///< of the members
  std::vector<std::shared_ptr<const TensorSource>> pool;  ///< which stays in its files
  learning::NamedTensors base;                            ///< empty without one
  Json left_out = Json::array();  ///< [{"file", "reason"}] of a pool's members that do not fit
};
/// Reads the members and the base. InputError naming the file and the tensor if one is of another
/// kind than the first or not finite; what of a pool (frank_wolfe) does not fit is left out with a
/// warning instead, unless the parameter `strict` is set.
Ingredients load_ingredients(const LearnedMerge& merge);

/// What they make, and what they tell of it with --json.
struct MergedNetwork {
  learning::NamedTensors state;
  learning::NetworkDescription description;
  Json details = Json::object();
};

/// The value of a parameter that is a whole number.
std::uint64_t count_of(const Parameters& parameters, const char* name);

/// Advances a progress bar by the steps that are announced, and stops on a signal.
class Steps {
 public:
  Steps(const LearnedMerge& merge, std::uint64_t total)
      : progress_(merge.method.name, total, Progress::Unit::items,
                  merge.command.common.progress_mode()) {}
  void operator()(std::uint64_t) {
    progress_.advance(1);
    check_interrupt();
  }

 private:
  Progress progress_;
};

/// One function per method, in the file of its kind.
MergedNetwork merge_by_learned_soup(LearnedMerge& merge, const Ingredients& from);
MergedNetwork merge_by_adamerging(LearnedMerge& merge, const Ingredients& ingredients);
MergedNetwork merge_by_frank_wolfe(LearnedMerge& merge, const Ingredients& from);
MergedNetwork merge_by_regmean(LearnedMerge& merge, const Ingredients& from);
MergedNetwork merge_by_pleas(LearnedMerge& merge, const Ingredients& from);
MergedNetwork merge_by_zipit(LearnedMerge& merge, const Ingredients& from);

/// The shared model, the modules and the router.
learned::TwinModel twins_of(LearnedMerge& merge, const Ingredients& from);
/// Writes a folder with the shared model, the modules and the router; see learned::save_twin.
Json merge_twins(LearnedMerge& merge, const Ingredients& from);

/// Estimates the statistics of BatchNorm, if the network has it, anew from all that `data` names,
/// and says so; without `data`, whose statistics are those of other weights, warns.
Json refresh_batch_norm(learning::Network& network, MergeData* data);

/// Greedy soups average files through the merge engine, into any kind of output; writes the result.
Json merge_greedily(LearnedMerge& merge);

/// Merges by a rule as the recipe says; its parameters may be searched by data and its result is
/// evaluated. Prints what it did.
void merge_by_rule(const MergeCommand& command, std::vector<Recipe> recipes);

}  // namespace amalgam::cli
