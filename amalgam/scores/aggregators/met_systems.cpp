#include "amalgam/scores/aggregators/met_systems.hpp"

#include <fmt/format.h>

#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam::scores::aggregators {

void MetSystems::leave_out_others(const StringPool& names, Ranking& ranking) const {
  constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();
  std::size_t left_out = 0;
  std::string first;
  for (std::size_t system = 0; system < met_.size(); ++system) {
    if (met_[system] != 0) continue;
    if (left_out++ == 0) first = printable(names[system]);
    ranking.scores[system] = kNothing;
    if (!ranking.raw.empty()) ranking.raw[system] = kNothing;
    for (auto& [name, column] : ranking.columns) column[system] = kNothing;
  }
  if (left_out == met_.size()) {
    throw InputError(
        "no two systems were compared with each other, so there is nothing to rank by");
  }
  if (left_out == 0) return;
  ranking.warnings.push_back(
      left_out == 1
          ? fmt::format("{} was never compared with another system and has no score", first)
          : fmt::format("{} systems were never compared with another one and have no score, such "
                        "as {}",
                        left_out, first));
}

}  // namespace amalgam::scores::aggregators
