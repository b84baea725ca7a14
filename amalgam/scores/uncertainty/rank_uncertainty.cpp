#include "amalgam/scores/uncertainty/rank_uncertainty.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include "amalgam/core/multiple_testing.hpp"
#include "amalgam/core/tail_probabilities.hpp"
#include "amalgam/scores/uncertainty/percentiles.hpp"

namespace amalgam::scores {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double deviation_of(const std::vector<double>& values) {
  if (values.size() < 2) return kNaN;
  double sum = 0;
  for (const double value : values) sum += value;
  const double mean = sum / static_cast<double>(values.size());
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

class Summary {
 public:
  Summary(const Ranking& ranking, std::span<const double> replicates, double confidence,
          const Parallel& parallel)
      : ranking_(ranking),
        systems_(ranking.scores.size()),
        resamples_(replicates.size() / systems_),
        parallel_(parallel),
        scores_(replicates.size()),
        ranks_(replicates.size()) {
    result_.confidence = confidence;
    result_.resamples = resamples_;
    result_.order = order_of(ranks_of(ranking.scores, ranking.tie_tolerance));
    transpose(replicates);
  }

  RankUncertainty run() {
    summarise_systems();
    compare_pairs();
    make_rank_sets();
    make_groups();
    return std::move(result_);
  }

 private:
  bool is_ranked(System system, std::size_t resample) const {
    return ranks_[system * resamples_ + resample] != 0;
  }

  // By system, so that the loops over resamples run through memory; rank 0: not ranked.
  void transpose(std::span<const double> replicates) {
    result_.best.assign(systems_, 0.0);
    result_.unranked.assign(systems_, 0);
    for (std::size_t r = 0; r < resamples_; ++r) {
      const auto row = replicates.subspan(r * systems_, systems_);
      if (std::ranges::all_of(row, [](double score) { return std::isnan(score); })) {
        ++result_.failed;
        for (std::size_t i = 0; i < systems_; ++i) scores_[i * resamples_ + r] = kNaN;
        continue;
      }
      const std::vector<std::uint32_t> ranks = ranks_of(row, ranking_.tie_tolerance);
      const auto first = static_cast<double>(std::ranges::count(ranks, 1U));
      for (std::size_t i = 0; i < systems_; ++i) {
        const bool ranked = !std::isnan(row[i]);
        scores_[i * resamples_ + r] = row[i];
        ranks_[i * resamples_ + r] = ranked ? ranks[i] : 0;
        result_.unranked[i] += ranked ? 0 : 1;
        if (ranked && ranks[i] == 1) result_.best[i] += 1 / first;
      }
    }
    const auto counted = static_cast<double>(resamples_ - result_.failed);
    for (double& share : result_.best) share = counted > 0 ? share / counted : kNaN;
  }

  void summarise_systems() {
    result_.scores.assign(systems_, {kNaN, kNaN});
    result_.standard_errors.assign(systems_, kNaN);
    result_.rank_low.assign(systems_, 1);
    result_.rank_high.assign(systems_, static_cast<std::uint32_t>(systems_));
    std::vector<double> scores;
    std::vector<std::uint32_t> ranks;
    for (System i = 0; i < systems_; ++i) {
      scores.clear();
      ranks.clear();
      for (std::size_t r = 0; r < resamples_; ++r) {
        if (!is_ranked(i, r)) continue;
        scores.push_back(scores_[i * resamples_ + r]);
        ranks.push_back(ranks_[i * resamples_ + r]);
      }
      if (scores.empty()) continue;
      result_.standard_errors[i] = deviation_of(scores);
      std::ranges::sort(scores);
      std::ranges::sort(ranks);
      const auto [score_low, score_high] = percentile_interval(scores, result_.confidence);
      result_.scores[i] = {score_low, score_high};
      std::tie(result_.rank_low[i], result_.rank_high[i]) =
          percentile_interval(ranks, result_.confidence);
    }
  }

  void compare_pairs() {
    result_.before.assign(systems_ * systems_, kNaN);
    result_.p_values.assign(systems_ * systems_, kNaN);
    parallel_for(parallel_, systems_, [&](std::size_t i, std::size_t /*worker*/) {
      for (std::size_t j = i + 1; j < systems_; ++j) compare(i, j);
    });
    std::vector<double> p_values;
    for (std::size_t i = 0; i < systems_; ++i) {
      for (std::size_t j = i + 1; j < systems_; ++j) {
        p_values.push_back(result_.p_values[i * systems_ + j]);
      }
    }
    result_.p_holm = both_halves(holm(p_values));
    result_.p_benjamini_hochberg = both_halves(benjamini_hochberg(p_values));
  }

