#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/scores/files/measurements.hpp"
#include "amalgam/scores/pool/sample_pool.hpp"

// What is read from a pool. The file may come from anyone, so that everything is looked at again.
namespace amalgam::scores {
namespace {

std::string checked_text(const SqliteStatement& row, int column, const std::string& where) {
  const std::string_view text = row.text(column);
  if (!is_utf8(text)) throw InputError("{}: '{}' is not UTF-8", where, printable(text));
  return std::string(text);
}

// Names of models by number, aliases being the models that they stand for.
std::map<std::int64_t, std::string> model_names(const SqliteDatabase& database,
                                                const SamplePool& pool) {
  std::map<std::string, std::string> stands_for;
  for (auto& [alias, model] : pool.aliases()) stands_for[alias] = model;
  std::map<std::int64_t, std::string> names;
  SqliteStatement rows = database.prepare("SELECT id, name FROM models");
  while (rows.step()) {
    std::string name = checked_text(rows, 1, pool.where());
    const auto alias = stands_for.find(name);
    names[rows.integer(0)] = alias == stands_for.end() ? name : alias->second;
  }
  return names;
}

// Where sources stand, by number: those with a priority by it, then the others as they came.
std::map<std::int64_t, std::size_t> source_places(const SqliteDatabase& database) {
  std::map<std::int64_t, std::size_t> places;
  SqliteStatement rows =
      database.prepare("SELECT id FROM sources ORDER BY priority IS NULL, priority, id");
  while (rows.step()) places.emplace(rows.integer(0), places.size());
  return places;
}

template <class Map>
const typename Map::mapped_type& known(const Map& map, std::int64_t id, const char* what,
                                       const std::string& where) {
  const auto found = map.find(id);
  if (found == map.end())
    throw InputError("{}: a measurement of {} {}, which is not there", where, what, id);
  return found->second;
}

// A value with what decides whether it is believed.
struct Candidate {
  std::size_t source = 0;
  std::int64_t model = 0;  // the number before aliases
  double value = 0;
};

}  // namespace

PoolCounts SamplePool::counts() const {
  const auto count = [&](const char* table) {
    return database_.number(fmt::format("SELECT count(*) FROM {}", table));
  };
  return {.samples = count("samples"),
          .occurrences = count("occurrences"),
          .datasets = database_.number("SELECT count(DISTINCT dataset) FROM occurrences"),
          .models = count("models"),
          .metrics = count("metrics"),
          .sources = count("sources"),
          .measurements = count("measurements"),
          .judgements = count("judgements")};
}

std::vector<PoolMetric> SamplePool::metrics() const {
  std::vector<PoolMetric> metrics;
  SqliteStatement rows = database_.prepare("SELECT name, kind, higher FROM metrics ORDER BY id");
  while (rows.step()) {
    PoolMetric metric{.name = checked_text(rows, 0, where()),
                      .higher_is_better = rows.integer(2) != 0};
    const std::string_view kind = rows.text(1);
    if (kind == score_kind_name(ScoreKind::binary)) {
      metric.kind = ScoreKind::binary;
    } else if (kind == score_kind_name(ScoreKind::ordinal)) {
      metric.kind = ScoreKind::ordinal;
    } else if (kind != score_kind_name(ScoreKind::cardinal)) {
      throw InputError("{}: metric '{}' is of kind '{}'", where(), printable(metric.name),
                       printable(kind));
    }
    metrics.push_back(std::move(metric));
  }
  return metrics;
}

std::vector<std::pair<std::string, std::int64_t>> SamplePool::datasets() const {
  std::vector<std::pair<std::string, std::int64_t>> found;
  SqliteStatement rows = database_.prepare(
      "SELECT dataset, count(*) FROM occurrences GROUP BY dataset ORDER BY dataset");
  while (rows.step()) found.emplace_back(checked_text(rows, 0, where()), rows.integer(1));
  return found;
}

std::vector<std::pair<std::string, std::string>> SamplePool::aliases() const {
  std::vector<std::pair<std::string, std::string>> found;
  SqliteStatement rows = database_.prepare("SELECT alias, model FROM aliases ORDER BY alias");
  while (rows.step()) {
    found.emplace_back(checked_text(rows, 0, where()), checked_text(rows, 1, where()));
  }
  return found;
}

std::vector<PoolEntry> SamplePool::entries() const {
  std::vector<PoolEntry> entries;
  std::map<std::int64_t, std::size_t> places;
  SqliteStatement samples =
      database_.prepare("SELECT id, question, answer FROM samples ORDER BY id");
  while (samples.step()) {
    places[samples.integer(0)] = entries.size();
    PoolEntry entry;
    entry.id = samples.integer(0);
    entry.question = checked_text(samples, 1, where());
    entry.answer = checked_text(samples, 2, where());
    entries.push_back(std::move(entry));
  }
  const auto entry_of = [&](const SqliteStatement& row) -> PoolEntry& {
    const auto found = places.find(row.integer(0));
    if (found == places.end()) {
      throw InputError("{}: something of sample {}, which is not there", where(), row.integer(0));
    }
    return entries[found->second];
  };
  SqliteStatement occurrences =
      database_.prepare("SELECT sample, dataset, name FROM occurrences ORDER BY dataset, name");
  while (occurrences.step()) {
    entry_of(occurrences)
        .occurrences.emplace_back(checked_text(occurrences, 1, where()),
                                  checked_text(occurrences, 2, where()));
  }
  SqliteStatement tags = database_.prepare("SELECT sample, tag FROM tags");
  while (tags.step()) entry_of(tags).tags.push_back(checked_text(tags, 1, where()));
  SqliteStatement fields = database_.prepare("SELECT sample, name, value FROM fields");
  while (fields.step()) {
    entry_of(fields).fields.emplace_back(checked_text(fields, 1, where()),
                                         checked_text(fields, 2, where()));
  }
  return entries;
}

language::Embeddings SamplePool::embeddings(std::string_view embedder,
                                            std::span<const std::int64_t> samples) const {
  language::Embeddings found;
  found.rows = samples.size();
  SqliteStatement one =
      database_.prepare("SELECT vector FROM embeddings WHERE sample = ?1 AND embedder = ?2");
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (!one.bind(1, samples[i]).bind(2, embedder).step()) continue;
    const std::span<const char> bytes = one.bytes(0);
    const std::size_t dimension = bytes.size() / sizeof(float);
    if (found.dimension == 0) {
      found.dimension = dimension;
      found.values.assign(found.rows * dimension, 0.0F);
    }
    if (dimension != found.dimension || bytes.size() % sizeof(float) != 0 || bytes.empty()) {
      throw InputError("{}: '{}' made vectors of {} and of {} numbers", where(),
                       printable(embedder), found.dimension, dimension);
    }
    std::memcpy(found.row(i).data(), bytes.data(), bytes.size());
    if (!std::ranges::all_of(found.row(i), [](float v) { return std::isfinite(v); })) {
      throw InputError("{}: the vector that '{}' made of sample {} is not finite", where(),
                       printable(embedder), samples[i]);
    }
    one.step();  // to the end, so that it can be bound anew
  }
  if (found.dimension == 0) {
    throw InputError("{}: no vectors by '{}' of these samples", where(), printable(embedder));
  }
  return found;
}

