#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "amalgam/scores/pool/sample_pool.hpp"

namespace amalgam::scores {

/// What an import did.
struct PoolImport {
  std::uint64_t samples = 0;       ///< lines; samples that were there count too
  std::uint64_t measurements = 0;  ///< added
  std::uint64_t known = 0;         ///< measurements that were there with the same value
  std::uint64_t judgements = 0;
  std::uint64_t other = 0;  ///< metrics, sources and aliases
};

/// Adds JSON lines to a pool, each an object with one of these as its "type":
///   sample       dataset, id; optional: question, answer, tags [texts], fields {name: text, number
///                or boolean, or a list of them}, embedding [numbers] with embedder
///   metric       name; optional: kind (cardinal, binary, ordinal), higher_is_better
///   measurement  model, dataset, sample (its id), metric, value; optional: source
///   judgement    dataset, sample, model_a, model_b, winner (a, b or tie); optional: weight, source
///   source       name, priority (a whole number; the lowest is believed first)
///   alias        alias, model
/// Metrics stand before measurements by them; samples that were not named before are known by their
/// names alone. Unknown keys are refused. The caller begins and commits.
///
/// InputError naming the line: not JSON, another type, a missing or unknown key or one of another
/// kind, and what SamplePool refuses. A file whose contents were added before is refused too, as
/// judgements would count twice. `on_bytes` is called with the bytes that were read since the last
/// call.
PoolImport import_lines(SamplePool& pool, const std::filesystem::path& path,
                        const std::function<void(std::uint64_t)>& on_bytes = {});

/// Adds every value and comparison of a table: each task is a dataset and a metric of that name,
/// each instance a sample. A table without instances has one sample per task.
PoolImport import_scores(SamplePool& pool, const ScoreTable& table, const std::string& source);

}  // namespace amalgam::scores
