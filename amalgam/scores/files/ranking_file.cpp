#include "amalgam/scores/files/ranking_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "amalgam/core/error.hpp"
#include "amalgam/core/rank_correlation.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/scores/files/json_parts.hpp"
#include "amalgam/scores/files/records.hpp"

namespace amalgam::scores {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Takes systems with their ranks one after the other.
class RankingReader {
 public:
  void add(std::string system, double rank, bool has_score, const std::string& place) {
    if (!(rank >= 1 && rank <= 1e15)) {
      throw InputError("{}: the rank of '{}' is {}; expected a number of at least 1", place,
                       printable(system), rank);
    }
    if (!known_.insert(system).second) {
      throw InputError("{}: system '{}' is there a second time; expected each once", place,
                       printable(system));
    }
    if (!has_score) {
      file_.unranked.push_back(std::move(system));
      return;
    }
    file_.systems.push_back(std::move(system));
    file_.ranks.push_back(rank);
  }

  void read_json(const fs::path& path) {
    JsonParts parts =
        JsonParts::open(path, {.wanted = {"method", "ranking"}, .opened = {"ranking"}});
    bool found = false;
    while (!parts.is_list() && parts.next()) {
      const Json value = parts.value();
      if (parts.key() == "method") {
        if (value.is_string()) file_.method = value.get<std::string>();
        continue;
      }
      found = parts.is_element();
      const auto system = value.is_object() ? value.find("system") : value.end();
      const auto rank = value.is_object() ? value.find("rank") : value.end();
      if (!value.is_object() || system == value.end() || !system->is_string() ||
          rank == value.end() || !rank->is_number()) {
        throw InputError(
            "{}: it has no 'system' and 'rank'; expected what 'amalgam rank --json' "
            "writes",
            parts.place());
      }
      const auto score = value.find("score");
      add(system->get<std::string>(), rank->get<double>(),
          score == value.end() || !score->is_null(), parts.place());
    }
    if (!found) {
      throw InputError("{}: it has no 'ranking'; expected what 'amalgam rank --json' writes",
                       path.string());
    }
  }

  void read_table(const fs::path& path) {
    const std::unique_ptr<Records> records = open_records(path, {});
    const std::size_t system = records->need("system");
    const std::size_t rank = records->need("rank");
    const std::size_t score = records->find("score");
    while (records->next()) {
      const std::optional<double> value = number_of(*records, rank, "rank");
      const bool has_score = score == Records::npos || !is_no_value(records->text(score));
      add(std::string(records->text(system)), value.value_or(NAN), has_score, records->place(rank));
    }
  }

  RankingFile take() { return std::move(file_); }

 private:
  RankingFile file_;
  std::unordered_set<std::string> known_;
};

// The common systems that are not in the same place, the farthest first.
std::vector<RankingComparison::Move> moves_of(const std::vector<std::string>& systems,
                                              const std::vector<double>& first,
                                              const std::vector<double>& second) {
  const std::vector<double> of_first = average_ranks(first);
  const std::vector<double> of_second = average_ranks(second);
  std::vector<RankingComparison::Move> moves;
  for (std::size_t i = 0; i < systems.size(); ++i) {
    if (of_first[i] != of_second[i]) moves.push_back({systems[i], of_first[i], of_second[i]});
  }
  std::ranges::stable_sort(moves, std::greater<>(), [](const RankingComparison::Move& move) {
    return std::abs(move.first - move.second);
  });
  return moves;
}

}  // namespace

RankingFile read_ranking(const fs::path& path) {
  RankingReader reader;
  if (path.extension() == ".csv" || path.extension() == ".tsv" || path.extension() == ".tab") {
    reader.read_table(path);
  } else {
    reader.read_json(path);
  }
  RankingFile file = reader.take();
  if (file.systems.size() < 2) {
    throw InputError("{}: it ranks {} {}; expected at least 2", path.string(), file.systems.size(),
                     file.systems.size() == 1 ? "system" : "systems");
  }
  return file;
}

RankingComparison compare_rankings(const RankingFile& first, const RankingFile& second,
                                   const std::vector<std::size_t>& tops, double persistence) {
  std::unordered_map<std::string, double> ranks;
  for (std::size_t i = 0; i < second.systems.size(); ++i) {
    ranks.emplace(second.systems[i], second.ranks[i]);
  }
  RankingComparison result;
  std::vector<std::string> systems;
  std::vector<double> of_first;
  std::vector<double> of_second;
  for (std::size_t i = 0; i < first.systems.size(); ++i) {
    const auto found = ranks.find(first.systems[i]);
    if (found == ranks.end()) {
      result.only_first.push_back(first.systems[i]);
      continue;
    }
    systems.push_back(first.systems[i]);
    of_first.push_back(first.ranks[i]);
    of_second.push_back(found->second);
    ranks.erase(found);
  }
  for (const std::string& system : second.systems) {
    if (ranks.contains(system)) result.only_second.push_back(system);
  }
  result.common = systems.size();
  if (result.common < 2) {
    throw InputError("the rankings have {} {} in common; expected at least 2 to compare",
                     result.common, result.common == 1 ? "system" : "systems");
  }
  result.moves = moves_of(systems, of_first, of_second);
  // Higher scores are better: 0 - rank.
  for (double& rank : of_first) rank = 0 - rank;
  for (double& rank : of_second) rank = 0 - rank;
  result.tau_a = kendall_tau_a(of_first, of_second);
  result.tau_b = kendall_tau_b(of_first, of_second);
  result.spearman = amalgam::spearman(of_first, of_second);
  result.distance = kendall_distance(of_first, of_second);
  const auto common = static_cast<double>(result.common);
  result.largest_distance = common * (common - 1) / 2;
  result.rank_biased_overlap = amalgam::rank_biased_overlap(of_first, of_second, persistence);
  for (const std::size_t k : tops) {
    if (k >= 1 && k <= result.common) {
      result.tops.push_back({k, top_overlap(of_first, of_second, k)});
    }
  }
  return result;
}

}  // namespace amalgam::scores
