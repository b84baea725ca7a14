#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/report/plots.hpp"

namespace amalgam::cli {

/// One network (or ensemble) as `amalgam evaluate --json` judged it. Shares, not percent.
struct JudgedNetwork {
  std::string name;   ///< the file's stem in words, "ties"
  std::string group;  ///< the name of its folder: "members", "merges", "curve"; empty for ensembles
  std::uint64_t networks = 1;
  report::Estimate accuracy;
  report::Estimate nll;
  report::Estimate ece;
  std::optional<report::Estimate> difference;  ///< of accuracy, to the reference
  std::optional<double> alpha;                 ///< from "...-alpha-0.25"
};

/// What one run of `amalgam evaluate --json` printed.
struct JudgedSet {
  std::string data;
  std::string reference;  ///< name of the network that differences refer to
  std::uint64_t examples = 0;
  std::vector<JudgedNetwork> networks;
};

/// Reads such a file. InputError naming it if it is something else.
JudgedSet read_judged(const std::string& path);

/// One line of the greedy soup's trace, as `amalgam merge --method greedy_soup --json` printed it.
struct SoupStep {
  std::string member;
  double alone = 0;
  double score = 0;
  bool accepted = false;
};
std::vector<SoupStep> read_soup(const std::string& path);

/// The comparison of members and merges, in percent, as the README shows it.
report::DotPlot comparison_plot(const JudgedSet& test, const JudgedSet& shifted);

/// The figures as columns of text, for the terminal.
std::string comparison_table(const JudgedSet& test, const JudgedSet& shifted);

/// The whole page. `commands` is shown at its end.
std::string demo_page(const JudgedSet& test, const JudgedSet& shifted,
                      const std::vector<SoupStep>& soup, const std::string& commands);

}  // namespace amalgam::cli
