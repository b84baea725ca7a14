#include "cli/rank_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "amalgam/report/heat_map.hpp"
#include "amalgam/report/page.hpp"
#include "amalgam/report/plots.hpp"
#include "amalgam/scores/pair_table.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

using report::Page;
using report::Tone;
using scores::Ranking;
using scores::RankUncertainty;
using scores::System;

constexpr std::size_t kMostDrawn = 60;   // systems in the drawing of intervals
constexpr std::size_t kMostInMap = 40;   // systems in a heat map
constexpr std::size_t kMostGroups = 12;  // tie groups in words

std::string percent(double share) { return fmt::format("{:.0f} %", 100 * share); }

// Digits after the point so that the range of the values has about three significant ones.
int decimals_for(std::span<const double> values) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (!(high > low)) return 2;
  return std::clamp(2 - static_cast<int>(std::floor(std::log10(high - low))), 0, 6);
}

class RankPageWriter {
 public:
  explicit RankPageWriter(const RankPage& page)
      : page_(page),
        table_(*page.table),
        ranking_(*page.ranking),
        uncertainty_(page.uncertainty),
        ranks_(scores::ranks_of(ranking_.scores, ranking_.tie_tolerance)),
        order_(scores::order_of(ranks_)),
        decimals_(decimals_for(ranking_.scores)),
        html_(page.title) {}

  std::string write() {
    introduce();
    if (uncertainty_ != nullptr) say_what_is_sure();
    say_what_is_proven();
    draw_intervals();
    write_table();
    draw_pairs();
    if (page_.stability != nullptr) draw_stability();
    write_warnings();
    if (!page_.provenance.empty()) {
      html_.heading("How this page was made");
      std::string lines;
      for (const std::string& line : page_.provenance) lines += line + "\n";
      html_.code(lines);
    }
    return html_.html();
  }

 private:
  std::string name(System system) const { return std::string(table_.systems[system]); }
  double confidence() const { return uncertainty_->confidence; }

  std::string score_text(double score) const {
    return std::isnan(score) ? "–" : fmt::format("{:.{}f}", score, decimals_);
  }

  void introduce() {
    std::string data = fmt::format("{} systems", table_.system_count());
    if (table_.ballot_count() > 0) data += fmt::format(", {} tasks", table_.task_count());
    if (table_.has_instances()) data += fmt::format(", {} instances", table_.ballot_count());
    if (table_.rows() > 0) data += fmt::format(", {} values", table_.rows());
    if (!table_.comparisons.empty()) {
      data += fmt::format(", {} comparisons of pairs", table_.comparisons.size());
    }
    html_.paragraph(data +
                    fmt::format(". Method: {}. {} Higher scores are better; the score is {}.",
                                page_.method->name, page_.method->summary, page_.method->score));
    const std::size_t cells = table_.ballot_count() * table_.system_count();
    if (cells > table_.rows() && table_.rows() > 0) {
      html_.paragraph(
          fmt::format("{} of the {} possible values are missing; they were treated as “{}”.",
                      cells - table_.rows(), cells, scores::missing_name(page_.missing)));
    }
  }

  void say_what_is_sure() {
    html_.heading("What can be told apart");
    const System first = order_.front();
    html_.paragraph(fmt::format(
        "{} comes first in {} of {} resamples of {}. Intervals hold {} of the resamples; two "
        "systems are told apart if the difference of their scores is significant at {} after "
        "Holm’s "
        "correction for all {} pairs.",
        name(first), percent(uncertainty_->best[first]),
        uncertainty_->resamples - uncertainty_->failed, drawn(), percent(confidence()),
        fmt::format("{:.2g}", 1 - confidence()),
        table_.system_count() * (table_.system_count() - 1) / 2));
    std::size_t said = 0;
    std::size_t tied = 0;
    for (const scores::TieGroup& group : uncertainty_->groups) {
      if (group.first == group.last) continue;
      ++tied;
      if (++said > kMostGroups) continue;
      html_.paragraph(fmt::format("Places {} to {} cannot be told apart: {}.", group.first + 1,
                                  group.last + 1, names_of(group)));
    }
    if (tied == 0) html_.paragraph("Every system can be told apart from every other one.");
    if (tied > kMostGroups) {
      html_.paragraph(
          fmt::format("And {} groups more: see the letters in the table.", tied - kMostGroups));
    }
  }

  std::string drawn() const {
    if (table_.ballot_count() == 0) return "comparisons";
    return std::string(scores::resample_unit_name(uncertainty_->over));
  }

