#pragma once

#include "amalgam/core/state_archive.hpp"

namespace amalgam {

/// What a Statistic is besides if its state can be sent to other processes, which then share the
/// passes over a unit. Those of rules with model scope are; see WorkShare.
class SentStatistic {
 public:
  virtual ~SentStatistic() = default;
  /// All that combine() and the rule's solve() look at, written to the archive or read from it.
  virtual void archive(StateArchive& archive) = 0;
};

}  // namespace amalgam
