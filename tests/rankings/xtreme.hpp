#pragma once

#include "amalgam/scores/score_table.hpp"

namespace amalgam::scores {

/// The XTREME leaderboard as published: 15 systems, best to worst, on classification, structured
/// prediction, question answering and retrieval.
inline ScoreTable xtreme_leaderboard() {
  constexpr double kValues[] = {
      90.3, 81.7, 76.3, 93.7, 90.1, 81.4, 75.0, 94.2, 89.3, 75.5, 75.2, 92.4, 89.0, 76.7, 73.4,
      93.3, 88.3, 80.6, 71.9, 90.8, 88.4, 76.2, 72.5, 93.7, 87.9, 75.6, 72.3, 91.9, 89.0, 74.4,
      71.9, 92.6, 88.8, 75.4, 72.9, 89.3, 88.2, 74.6, 71.7, 89.0, 87.5, 71.9, 68.5, 84.4, 86.3,
      90.8, 59.7, 77.5, 83.9, 69.4, 67.2, 76.5, 75.0, 65.6, 43.9, 44.7, 75.3, 66.9, 52.5, 18.0};
  return make_score_table(kValues, 15, 4);
}

}  // namespace amalgam::scores