  std::string names_of(const scores::TieGroup& group) const {
    constexpr std::size_t kMostNames = 8;
    std::string names;
    for (std::size_t place = group.first; place <= group.last; ++place) {
      if (place - group.first == kMostNames) {
        return names + fmt::format(" and {} more", group.last - place + 1);
      }
      if (!names.empty()) names += ", ";
      names += name(uncertainty_->order[place]);
    }
    return names;
  }

  void say_what_is_proven() {
    if (!ranking_.certificate) return;
    const scores::Certificate& proof = *ranking_.certificate;
    html_.heading("What is proven");
    if (proof.optimal) {
      html_.paragraph(fmt::format("The cost of this order is {}, and no order costs less.{}",
                                  format_number(proof.objective),
                                  proof.unique ? " It is the only one that costs so little."
                                               : " Others may cost as little."));
      return;
    }
    html_.paragraph(fmt::format(
        "The cost of this order is {}. No order costs less than {}, so that at most {} could be "
        "gained.",
        format_number(proof.objective), format_number(proof.bound),
        format_number(proof.objective - proof.bound)));
  }

  void draw_intervals() {
    report::DotPlot plot;
    plot.title = uncertainty_ != nullptr
                     ? fmt::format("Scores and ranks with {} intervals", percent(confidence()))
                     : "Scores";
    plot.decimals = decimals_;
    plot.panels = {{"score", {}, decimals_}};
    if (uncertainty_ != nullptr) plot.panels.push_back({"rank (1 is best)", {}, 0});
    report::DotPlot::Group group;
    for (const System system : order_) {
      if (group.rows.size() == kMostDrawn) break;
      const double score = ranking_.scores[system];
      if (std::isnan(score)) continue;
      report::DotPlot::Row row{name(system), tone_of(system), {{score, score_interval(system)}}};
      if (uncertainty_ != nullptr) {
        row.values.push_back({static_cast<double>(ranks_[system]),
                              {static_cast<double>(uncertainty_->rank_low[system]),
                               static_cast<double>(uncertainty_->rank_high[system])}});
      }
      group.rows.push_back(std::move(row));
    }
    if (group.rows.empty()) return;
    std::string caption = uncertainty_ != nullptr
                              ? "Dark: those that cannot be told apart from the best."
                              : "Without resamples (--bootstrap) nothing is known of how far "
                                "these scores can be trusted.";
    if (order_.size() > group.rows.size()) {
      caption += fmt::format(" The best {} of {} systems.", group.rows.size(), order_.size());
    }
    plot.groups.push_back(std::move(group));
    html_.heading("Ranks");
    html_.figure(draw(plot), caption);
  }

  Tone tone_of(System system) const {
    if (uncertainty_ == nullptr) return Tone::strong;
    const System first = order_.front();
    return system == first || !uncertainty_->separated(first, system) ? Tone::strong : Tone::soft;
  }

  Interval score_interval(System system) const {
    const double score = ranking_.scores[system];
    if (uncertainty_ == nullptr || std::isnan(uncertainty_->scores[system].low)) {
      return {score, score};
    }
    return uncertainty_->scores[system];
  }

  void write_table() {
    std::vector<std::string> titles{"system", "rank", "score"};
    if (uncertainty_ != nullptr) {
      for (const char* title :
           {"score interval", "rank interval", "ranks, all at once", "first in", "group"}) {
        titles.emplace_back(title);
      }
    }
    const std::vector<std::string> letters =
        uncertainty_ != nullptr ? group_letters(*uncertainty_) : std::vector<std::string>{};
    const std::vector<double> ranks = scores::tied_ranks(ranks_, page_.tied_ranks);
    std::vector<std::vector<std::string>> rows;
    std::vector<std::size_t> strong;
    for (const System system : order_) {
      std::vector<std::string> row{name(system), format_number(ranks[system]),
                                   score_text(ranking_.scores[system])};
      if (uncertainty_ != nullptr) {
        const RankUncertainty& known = *uncertainty_;
        row.push_back(score_text(known.scores[system].low) + " to " +
                      score_text(known.scores[system].high));
        row.push_back(range_text(known.rank_low[system], known.rank_high[system]));
        row.push_back(range_text(known.rank_set_low[system], known.rank_set_high[system]));
        row.push_back(percent(known.best[system]));
        row.push_back(letters[system]);
        if (tone_of(system) == Tone::strong) strong.push_back(rows.size());
      }
      rows.push_back(std::move(row));
    }
    html_.table(titles, rows, strong);
    if (uncertainty_ == nullptr) return;
    html_.paragraph(fmt::format(
        "Systems that share a letter cannot be told apart; bold: those that cannot be told apart "
        "from the best. The ranks “all at once” hold the true rank of every system at the same "
        "time with {} confidence.",
        percent(confidence())));
  }

