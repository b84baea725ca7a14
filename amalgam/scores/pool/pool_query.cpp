#include "amalgam/scores/pool/pool_query.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/letter_case.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/table_cells.hpp"

namespace amalgam::scores {
namespace {

using Op = PoolFilter::Op;

constexpr std::size_t kLongestFilter = 4096;
constexpr std::array<std::pair<std::string_view, Op>, 8> kOps{{{"eq", Op::equal},
                                                               {"ne", Op::not_equal},
                                                               {"gt", Op::greater},
                                                               {"ge", Op::greater_equal},
                                                               {"lt", Op::less},
                                                               {"le", Op::less_equal},
                                                               {"contains", Op::contains},
                                                               {"len", Op::length}}};

std::optional<Op> op_of(std::string_view name) {
  for (const auto& [known, op] : kOps) {
    if (known == name) return op;
  }
  return std::nullopt;
}

bool compares_numbers(Op op) {
  return op == Op::greater || op == Op::greater_equal || op == Op::less || op == Op::less_equal;
}

bool compare(double left, Op op, double right) {
  switch (op) {
    case Op::greater:
      return left > right;
    case Op::greater_equal:
      return left >= right;
    case Op::less:
      return left < right;
    case Op::less_equal:
      return left <= right;
    case Op::not_equal:
      return left != right;
    default:
      return left == right;
  }
}

double characters(std::string_view text) {
  return static_cast<double>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

bool equal(std::string_view left, std::string_view right) {
  const auto a = cell_number(left);
  const auto b = cell_number(right);
  return a && b ? *a == *b : left == right;
}

bool meets(std::string_view text, const PoolFilter& filter) {
  switch (filter.op) {
    case Op::equal:
    case Op::not_equal:
      return equal(text, filter.value);
    case Op::contains:
      return lower_case(text).find(lower_case(filter.value)) != std::string::npos;
    case Op::length:
      return compare(characters(text), filter.comparison, *cell_number(filter.value));
    default: {
      const auto number = cell_number(text);
      return number && compare(*number, filter.op, *cell_number(filter.value));
    }
  }
}

std::vector<std::string_view> values_of(const PoolEntry& entry, const std::string& field) {
  std::vector<std::string_view> values;
  if (field == "question") return {entry.question};
  if (field == "answer") return {entry.answer};
  if (field == "tag") return {entry.tags.begin(), entry.tags.end()};
  for (const auto& [dataset, name] : entry.occurrences) {
    if (field == "dataset") values.emplace_back(dataset);
    if (field == "name") values.emplace_back(name);
  }
  for (const auto& [name, value] : entry.fields) {
    if (name == field) values.emplace_back(value);
  }
  return values;
}

double product(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

// By entry, those that one side of a query chooses.
using Chosen = std::map<std::size_t, double>;

Chosen choose(std::vector<SelectedSample> candidates, const PoolQuery& query) {
  std::erase_if(candidates, [&](const SelectedSample& one) {
    return query.similarity && !(one.similarity > *query.similarity);
  });
  std::ranges::stable_sort(candidates, std::greater(), &SelectedSample::similarity);
  if (query.top != 0 && candidates.size() > query.top) candidates.resize(query.top);
  Chosen chosen;
  for (const SelectedSample& one : candidates) chosen[one.entry] = one.similarity;
  return chosen;
}

Chosen choose_by_text(std::span<const PoolEntry> entries, const std::vector<std::size_t>& left,
                      const std::string& text, bool of_answers, const PoolQuery& query,
                      const language::TextEmbedder& embedder) {
  std::vector<float> wanted(embedder.dimension());
  embedder.embed(text, wanted);
  std::vector<float> vector(embedder.dimension());
  std::vector<SelectedSample> candidates;
  for (const std::size_t e : left) {
    embedder.embed(of_answers ? entries[e].answer : entries[e].question, vector);
    candidates.push_back({e, product(wanted, vector)});
  }
  return choose(std::move(candidates), query);
}

Chosen choose_by_vector(const SamplePool& pool, std::span<const PoolEntry> entries,
                        const std::vector<std::size_t>& left, const PoolQuery& query) {
  if (query.embedder.empty()) {
    throw InputError("a query by a vector needs the name of the embedder that made it");
  }
  std::vector<std::int64_t> ids;
  for (const std::size_t e : left) ids.push_back(entries[e].id);
  language::Embeddings vectors = pool.embeddings(query.embedder, ids);
  if (vectors.dimension != query.vector.size()) {
    throw InputError("the query's vector has {} numbers, those of '{}' in the pool have {}",
                     query.vector.size(), printable(query.embedder), vectors.dimension);
  }
  std::vector<float> wanted = query.vector;
  language::normalise(wanted);
  std::vector<SelectedSample> candidates;
  for (std::size_t i = 0; i < left.size(); ++i) {
    language::normalise(vectors.row(i));
    candidates.push_back({left[i], product(wanted, vectors.row(i))});
  }
  return choose(std::move(candidates), query);
}

}  // namespace

PoolFilter parse_pool_filter(std::string_view text) {
  const std::string shown = printable(text);
  if (text.size() > kLongestFilter || !is_utf8(text)) {
    throw InputError("filter '{}': expected UTF-8 of at most {} bytes", shown, kLongestFilter);
  }
  for (std::size_t dot = text.find('.'); dot != std::string_view::npos;
       dot = text.find('.', dot + 1)) {
    const std::size_t next = text.find('.', dot + 1);
    if (next == std::string_view::npos) break;
    const auto op = op_of(text.substr(dot + 1, next - dot - 1));
    if (!op || dot == 0) continue;
    PoolFilter filter{.field = std::string(text.substr(0, dot)), .op = *op};
    std::string_view value = text.substr(next + 1);
    if (*op == Op::length) {
      const std::size_t end = value.find('.');
      const auto comparison = op_of(value.substr(0, end));
      if (end != std::string_view::npos && comparison && *comparison != Op::contains &&
          *comparison != Op::length) {
        filter.comparison = *comparison;
        value = value.substr(end + 1);
      }
    }
    filter.value = value;
    const auto number = cell_number(value);
    if ((compares_numbers(*op) || *op == Op::length) && (!number || !std::isfinite(*number))) {
      throw InputError("filter '{}': '{}' is not a number", shown, printable(value));
    }
    return filter;
  }
  throw InputError(
      "filter '{}': expected field.op.value, with op one of eq, ne, gt, ge, lt, le, contains, len",
      shown);
}

bool matches(const PoolEntry& entry, const PoolFilter& filter) {
  const auto values = values_of(entry, filter.field);
  const bool met =
      std::ranges::any_of(values, [&](std::string_view value) { return meets(value, filter); });
  return filter.op == Op::not_equal ? !met : met;
}

std::vector<SelectedSample> select_samples(const SamplePool& pool,
                                           std::span<const PoolEntry> entries,
                                           const PoolQuery& query,
                                           const language::TextEmbedder& embedder) {
  std::vector<std::size_t> left;
  for (std::size_t e = 0; e < entries.size(); ++e) {
    if (std::ranges::all_of(query.filters,
                            [&](const PoolFilter& one) { return matches(entries[e], one); })) {
      left.push_back(e);
    }
  }
  if (left.empty()) {
    throw InputError("{}: none of {} samples meets the conditions", pool.where(), entries.size());
  }
  std::vector<Chosen> sides;
  if (!query.vector.empty()) sides.push_back(choose_by_vector(pool, entries, left, query));
  if (!query.question.empty()) {
    sides.push_back(choose_by_text(entries, left, query.question, false, query, embedder));
  }
  if (!query.answer.empty()) {
    sides.push_back(choose_by_text(entries, left, query.answer, true, query, embedder));
  }
  std::vector<SelectedSample> selected;
  if (sides.empty()) {
    for (const std::size_t e : left) selected.push_back({e, 1});
    if (query.top != 0 && selected.size() > query.top) selected.resize(query.top);
    return selected;
  }
  for (const auto& [entry, similarity] : sides[0]) {
    if (std::ranges::all_of(sides, [&](const Chosen& side) { return side.contains(entry); })) {
      selected.push_back({entry, similarity});
    }
  }
  if (selected.empty()) {
    throw InputError("{}: {} samples meet the conditions, but none is similar enough", pool.where(),
                     left.size());
  }
  std::ranges::stable_sort(selected, std::greater(), &SelectedSample::similarity);
  return selected;
}

double average_precision(std::span<const char> relevant, std::size_t count) {
  double sum = 0;
  double found = 0;
  for (std::size_t i = 0; i < relevant.size(); ++i) {
    if (relevant[i] == 0) continue;
    found += 1;
    sum += found / static_cast<double>(i + 1);
  }
  return sum / static_cast<double>(count);
}

QueryQuality query_quality(std::span<const PoolEntry> entries,
                           std::span<const SelectedSample> selected, const PoolFilter& relevant) {
  QueryQuality quality{.selected = selected.size()};
  for (const PoolEntry& entry : entries) quality.relevant += matches(entry, relevant) ? 1 : 0;
  std::vector<char> is_relevant;
  for (const SelectedSample& one : selected) {
    is_relevant.push_back(matches(entries[one.entry], relevant) ? 1 : 0);
    quality.found += is_relevant.back() != 0 ? 1 : 0;
  }
  quality.average_precision = quality.relevant == 0
                                  ? std::numeric_limits<double>::quiet_NaN()
                                  : average_precision(is_relevant, quality.relevant);
  return quality;
}

}  // namespace amalgam::scores
