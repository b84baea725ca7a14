#include "amalgam/scores/pool/sample_pool.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/scores/files/measurements.hpp"
#include "amalgam/scores/pool/pool_schema.hpp"

namespace amalgam::scores {
namespace {

constexpr std::size_t kLongestName = 1000;
constexpr std::size_t kLongestText = 1'000'000;
constexpr std::size_t kMostDetails = 1000;      // tags and fields of a sample
constexpr std::size_t kMostDimensions = 65536;  // of its embedding

void check_text(std::string_view text, std::string_view what, std::size_t longest) {
  if (text.size() > longest) {
    throw InputError("{} of {} bytes; at most {} are kept", what, text.size(), longest);
  }
  if (!is_utf8(text) || text.find('\0') != std::string_view::npos) {
    throw InputError("{} '{}' is not UTF-8 text", what, printable(text));
  }
}

void check_name(std::string_view name, std::string_view what) {
  if (name.empty()) throw InputError("{} without a name", what);
  check_text(name, what, kLongestName);
}

// Of question and answer; whether two are equal is decided by the texts themselves.
std::int64_t text_hash(const PoolSample& sample) {
  return static_cast<std::int64_t>(fnv1a64(sample.question) * 0x9e3779b97f4a7c15ULL ^
                                   fnv1a64(sample.answer));
}

bool has_texts(const PoolSample& sample) {
  return !sample.question.empty() || !sample.answer.empty();
}

void check_sample(const PoolSample& sample) {
  check_name(sample.dataset, "dataset");
  check_name(sample.name, "sample");
  check_text(sample.question, "question", kLongestText);
  check_text(sample.answer, "answer", kLongestText);
  for (const std::string& tag : sample.tags) check_name(tag, "tag");
  for (const auto& [name, value] : sample.fields) {
    check_name(name, "field");
    check_text(value, "field", kLongestText);
  }
  if (sample.tags.size() + sample.fields.size() > kMostDetails) {
    throw InputError("sample '{}': {} tags and fields; at most {} are kept", sample.name,
                     sample.tags.size() + sample.fields.size(), kMostDetails);
  }
  if (sample.embedding.empty()) return;
  check_name(sample.embedder, "embedder");
  if (sample.embedding.size() > kMostDimensions ||
      !std::ranges::all_of(sample.embedding, [](float v) { return std::isfinite(v); })) {
    throw InputError("sample '{}': an embedding of {} numbers; expected at most {} finite ones",
                     sample.name, sample.embedding.size(), kMostDimensions);
  }
}

SqliteDatabase::Mode mode_of(SamplePool::Mode mode) {
  if (mode == SamplePool::Mode::read) return SqliteDatabase::Mode::read;
  return mode == SamplePool::Mode::write ? SqliteDatabase::Mode::write
                                         : SqliteDatabase::Mode::create;
}

}  // namespace

SamplePool::SamplePool(const std::filesystem::path& path, Mode mode)
    : database_(path, mode_of(mode)) {
  if (mode == Mode::create && database_.number("SELECT count(*) FROM sqlite_master") == 0 &&
      database_.number("PRAGMA user_version") == 0) {
    // Full synchronisation is SQLite's default; a pool is a rollback-journal database, one file.
    database_.execute("BEGIN IMMEDIATE");
    for (const char* const statement : kPoolSchema) database_.execute(statement);
    database_.execute(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}; COMMIT",
                                  kPoolApplication, kPoolVersion)
                          .c_str());
  }
  check_schema();
}

void SamplePool::check_schema() {
  if (database_.number("PRAGMA application_id") != kPoolApplication) {
    throw InputError("{}: a SQLite database, but not a pool of samples", where());
  }
  const std::int64_t version = database_.number("PRAGMA user_version");
  if (version != kPoolVersion) {
    throw InputError("{}: a pool of version {}; this program reads version {}", where(), version,
                     kPoolVersion);
  }
  std::set<std::string, std::less<>> expected(kPoolSchema.begin(), kPoolSchema.end());
  SqliteStatement found = database_.prepare(
      "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_autoindex_%'");
  while (found.step()) {
    if (const auto same = expected.find(found.text(1)); same != expected.end()) {
      expected.erase(same);
    } else {
      throw InputError("{}: a pool whose part '{}' is not as expected", where(),
                       printable(found.text(0)));
    }
  }
  if (!expected.empty()) throw InputError("{}: a pool without some of its tables", where());
}

void SamplePool::begin() { database_.execute("BEGIN IMMEDIATE"); }
void SamplePool::commit() { database_.execute("COMMIT"); }
void SamplePool::roll_back() { database_.execute("ROLLBACK"); }

std::int64_t SamplePool::number_of(const char* table, std::string_view name) {
  SqliteStatement& find = database_.cached(fmt::format("SELECT id FROM {} WHERE name = ?1", table));
  if (find.bind(1, name).step()) return find.integer(0);
  database_.cached(fmt::format("INSERT INTO {}(name) VALUES(?1)", table)).bind(1, name).run();
  return database_.last_row();
}