  static std::string range_text(std::uint32_t low, std::uint32_t high) {
    return low == high ? fmt::to_string(low) : fmt::format("{} to {}", low, high);
  }

  report::HeatMap map_of(std::size_t shown) const {
    report::HeatMap map;
    map.colours = report::HeatMap::Colours::diverging;
    map.low = 0;
    map.high = 1;
    for (std::size_t place = 0; place < shown; ++place) {
      map.rows.push_back(name(order_[place]));
      map.columns.push_back(name(order_[place]));
    }
    return map;
  }

  void draw_pairs() {
    const std::size_t shown = std::min(kMostInMap, order_.size());
    const std::string cut =
        shown < order_.size() ? fmt::format(" The best {} systems.", shown) : std::string();
    html_.heading("Pair by pair");
    if (uncertainty_ != nullptr) {
      report::HeatMap map = map_of(shown);
      map.title = "Share of resamples in which the row comes before the column";
      map.legend = "share of resamples, ties being half";
      fill(map,
           [&](System i, System j) { return uncertainty_->before[i * uncertainty_->size() + j]; });
      html_.figure(draw(map), "Pale cells are pairs whose order is open." + cut);
    }
    const scores::PairTable pairs = scores::count_pairs(table_, scores::Missing::observed);
    report::HeatMap map = map_of(shown);
    map.title = "Share of votes for the row against the column";
    map.legend = "share of tasks, instances or comparisons, ties being half";
    fill(map, [&](System i, System j) {
      return i == j ? std::numeric_limits<double>::quiet_NaN()
                    : pairs.preference(i, j) / pairs.votes(i, j);
    });
    html_.figure(draw(map), "White cells: pairs that nothing compares." + cut);
  }

  template <class F>
  void fill(report::HeatMap& map, F value) const {
    for (std::size_t row = 0; row < map.rows.size(); ++row) {
      for (std::size_t column = 0; column < map.columns.size(); ++column) {
        map.values.push_back(value(order_[row], order_[column]));
      }
    }
  }

  void draw_stability() {
    const scores::StabilityCurve& curve = *page_.stability;
    report::LinePlot plot;
    using Removed = scores::StabilityOptions::Removed;
    const bool reversed = curve.removed == Removed::reversed_tasks;
    const bool last = curve.removed == Removed::last_ballots;
    std::string_view what = scores::removed_name(curve.removed);
    if (reversed) what = "tasks";
    if (last) what = "the last instances of every task";
    plot.title = fmt::format("Likeness to the full ranking when {} {}", what,
                             reversed ? "say the reverse" : "are taken away");
    plot.x_title = reversed ? "percent reversed at random"
                   : last   ? "percent taken away"
                            : "percent taken away at random";
    plot.y_title = "Kendall’s tau-b (1: the same order)";
    report::LinePlot::Series series;
    std::size_t failed = 0;
    for (const scores::StabilityPoint& point : curve.points) {
      failed += point.failed;
      if (std::isnan(point.mean)) continue;
      series.x.push_back(100 * point.removed);
      series.y.push_back({point.mean, point.spread});
    }
    html_.heading("What the ranking needs");
    if (series.x.size() < 2) {
      html_.paragraph("Too few of the draws could be ranked to show a curve.");
      return;
    }
    plot.series.push_back(std::move(series));
    std::string caption =
        last ? fmt::format("The first of {} ballots, of every task, ranked alone.", curve.parts)
             : fmt::format("Mean and, as a band, 5th to 95th percentile over draws, of {} {}.",
                           curve.parts, what);
    if (failed > 0) {
      caption += fmt::format(" {} draws could not be ranked: {}", failed, curve.first_failure);
    }
    html_.figure(draw(plot), caption);
  }

  void write_warnings() {
    std::vector<std::string> warnings = page_.warnings;
    warnings.insert(warnings.end(), ranking_.warnings.begin(), ranking_.warnings.end());
    if (uncertainty_ != nullptr) {
      warnings.insert(warnings.end(), uncertainty_->warnings.begin(), uncertainty_->warnings.end());
    }
    if (warnings.empty()) return;
    html_.heading("Warnings");
    for (const std::string& warning : warnings) html_.paragraph("• " + warning);
  }

  const RankPage& page_;
  const scores::ScoreTable& table_;
  const Ranking& ranking_;
  const RankUncertainty* uncertainty_;
  std::vector<std::uint32_t> ranks_;
  std::vector<System> order_;
  int decimals_;
  Page html_;
};

}  // namespace

std::string rank_page(const RankPage& page) { return RankPageWriter(page).write(); }

}  // namespace amalgam::cli
