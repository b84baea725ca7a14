#include "amalgam/scores/uncertainty/resampled_pairs.hpp"

#include <algorithm>
#include <bit>
#include <string>
#include <tuple>

#include "amalgam/core/distributions.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam::scores {
namespace {

// How often each of `count` things comes up in as many draws.
void draw_counts(std::size_t count, RandomStream& random, double* counts) {
  for (std::size_t draw = 0; draw < count; ++draw) counts[random.below(count)] += 1;
}

RandomStream stream_of(std::uint64_t seed, std::size_t replicate) {
  return {seed, "resample/" + std::to_string(replicate)};
}

// Instances that no ballot is of are drawn too, and change nothing.
std::vector<double> draw_shared_instances(const ScoreTable& table, RandomStream& random) {
  std::vector<double> drawn(table.instances.size());
  draw_counts(drawn.size(), random, drawn.data());
  std::vector<double> counts(table.ballot_count());
  for (std::size_t ballot = 0; ballot < counts.size(); ++ballot) {
    counts[ballot] = drawn[table.ballot_instances[ballot]];
  }
  return counts;
}

std::vector<double> draw_ballots(const ScoreTable& table, ResampleUnit unit, RandomStream& random) {
  std::vector<double> counts(table.ballot_count());
  if (!table.has_instances()) {
    draw_counts(counts.size(), random, counts.data());
    return counts;
  }
  if (unit == ResampleUnit::shared_instances) return draw_shared_instances(table, random);
  std::size_t begin = 0;  // ballots are sorted by task
  while (begin < counts.size()) {
    std::size_t end = begin + 1;
    while (end < counts.size() && table.ballot_tasks[end] == table.ballot_tasks[begin]) ++end;
    draw_counts(end - begin, random, counts.data() + begin);
    begin = end;
  }
  return counts;
}

std::vector<double> draw_comparisons(const Comparisons& comparisons, RandomStream& random) {
  std::vector<double> counts(comparisons.size());
  if (comparisons.clusters.empty()) {
    draw_counts(counts.size(), random, counts.data());
    return counts;
  }
  // Numbers of clusters that hold no comparison are not there to be drawn.
  std::vector<double> drawn(std::size_t{*std::ranges::max_element(comparisons.clusters)} + 1);
  for (const std::uint32_t cluster : comparisons.clusters) drawn[cluster] = 1;
  std::vector<std::uint32_t> used;
  for (std::uint32_t cluster = 0; cluster < drawn.size(); ++cluster) {
    if (drawn[cluster] > 0) used.push_back(cluster);
  }
  std::ranges::fill(drawn, 0.0);
  for (std::size_t draw = 0; draw < used.size(); ++draw) {
    drawn[used[random.below(used.size())]] += 1;
  }
  for (std::size_t row = 0; row < counts.size(); ++row) {
    counts[row] = drawn[comparisons.clusters[row]];
  }
  return counts;
}

}  // namespace

ResampleCounts draw_resample(const ScoreTable& table, ResampleUnit unit, std::uint64_t seed,
                             std::size_t replicate) {
  RandomStream random = stream_of(seed, replicate);
  ResampleCounts resample;
  if (unit == ResampleUnit::tasks) {
    resample.tasks.resize(table.task_count());
    draw_counts(resample.tasks.size(), random, resample.tasks.data());
  } else {
    resample.ballots = draw_ballots(table, unit, random);
  }
  resample.comparisons = draw_comparisons(table.comparisons, random);
  return resample;
}

PairResampler::PairResampler(const ScoreTable& table, Missing missing, ResampleUnit unit)
    : table_(&table), missing_(missing), unit_(unit) {
  if (table.ballot_count() == 0 && table.comparisons.clusters.empty()) make_cells();
}

void PairResampler::make_cells() {
  const Comparisons& comparisons = table_->comparisons;
  if (comparisons.weights.empty()) {
    const PairTable pairs = count_pairs(*table_, Missing::observed);
    const auto add = [&](System i, System j, int outcome, double count) {
      if (count == 0.0) return;
      cells_.push_back(
          {i, j, static_cast<std::int8_t>(outcome), 1, static_cast<std::uint64_t>(count)});
    };
    for (System i = 0; i < pairs.systems; ++i) {
      for (System j = i + 1; j < pairs.systems; ++j) {
        add(i, j, 1, pairs.win(i, j));
        add(i, j, 0, pairs.tie(i, j));
        add(i, j, -1, pairs.win(j, i));
      }
    }
    return;
  }
  // One cell per (first, second, outcome, weight), whoever is named first.
  std::vector<Cell> rows(comparisons.size());
  for (std::size_t row = 0; row < rows.size(); ++row) {
    Cell& cell = rows[row];
    cell = {comparisons.first[row], comparisons.second[row], comparisons.outcomes[row],
            static_cast<float>(comparisons.weight(row)), 1};
    if (cell.first > cell.second) {
      std::swap(cell.first, cell.second);
      cell.outcome = static_cast<std::int8_t>(-cell.outcome);
    }
  }
  const auto key = [](const Cell& cell) {
    return std::tuple(cell.first, cell.second, cell.outcome,
                      std::bit_cast<std::uint32_t>(cell.weight));
  };
  std::ranges::sort(rows, {}, key);
  for (const Cell& row : rows) {
    if (!cells_.empty() && key(cells_.back()) == key(row)) {
      ++cells_.back().count;
    } else {
      cells_.push_back(row);
    }
  }
}

PairTable PairResampler::draw_cells(std::uint64_t seed, std::size_t replicate) const {
  RandomStream random = stream_of(seed, replicate);
  PairTable pairs(table_->system_count());
  std::uint64_t draws = table_->comparisons.size();  // still to be given to this cell or later ones
  std::uint64_t comparisons = draws;                 // in this cell or later ones
  for (const Cell& cell : cells_) {
    if (draws == 0) break;
    const std::uint64_t drawn =
        cell.count == comparisons
            ? draws
            : binomial_draw(draws,
                            static_cast<double>(cell.count) / static_cast<double>(comparisons),
                            random);
    draws -= drawn;
    comparisons -= cell.count;
    const double votes = static_cast<double>(drawn) * static_cast<double>(cell.weight);
    const std::size_t forth = cell.first * pairs.systems + cell.second;
    const std::size_t back = cell.second * pairs.systems + cell.first;
    if (cell.outcome > 0) {
      pairs.wins[forth] += votes;
    } else if (cell.outcome < 0) {
      pairs.wins[back] += votes;
    } else {
      pairs.ties[forth] += votes;
      pairs.ties[back] += votes;
    }
  }
  return pairs;
}

PairTable PairResampler::resample(std::uint64_t seed, std::size_t replicate) const {
  if (!cells_.empty()) return draw_cells(seed, replicate);
  const ResampleCounts resample = draw_resample(*table_, unit_, seed, replicate);
  return count_pairs(*table_, missing_, resample.factors());
}

}  // namespace amalgam::scores
