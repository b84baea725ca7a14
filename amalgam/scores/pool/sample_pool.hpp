#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "amalgam/language/text_embedder.hpp"
#include "amalgam/scores/pool/sqlite.hpp"
#include "amalgam/scores/score_table.hpp"

/// A growing pool of single measurements from many benchmarks (Ghosh et al., "ONEBench to Test Them
/// All: Sample-Level Benchmarking Over Open-Ended Capabilities", 2025).
namespace amalgam::scores {

/// A question of a benchmark. Without question and answer it is known by its name alone.
struct PoolSample {
  std::string dataset;
  std::string name;  ///< unique within the dataset
  std::string question;
  std::string answer;
  std::vector<std::string> tags;
  std::vector<std::pair<std::string, std::string>> fields;  ///< (name, value)
  std::string embedder;                                     ///< what made `embedding`
  std::vector<float> embedding;                             ///< of the question; may be empty
};

struct PoolMetric {
  std::string name;
  ScoreKind kind = ScoreKind::cardinal;
  bool higher_is_better = true;
};

struct PoolMeasurement {
  std::string model;
  std::string dataset;
  std::string sample;
  std::string metric;
  std::string source;  ///< who measured; "" is a source like any other
  double value = 0;    ///< as measured, finite
};

struct PoolJudgement {
  std::string dataset;
  std::string sample;
  std::string first;
  std::string second;
  int outcome = 0;  ///< 1: the first is better, -1: the second, 0: a tie
  double weight = 1;
  std::string source = {};
};

struct PoolCounts {
  std::int64_t samples = 0;
  std::int64_t occurrences = 0;  ///< of samples in datasets; more than samples where shared
  std::int64_t datasets = 0;
  std::int64_t models = 0;
  std::int64_t metrics = 0;
  std::int64_t sources = 0;
  std::int64_t measurements = 0;
  std::int64_t judgements = 0;
};

/// What a sample is known by when samples are chosen.
struct PoolEntry {
  std::int64_t id = 0;
  std::vector<std::pair<std::string, std::string>> occurrences;  ///< (dataset, name), sorted
  std::string question;
  std::string answer;
  std::vector<std::string> tags;
  std::vector<std::pair<std::string, std::string>> fields;
};

/// The pool in a file of SQLite. What is added between begin() and commit() is there as a whole or
/// not at all, whatever happens to the program or the machine; one program writes at a time.
///
/// Names (of models, datasets, samples, metrics, sources, tags and fields) are UTF-8 of 1 to 1000
/// bytes (a source may be empty), texts of at most 1 MB; InputError otherwise.
class SamplePool {
 public:
  enum class Mode { read, write, create };

  /// InputError if the file is no pool, is damaged, or has the format of another version; with
  /// `create` an empty pool is made if there is no file.
  SamplePool(const std::filesystem::path& path, Mode mode);

  const std::string& where() const { return database_.where(); }

  void begin();
  void commit();
  void roll_back();

  /// Adds a sample, or what is new about it (tags, fields, embedding) if it is there. A sample
  /// whose question and answer are those of another one is the same sample, in one dataset more. A
  /// sample that was known by its name alone gets its texts. InputError if the dataset has another
  /// sample of that name. Returns its number.
  std::int64_t add_sample(const PoolSample& sample);
  /// InputError if the metric is there with another kind or direction.
  void add_metric(const PoolMetric& metric);
  /// Sources with smaller priorities are believed first; without a priority, after those with one,
  /// in the order in which they came.
  void set_priority(std::string_view source, std::int64_t priority);
  /// From now on `alias` is another name of `model`. InputError if the alias stands for another
  /// model, or one of the two is already on the other side of an alias.
  void add_alias(std::string_view alias, std::string_view model);
  /// False if the same value was there. InputError for a metric that is not there, a value that is
  /// not finite or not 0 or 1 of a binary metric, or another value of the same source. A sample
  /// that is not there is added by its name.
  bool add_measurement(const PoolMeasurement& measurement);
  /// InputError for a weight that is not finite or negative, or a model against itself.
  void add_judgement(const PoolJudgement& judgement);
  /// Remembers that a file of these contents was added. False if it was before.
  bool add_import(std::uint64_t digest, std::string_view name);

  PoolCounts counts() const;
  std::vector<PoolMetric> metrics() const;
  /// (dataset, samples), sorted.
  std::vector<std::pair<std::string, std::int64_t>> datasets() const;
  /// (alias, model), sorted.
  std::vector<std::pair<std::string, std::string>> aliases() const;
  /// All samples, in the order in which they came.
  std::vector<PoolEntry> entries() const;
  /// Vectors that `embedder` made, for samples by number; others have zeros. InputError if it made
  /// none, or vectors of different sizes.
  language::Embeddings embeddings(std::string_view embedder,
                                  std::span<const std::int64_t> samples) const;

  /// What was measured of these samples, as a table: a task is a metric on a dataset ("dataset,
  /// metric"; a sample in several datasets counts in the first by name), an instance is a sample;
  /// judgements are comparisons, those of one sample being a cluster. Of several sources of a
  /// value the first by priority counts. InputError if nothing was measured of them, or of one
  /// model only.
  ScoreTable scores(std::span<const std::int64_t> samples) const;

 private:
  void check_schema();
  std::int64_t number_of(const char* table, std::string_view name);
  std::int64_t sample_named(const std::string& dataset, const std::string& name);
  std::int64_t sample_with(const PoolSample& sample);
  void add_details(std::int64_t id, const PoolSample& sample);

  SqliteDatabase database_;
};

/// Adds while it lives; what was added is taken back unless commit() was called.
class PoolTransaction {
 public:
  explicit PoolTransaction(SamplePool& pool) : pool_(pool) { pool_.begin(); }
  ~PoolTransaction();
  PoolTransaction(const PoolTransaction&) = delete;
  PoolTransaction& operator=(const PoolTransaction&) = delete;
  void commit();

 private:
  SamplePool& pool_;
  bool done_ = false;
};

}  // namespace amalgam::scores
