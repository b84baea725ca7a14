#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/checkpoint/source.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/weights/data_methods.hpp"
#include "cli/learning/data_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {

/// A merge by a method that looks at data, as the command line asks for it.
struct LearnedMerge {
  std::vector<std::string> members;
  std::string output;
  std::string method;
  std::string base;
  std::vector<std::string> parameters;
  std::vector<std::string> tasks;  ///< what is changed in the images of each; empty: one task
  bool overwrite = false;
  DataOptions data;
  CommonOptions common;
};

/// The members of a merge, opened, and the network they hold.
struct OpenedMembers {
  std::vector<std::shared_ptr<const TensorSource>> sources;
  learning::NetworkDescription network;
};
/// InputError naming the file if the first does not say what network it holds.
OpenedMembers open_members(const LearnedMerge& command);

/// Carries out learned_soup, regmean, adamerging or frank_wolfe, writes the result and returns what
/// is printed with --json.
Json merge_by_coefficients(const LearnedMerge& command, const Recipe& recipe,
                           const Parameters& parameters);

}  // namespace amalgam::cli