std::int64_t SamplePool::sample_named(const std::string& dataset, const std::string& name) {
  SqliteStatement& find =
      database_.cached("SELECT sample FROM occurrences WHERE dataset = ?1 AND name = ?2");
  if (find.bind(1, dataset).bind(2, name).step()) return find.integer(0);
  return add_sample({.dataset = dataset, .name = name});
}

std::int64_t SamplePool::sample_with(const PoolSample& sample) {
  SqliteStatement& find =
      database_.cached("SELECT id FROM samples WHERE hash = ?1 AND question = ?2 AND answer = ?3");
  find.bind(1, text_hash(sample)).bind(2, sample.question).bind(3, sample.answer);
  return find.step() ? find.integer(0) : 0;
}

std::int64_t SamplePool::add_sample(const PoolSample& sample) {
  check_sample(sample);
  const bool texts = has_texts(sample);
  const std::int64_t same = texts ? sample_with(sample) : 0;
  SqliteStatement& find = database_.cached(
      "SELECT o.sample, s.hash IS NULL FROM occurrences o JOIN samples s ON s.id = o.sample WHERE"
      " o.dataset = ?1 AND o.name = ?2");
  if (find.bind(1, sample.dataset).bind(2, sample.name).step()) {
    const std::int64_t id = find.integer(0);
    const bool by_name_only = find.integer(1) != 0;
    if (texts && same != id && !by_name_only) {
      throw InputError("dataset '{}' has a sample '{}' with other texts", printable(sample.dataset),
                       printable(sample.name));
    }
    if (texts && same != id && same != 0) {
      throw InputError(
          "sample '{}' of dataset '{}' has the texts of another sample, and measurements of its own"
          " already; add samples before their measurements",
          printable(sample.name), printable(sample.dataset));
    }
    if (texts && by_name_only) {
      database_.cached("UPDATE samples SET hash = ?2, question = ?3, answer = ?4 WHERE id = ?1")
          .bind(1, id)
          .bind(2, text_hash(sample))
          .bind(3, sample.question)
          .bind(4, sample.answer)
          .run();
    }
    add_details(id, sample);
    return id;
  }
  std::int64_t id = same;
  if (id == 0) {
    SqliteStatement& insert =
        database_.cached("INSERT INTO samples(hash, question, answer) VALUES(?1, ?2, ?3)");
    if (texts) {
      insert.bind(1, text_hash(sample)).bind(2, sample.question).bind(3, sample.answer);
    } else {
      insert.bind_null(1).bind(2, "").bind(3, "");
    }
    insert.run();
    id = database_.last_row();
  }
  database_.cached("INSERT INTO occurrences(dataset, name, sample) VALUES(?1, ?2, ?3)")
      .bind(1, sample.dataset)
      .bind(2, sample.name)
      .bind(3, id)
      .run();
  add_details(id, sample);
  return id;
}

void SamplePool::add_details(std::int64_t id, const PoolSample& sample) {
  for (const std::string& tag : sample.tags) {
    database_.cached("INSERT OR IGNORE INTO tags(sample, tag) VALUES(?1, ?2)")
        .bind(1, id)
        .bind(2, tag)
        .run();
  }
  for (const auto& [name, value] : sample.fields) {
    database_.cached("INSERT OR IGNORE INTO fields(sample, name, value) VALUES(?1, ?2, ?3)")
        .bind(1, id)
        .bind(2, name)
        .bind(3, value)
        .run();
  }
  if (sample.embedding.empty()) return;
  const auto* bytes = reinterpret_cast<const char*>(sample.embedding.data());
  database_.cached("INSERT OR REPLACE INTO embeddings(sample, embedder, vector) VALUES(?1, ?2, ?3)")
      .bind(1, id)
      .bind(2, sample.embedder)
      .bind_bytes(3, {bytes, sample.embedding.size() * sizeof(float)})
      .run();
}

void SamplePool::add_metric(const PoolMetric& metric) {
  check_name(metric.name, "metric");
  for (const PoolMetric& other : metrics()) {
    if (other.name != metric.name) continue;
    if (other.kind == metric.kind && other.higher_is_better == metric.higher_is_better) return;
    throw InputError(
        "metric '{}' is {}, {} is better, in the pool; it cannot become {}, {} is better",
        printable(metric.name), score_kind_name(other.kind),
        other.higher_is_better ? "higher" : "lower", score_kind_name(metric.kind),
        metric.higher_is_better ? "higher" : "lower");
  }
  database_.cached("INSERT INTO metrics(name, kind, higher) VALUES(?1, ?2, ?3)")
      .bind(1, metric.name)
      .bind(2, score_kind_name(metric.kind))
      .bind(3, std::int64_t{metric.higher_is_better ? 1 : 0})
      .run();
}

void SamplePool::set_priority(std::string_view source, std::int64_t priority) {
  check_text(source, "source", kLongestName);
  const std::int64_t id = number_of("sources", source);
  database_.cached("UPDATE sources SET priority = ?2 WHERE id = ?1")
      .bind(1, id)
      .bind(2, priority)
      .run();
}