  void compare(std::size_t i, std::size_t j) {
    const double* scores_i = scores_.data() + i * resamples_;
    const double* scores_j = scores_.data() + j * resamples_;
    const std::uint32_t* ranks_i = ranks_.data() + i * resamples_;
    const std::uint32_t* ranks_j = ranks_.data() + j * resamples_;
    const double difference = ranking_.scores[i] - ranking_.scores[j];
    const double centre = std::isnan(difference) ? 0 : difference;
    double before = 0;
    double count = 0;
    double sum = 0;
    double squares = 0;
    for (std::size_t r = 0; r < resamples_; ++r) {
      if (ranks_i[r] == 0 || ranks_j[r] == 0) continue;
      before += ranks_i[r] < ranks_j[r] ? 1.0 : (ranks_i[r] == ranks_j[r] ? 0.5 : 0.0);
      const double off = scores_i[r] - scores_j[r] - centre;
      count += 1;
      sum += off;
      squares += off * off;
    }
    if (count < 2 || std::isnan(difference)) return;
    result_.before[i * systems_ + j] = before / count;
    result_.before[j * systems_ + i] = 1 - before / count;
    const double variance = std::max(0.0, (squares - sum * sum / count) / (count - 1));
    const double p = p_value(difference, variance, count);
    result_.p_values[i * systems_ + j] = p;
    result_.p_values[j * systems_ + i] = p;
  }

  double p_value(double difference, double variance, double count) const {
    if (std::abs(difference) <= ranking_.tie_tolerance || difference == 0.0) return 1;
    // What rounding makes of differences that do not vary is no variation.
    const double least = 1e-12 * difference;
    if (variance > least * least) return normal_two_sided(difference / std::sqrt(variance));
    // One of count + 1 at -difference: mean square 4 difference^2 / (count + 1).
    return normal_two_sided(0.5 * std::sqrt(count + 1));
  }

  std::vector<double> both_halves(const std::vector<double>& upper) const {
    std::vector<double> matrix(systems_ * systems_, kNaN);
    std::size_t at = 0;
    for (std::size_t i = 0; i < systems_; ++i) {
      for (std::size_t j = i + 1; j < systems_; ++j, ++at) {
        matrix[i * systems_ + j] = matrix[j * systems_ + i] = upper[at];
      }
    }
    return matrix;
  }

  void make_rank_sets() {
    result_.rank_set_low.assign(systems_, 1);
    result_.rank_set_high.assign(systems_, static_cast<std::uint32_t>(systems_));
    for (System i = 0; i < systems_; ++i) {
      for (System j = 0; j < systems_; ++j) {
        if (i == j || !result_.separated(i, j)) continue;
        if (ranking_.scores[j] > ranking_.scores[i]) {
          ++result_.rank_set_low[i];
        } else {
          --result_.rank_set_high[i];
        }
      }
    }
  }

  // The run that begins at a place goes as far as no system in it is separated from another one.
  void make_groups() {
    std::size_t last_end = 0;
    for (std::size_t first = 0; first < systems_; ++first) {
      std::size_t end = first + 1;
      while (end < systems_ && none_separated(first, end)) ++end;
      if (end > last_end) result_.groups.push_back({first, end - 1});
      last_end = std::max(last_end, end);
    }
  }

  bool none_separated(std::size_t first, std::size_t place) const {
    for (std::size_t other = first; other < place; ++other) {
      if (result_.separated(result_.order[other], result_.order[place])) return false;
    }
    return true;
  }

  const Ranking& ranking_;
  std::size_t systems_;
  std::size_t resamples_;
  Parallel parallel_;
  std::vector<double> scores_;        // [systems, resamples]
  std::vector<std::uint32_t> ranks_;  // [systems, resamples]
  RankUncertainty result_;
};

}  // namespace

bool RankUncertainty::separated(System i, System j) const {
  return p_holm[i * size() + j] < 1 - confidence;
}

RankUncertainty summarise_resamples(const Ranking& ranking, std::span<const double> replicates,
                                    double confidence, const Parallel& parallel) {
  return Summary(ranking, replicates, confidence, parallel).run();
}

std::vector<std::string> group_letters(const RankUncertainty& uncertainty) {
  std::vector<std::string> letters(uncertainty.size());
  for (std::size_t g = 0; g < uncertainty.groups.size(); ++g) {
    std::string letter;
    for (std::size_t left = g + 1; left > 0; left = (left - 1) / 26) {
      letter.insert(letter.begin(), static_cast<char>('a' + (left - 1) % 26));
    }
    const TieGroup& group = uncertainty.groups[g];
    for (std::size_t place = group.first; place <= group.last; ++place) {
      std::string& of_system = letters[uncertainty.order[place]];
      if (!of_system.empty() && (letter.size() > 1 || of_system.find(' ') != std::string::npos)) {
        of_system += ' ';
      }
      of_system += letter;
    }
  }
  return letters;
}

}  // namespace amalgam::scores
