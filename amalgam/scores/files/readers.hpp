#pragma once

#include <string>
#include <vector>

#include "amalgam/scores/files/measurements.hpp"
#include "amalgam/scores/files/records.hpp"

/// Readers of tables.
namespace amalgam::scores {

/// The usual names of columns.
inline const std::vector<std::string> kSystemNames{"system", "model", "model_name", "name"};
inline const std::vector<std::string> kTaskNames{"task", "dataset", "benchmark"};
inline const std::vector<std::string> kInstanceNames{"instance", "instance_id", "sample_id",
                                                     "doc_id", "item"};
inline const std::vector<std::string> kScoreNames{"score", "value"};

void read_wide(Records& records, Measurements& into);
void read_long(Records& records, Measurements& into);
/// `arena`: votes with anony = false or dedup_tag.sampled = false are left out.
void read_battles(Records& records, bool arena, Measurements& into);

}  // namespace amalgam::scores
