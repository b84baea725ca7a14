#include "amalgam/scores/pool/pool_import.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/line_reader.hpp"
#include "amalgam/data/text_output.hpp"
#include "amalgam/scores/files/score_files.hpp"

namespace amalgam::scores {
namespace {

using Json = nlohmann::json;

// An object of a line whose keys are known.
class Line {
 public:
  Line(const Json& object, std::initializer_list<std::string_view> keys) : object_(object) {
    for (const auto& [key, value] : object.items()) {
      if (key != "type" && std::ranges::find(keys, key) == keys.end()) {
        throw InputError("a {} has no key '{}'; its keys are {}",
                         printable(object.at("type").get<std::string>()), printable(key),
                         fmt::join(keys, ", "));
      }
    }
  }

  bool has(const char* key) const { return object_.contains(key) && !object_[key].is_null(); }
  std::string text(const char* key) const {
    if (!has(key)) throw InputError("'{}' is missing", key);
    const Json& value = object_[key];
    if (value.is_number()) return value.dump();  // names that are numbers
    if (!value.is_string()) throw InputError("'{}' is no text", key);
    return value.get<std::string>();
  }
  std::string text_or(const char* key, std::string otherwise) const {
    return has(key) ? text(key) : otherwise;
  }
  double number(const char* key) const {
    if (!has(key)) throw InputError("'{}' is missing", key);
    const Json& value = object_[key];
    if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
    if (!value.is_number()) throw InputError("'{}' is no number", key);
    return value.get<double>();
  }
  bool flag_or(const char* key, bool otherwise) const {
    if (!has(key)) return otherwise;
    if (!object_[key].is_boolean()) throw InputError("'{}' is neither true nor false", key);
    return object_[key].get<bool>();
  }
  const Json& list(const char* key) const {
    if (!object_[key].is_array()) throw InputError("'{}' is no list", key);
    return object_[key];
  }
  const Json& object(const char* key) const {
    if (!object_[key].is_object()) throw InputError("'{}' is no object", key);
    return object_[key];
  }

 private:
  const Json& object_;
};

std::string field_text(const Json& value, const std::string& name) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
  if (value.is_number_integer()) return value.dump();
  if (value.is_number()) {
    std::string text;
    append_number(text, value.get<double>());
    return text;
  }
  throw InputError("field '{}' is neither text, number nor boolean", printable(name));
}

void add_sample_line(SamplePool& pool, const Json& object) {
  const Line line(
      object, {"dataset", "id", "question", "answer", "tags", "fields", "embedding", "embedder"});
  PoolSample sample{.dataset = line.text("dataset"),
                    .name = line.text("id"),
                    .question = line.text_or("question", ""),
                    .answer = line.text_or("answer", "")};
  if (line.has("tags")) {
    for (const Json& tag : line.list("tags")) {
      if (!tag.is_string()) throw InputError("'tags' has something that is no text");
      sample.tags.push_back(tag.get<std::string>());
    }
  }
  if (line.has("fields")) {
    for (const auto& [name, value] : line.object("fields").items()) {
      if (value.is_null()) continue;
      if (!value.is_array()) {
        sample.fields.emplace_back(name, field_text(value, name));
        continue;
      }
      for (const Json& one : value) sample.fields.emplace_back(name, field_text(one, name));
    }
  }
  if (line.has("embedding")) {
    sample.embedder = line.text("embedder");
    for (const Json& one : line.list("embedding")) {
      if (!one.is_number()) throw InputError("'embedding' has something that is no number");
      sample.embedding.push_back(static_cast<float>(one.get<double>()));
    }
  }
  pool.add_sample(sample);
}

void add_judgement_line(SamplePool& pool, const Json& object) {
  const Line line(object,
                  {"dataset", "sample", "model_a", "model_b", "winner", "weight", "source"});
  const std::string winner = line.text("winner");
  if (winner != "a" && winner != "b" && winner != "tie") {
    throw InputError("the winner '{}' is neither a, b nor tie", printable(winner));
  }
  pool.add_judgement({.dataset = line.text("dataset"),
                      .sample = line.text("sample"),
                      .first = line.text("model_a"),
                      .second = line.text("model_b"),
                      .outcome = winner == "a"   ? 1
                                 : winner == "b" ? -1
                                                 : 0,
                      .weight = line.has("weight") ? line.number("weight") : 1.0,
                      .source = line.text_or("source", "")});
}

void add_line(SamplePool& pool, const Json& object, PoolImport& done) {
  if (!object.is_object() || !object.contains("type") || !object["type"].is_string()) {
    throw InputError("expected an object with a \"type\"");
  }
  const auto type = object["type"].get<std::string>();
  if (type == "sample") {
    add_sample_line(pool, object);
    ++done.samples;
  } else if (type == "measurement") {
    const Line line(object, {"model", "dataset", "sample", "metric", "value", "source"});
    const bool added = pool.add_measurement({.model = line.text("model"),
                                             .dataset = line.text("dataset"),
                                             .sample = line.text("sample"),
                                             .metric = line.text("metric"),
                                             .source = line.text_or("source", ""),
                                             .value = line.number("value")});
    ++(added ? done.measurements : done.known);
  } else if (type == "judgement") {
    add_judgement_line(pool, object);
    ++done.judgements;
  } else if (type == "metric") {
    const Line line(object, {"name", "kind", "higher_is_better"});
    pool.add_metric({.name = line.text("name"),
                     .kind = score_kind_of_name(line.text_or("kind", "cardinal")),
                     .higher_is_better = line.flag_or("higher_is_better", true)});
    ++done.other;
  } else if (type == "source") {
    const Line line(object, {"name", "priority"});
    const double priority = line.number("priority");
    if (priority != std::floor(priority) || std::abs(priority) > 1e9) {
      throw InputError("the priority {} is no whole number of at most nine digits", priority);
    }
    pool.set_priority(line.text("name"), static_cast<std::int64_t>(priority));
    ++done.other;
  } else if (type == "alias") {
    const Line line(object, {"alias", "model"});
    pool.add_alias(line.text("alias"), line.text("model"));
    ++done.other;
  } else {
    throw InputError("type '{}'; expected sample, metric, measurement, judgement, source or alias",
                     printable(type));
  }
}

}  // namespace