ScoreTable SamplePool::scores(std::span<const std::int64_t> samples) const {
  const auto models = model_names(database_, *this);
  const auto sources = source_places(database_);
  std::map<std::int64_t, PoolMetric> metrics;
  {
    const std::vector<PoolMetric> list = this->metrics();
    SqliteStatement rows = database_.prepare("SELECT id FROM metrics ORDER BY id");
    for (const PoolMetric& metric : list) {
      if (rows.step()) metrics[rows.integer(0)] = metric;
    }
  }
  ScoreBuilder builder;
  SqliteStatement dataset_of = database_.prepare(
      "SELECT dataset FROM occurrences WHERE sample = ?1 ORDER BY dataset, name LIMIT 1");
  SqliteStatement measured =
      database_.prepare("SELECT metric, model, source, value FROM measurements WHERE sample = ?1");
  SqliteStatement judged = database_.prepare(
      "SELECT first, second, outcome, weight FROM judgements WHERE sample = ?1 ORDER BY id");
  Comparisons& comparisons = builder.comparisons();
  for (const std::int64_t sample : samples) {
    std::string dataset;
    dataset_of.bind(1, sample);
    while (dataset_of.step()) dataset = checked_text(dataset_of, 0, where());
    // By metric and model, of several sources or aliases the first.
    std::map<std::pair<std::int64_t, std::string>, Candidate> chosen;
    measured.bind(1, sample);
    while (measured.step()) {
      const Candidate one{.source = known(sources, measured.integer(2), "source", where()),
                          .model = measured.integer(1),
                          .value = measured.real(3)};
      if (!std::isfinite(one.value)) {
        throw InputError("{}: sample {} has a value that is not finite", where(), sample);
      }
      const auto [place, is_new] = chosen.try_emplace(
          {measured.integer(0), known(models, one.model, "model", where())}, one);
      if (!is_new &&
          std::tie(one.source, one.model) < std::tie(place->second.source, place->second.model)) {
        place->second = one;
      }
    }
    const std::string instance = fmt::to_string(sample);
    for (const auto& [key, one] : chosen) {
      const PoolMetric& metric = known(metrics, key.first, "metric", where());
      const Task task = builder.task(fmt::format("{}, {}", dataset, metric.name));
      builder.info(task) = {.kind = metric.kind, .higher_is_better = metric.higher_is_better};
      builder.add(builder.system(key.second), task, builder.instance(instance), one.value);
    }
    judged.bind(1, sample);
    while (judged.step()) {
      const std::int64_t outcome = judged.integer(2);
      const double weight = judged.real(3);
      if (outcome < -1 || outcome > 1 || !is_weight(weight)) {
        throw InputError("{}: a judgement of outcome {} and weight {}", where(), outcome, weight);
      }
      const std::string& first = known(models, judged.integer(0), "model", where());
      const std::string& second = known(models, judged.integer(1), "model", where());
      if (first == second) continue;  // by aliases the same model
      comparisons.first.push_back(builder.system(first));
      comparisons.second.push_back(builder.system(second));
      comparisons.outcomes.push_back(static_cast<std::int8_t>(outcome));
      comparisons.weights.push_back(static_cast<float>(weight));
      comparisons.clusters.push_back(static_cast<std::uint32_t>(sample));
    }
  }
  return builder.finish(where());
}

}  // namespace amalgam::scores