void SamplePool::add_alias(std::string_view alias, std::string_view model) {
  check_name(alias, "alias");
  check_name(model, "model");
  for (const auto& [other, stands_for] : aliases()) {
    if (other == alias && stands_for == model) return;
    if (other == alias || other == model || stands_for == alias) {
      throw InputError("'{}' cannot be an alias of '{}': '{}' is one of '{}'", printable(alias),
                       printable(model), printable(other), printable(stands_for));
    }
  }
  if (alias == model) throw InputError("'{}' cannot be an alias of itself", printable(alias));
  database_.cached("INSERT INTO aliases(alias, model) VALUES(?1, ?2)")
      .bind(1, alias)
      .bind(2, model)
      .run();
}

bool SamplePool::add_measurement(const PoolMeasurement& measurement) {
  check_name(measurement.model, "model");
  check_text(measurement.source, "source", kLongestName);
  if (!std::isfinite(measurement.value)) {
    throw InputError("model '{}' on sample '{}': the value {} is not finite",
                     printable(measurement.model), printable(measurement.sample),
                     measurement.value);
  }
  SqliteStatement& metric = database_.cached("SELECT id, kind FROM metrics WHERE name = ?1");
  if (!metric.bind(1, measurement.metric).step()) {
    throw InputError("metric '{}' is not in the pool: add it with its kind first",
                     printable(measurement.metric));
  }
  if (metric.text(1) == score_kind_name(ScoreKind::binary) && measurement.value != 0 &&
      measurement.value != 1) {
    throw InputError(
        "model '{}' on sample '{}': the value {} of the binary metric '{}' is neither"
        " 0 nor 1",
        printable(measurement.model), printable(measurement.sample), measurement.value,
        printable(measurement.metric));
  }
  const std::int64_t sample = sample_named(measurement.dataset, measurement.sample);
  const std::int64_t model = number_of("models", measurement.model);
  const std::int64_t source = number_of("sources", measurement.source);
  const auto bind_key = [&](SqliteStatement& statement) -> SqliteStatement& {
    return statement.bind(1, sample).bind(2, metric.integer(0)).bind(3, model).bind(4, source);
  };
  SqliteStatement& find = database_.cached(
      "SELECT value FROM measurements WHERE sample = ?1 AND metric = ?2 AND model = ?3 AND source ="
      " ?4");
  if (bind_key(find).step()) {
    if (find.real(0) == measurement.value) return false;
    throw InputError(
        "model '{}' on sample '{}': '{}' is {} in the pool and {} here; one source"
        " measures a model once",
        printable(measurement.model), printable(measurement.sample), printable(measurement.metric),
        find.real(0), measurement.value);
  }
  SqliteStatement& insert = database_.cached(
      "INSERT INTO measurements(sample, metric, model, source, value) VALUES(?1, ?2, ?3, ?4, ?5)");
  bind_key(insert).bind(5, measurement.value).run();
  return true;
}

void SamplePool::add_judgement(const PoolJudgement& judgement) {
  check_name(judgement.first, "model");
  check_name(judgement.second, "model");
  check_text(judgement.source, "source", kLongestName);
  if (judgement.first == judgement.second) {
    throw InputError("a judgement of '{}' against itself", printable(judgement.first));
  }
  if (!is_weight(judgement.weight) || judgement.outcome < -1 || judgement.outcome > 1) {
    throw InputError(
        "a judgement of weight {} and outcome {}; expected a weight from 0 to 1e30, and 1, 0 or -1",
        judgement.weight, judgement.outcome);
  }
  const std::int64_t sample = sample_named(judgement.dataset, judgement.sample);
  const std::int64_t first = number_of("models", judgement.first);
  const std::int64_t second = number_of("models", judgement.second);
  const std::int64_t source = number_of("sources", judgement.source);
  database_
      .cached(
          "INSERT INTO judgements(sample, first, second, outcome, weight, source) VALUES(?1,"
          " ?2, ?3, ?4, ?5, ?6)")
      .bind(1, sample)
      .bind(2, first)
      .bind(3, second)
      .bind(4, std::int64_t{judgement.outcome})
      .bind(5, judgement.weight)
      .bind(6, source)
      .run();
}

bool SamplePool::add_import(std::uint64_t digest, std::string_view name) {
  const auto number = static_cast<std::int64_t>(digest);
  SqliteStatement& find = database_.cached("SELECT 1 FROM imports WHERE digest = ?1");
  if (find.bind(1, number).step()) return false;
  database_.cached("INSERT INTO imports(digest, name) VALUES(?1, ?2)")
      .bind(1, number)
      .bind(2, name)
      .run();
  return true;
}

PoolTransaction::~PoolTransaction() {
  if (done_) return;
  try {
    pool_.roll_back();
  } catch (const Error&) {
    // SQLite has rolled back by itself (the disk was full); closing the file does so in any case.
  }
}

void PoolTransaction::commit() {
  pool_.commit();
  done_ = true;
}

}  // namespace amalgam::scores