PoolImport import_lines(SamplePool& pool, const std::filesystem::path& path,
                        const std::function<void(std::uint64_t)>& on_bytes) {
  LineReader reader(path);
  PoolImport done;
  std::uint64_t digest = 0xcbf29ce484222325ULL;
  while (reader.next()) {
    if (reader.number() % 1024 == 0) check_interrupt();
    if (on_bytes) on_bytes(reader.line().size() + 1);
    digest = (digest ^ fnv1a64(reader.line())) * 0x100000001b3ULL;
    if (reader.line().find_first_not_of(" \t") == std::string_view::npos) continue;
    try {
      add_line(pool, parse_json(reader.line(), reader.place()), done);
    } catch (const InputError& error) {
      const std::string message = error.what();
      if (message.starts_with(reader.place())) throw;
      throw InputError("{}: {}", reader.place(), message);
    }
  }
  if (!pool.add_import(digest, path.filename().string())) {
    throw InputError("{}: these contents were added to {} before", path.string(), pool.where());
  }
  return done;
}

PoolImport import_scores(SamplePool& pool, const ScoreTable& table, const std::string& source) {
  PoolImport done;
  for (std::size_t t = 0; t < table.task_count(); ++t) {
    const TaskInfo& info = table.task_infos[t];
    pool.add_metric({.name = std::string(table.tasks[t]),
                     .kind = info.kind,
                     .higher_is_better = info.higher_is_better});
    ++done.other;
  }
  for (std::size_t b = 0; b < table.ballot_count(); ++b) {
    if (b % 1024 == 0) check_interrupt();
    const Task task = table.ballot_tasks[b];
    const ScoreTable::Ballot ballot = table.ballot(b);
    PoolMeasurement one{.dataset = std::string(table.tasks[task]),
                        .sample = std::string(table.instances[table.ballot_instances[b]]),
                        .metric = std::string(table.tasks[task]),
                        .source = source};
    if (one.sample.empty()) one.sample = "(whole)";
    ++done.samples;
    for (std::size_t i = 0; i < ballot.values.size(); ++i) {
      one.model = table.systems[ballot.systems[i]];
      // Tables hold values so that higher is better.
      const bool negated = !table.task_infos[task].higher_is_better;
      one.value = negated ? -ballot.values[i] : ballot.values[i];
      if (one.value == 0) one.value = 0;  // no negative zero
      ++(pool.add_measurement(one) ? done.measurements : done.known);
    }
  }
  const Comparisons& comparisons = table.comparisons;
  for (std::size_t c = 0; c < comparisons.size(); ++c) {
    const std::string sample = comparisons.clusters.empty()
                                   ? fmt::format("comparison {}", c)
                                   : fmt::format("cluster {}", comparisons.clusters[c]);
    pool.add_judgement({.dataset = source.empty() ? "comparisons" : source,
                        .sample = sample,
                        .first = std::string(table.systems[comparisons.first[c]]),
                        .second = std::string(table.systems[comparisons.second[c]]),
                        .outcome = comparisons.outcomes[c],
                        .weight = comparisons.weight(c),
                        .source = source});
    ++done.judgements;
  }
  return done;
}

}  // namespace amalgam::scores
