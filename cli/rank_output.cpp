#include "cli/rank_output.hpp"

#include <fmt/format.h>

#include <cmath>

#include "amalgam/data/csv_output.hpp"

namespace amalgam::cli {
namespace {

// Whole but for ranks that are averages.
Json rank_of(const Ranked& result, scores::System system) {
  const double rank = result.shown_ranks[system];
  if (result.tied_ranks == scores::TiedRanks::average) return rank;
  return static_cast<std::uint64_t>(rank);
}

Json entry_of(const Ranked& result, scores::System system) {
  Json entry = {{"system", result.table.systems[system]},
                {"rank", rank_of(result, system)},
                {"score", result.ranking.scores[system]},
                {"rank_low", nullptr},
                {"rank_high", nullptr},
                {"raw", result.raw(system)}};
  for (const auto& [name, values] : result.ranking.columns) {
    entry[name] = values[system];
  }
  if (!result.uncertainty) return entry;
  const scores::RankUncertainty& uncertainty = *result.uncertainty;
  entry["rank_low"] = uncertainty.rank_low[system];
  entry["rank_high"] = uncertainty.rank_high[system];
  entry["rank_set_low"] = uncertainty.rank_set_low[system];
  entry["rank_set_high"] = uncertainty.rank_set_high[system];
  entry["score_low"] = uncertainty.scores[system].low;
  entry["score_high"] = uncertainty.scores[system].high;
  entry["best"] = uncertainty.best[system];
  return entry;
}

Json certificate_of(const Ranked& result) {
  if (!result.ranking.certificate) return nullptr;
  const scores::Certificate& certificate = *result.ranking.certificate;
  return {{"optimal", certificate.optimal},
          {"objective", certificate.objective},
          {"bound", certificate.bound},
          {"unique", certificate.unique}};
}

Json uncertainty_of(const Ranked& result) {
  if (!result.uncertainty) return nullptr;
  const scores::RankUncertainty& uncertainty = *result.uncertainty;
  Json groups = Json::array();
  for (const scores::TieGroup& group : uncertainty.groups) {
    Json names = Json::array();
    for (std::size_t place = group.first; place <= group.last; ++place) {
      names.push_back(result.table.systems[uncertainty.order[place]]);
    }
    groups.push_back(std::move(names));
  }
  return {{"over", scores::resample_unit_name(uncertainty.over)},
          {"units", uncertainty.units},
          {"resamples", uncertainty.resamples},
          {"failed", uncertainty.failed},
          {"confidence", uncertainty.confidence},
          {"groups", std::move(groups)}};
}

}  // namespace

Json ranking_json(const Ranked& result) {
  Json ranking = Json::array();
  for (const scores::System system : result.order) ranking.push_back(entry_of(result, system));
  Json figures = Json::object();
  for (const auto& [name, value] : result.ranking.figures) figures[name] = value;
  return {{"method", result.method->info().name},
          {"missing", scores::missing_name(result.context.missing)},
          {"tied_ranks", scores::tied_ranks_name(result.tied_ranks)},
          {"systems", result.table.system_count()},
          {"tasks", result.table.task_count()},
          {"ballots", result.table.ballot_count()},
          {"measurements", result.table.rows()},
          {"comparisons", result.table.comparisons.size()},
          {"ranking", std::move(ranking)},
          {"certificate", certificate_of(result)},
          {"distortion", result.disagreement.distortion},
          {"votes_against", result.disagreement.share},
          {"figures", std::move(figures)},
          {"uncertainty", uncertainty_of(result)},
          {"warnings", result.warnings}};
}

namespace {

std::string certificate_text(const scores::Certificate& certificate) {
  if (!certificate.optimal) {
    return fmt::format(
        "not proven optimal: cost {:g}, no ranking costs less than {:g} (gap {:g})\n",
        certificate.objective, certificate.bound, certificate.objective - certificate.bound);
  }
  return fmt::format("proven optimal: cost {:g}{}\n", certificate.objective,
                     certificate.unique ? ", the only such ranking"
                                        : "; other rankings may cost as little, this is the first "
                                          "by name");
}

// Runs of neighbours that cannot be told apart, in words.
std::string groups_text(const Ranked& result) {
  const scores::RankUncertainty& uncertainty = *result.uncertainty;
  std::string text;
  for (const scores::TieGroup& group : uncertainty.groups) {
    if (group.first == group.last) continue;
    text += fmt::format("places {}-{} cannot be told apart: {} ... {}\n", group.first + 1,
                        group.last + 1, printable(result.name(uncertainty.order[group.first])),
                        printable(result.name(uncertainty.order[group.last])));
  }
  if (text.empty()) return "every place is separated from the next\n";
  return text;
}

// What there is no figure for (a system without a score, the lead of the last one) is a dash.
std::string figure(double value) { return std::isnan(value) ? "-" : format_number(value); }

std::string counted(std::size_t count, std::string_view things) {
  if (count == 1) things.remove_suffix(1);
  return fmt::format("{} {}", count, things);
}

std::vector<Table::Column> columns_of(const Ranked& result) {
  std::vector<Table::Column> columns = {{"rank", Table::Align::right}};
  if (result.uncertainty) {
    columns.push_back(
        {fmt::format("{:g} %", 100 * result.uncertainty->confidence), Table::Align::right});
  }
  columns.push_back({"system"});
  if (result.uncertainty) {
    columns.push_back({"group"});
    columns.push_back({"best", Table::Align::right});
  }
  columns.push_back({"score", Table::Align::right});
  if (!result.method->info().raw.empty()) columns.push_back({"raw", Table::Align::right});
  for (const auto& [name, values] : result.ranking.columns) {
    columns.push_back({name, Table::Align::right});
  }
  return columns;
}

std::string table_text(const Ranked& result) {
  Table table(columns_of(result));
  std::vector<std::string> letters;
  if (result.uncertainty) letters = scores::group_letters(*result.uncertainty);
  for (const scores::System system : result.order) {
    std::vector<std::string> cells = {format_number(result.shown_ranks[system])};
    if (result.uncertainty) {
      cells.push_back(fmt::format("{}-{}", result.uncertainty->rank_low[system],
                                  result.uncertainty->rank_high[system]));
    }
    cells.push_back(result.name(system));
    if (result.uncertainty) {
      cells.push_back(letters[system]);
      cells.push_back(fmt::format("{:.3f}", result.uncertainty->best[system]));
    }
    cells.push_back(figure(result.ranking.scores[system]));
    if (!result.method->info().raw.empty()) cells.push_back(figure(result.raw(system)));
    for (const auto& [name, values] : result.ranking.columns) {
      cells.push_back(figure(values[system]));
    }
    table.add_row(std::move(cells));
  }
  return table.text();
}

std::string uncertainty_text(const Ranked& result) {
  const scores::RankUncertainty& uncertainty = *result.uncertainty;
  const scores::Comparisons& comparisons = result.table.comparisons;
  const std::string_view drawn = result.table.ballot_count() > 0
                                     ? scores::resample_unit_name(uncertainty.over)
                                     : (comparisons.clusters.empty() ? "comparisons" : "clusters");
  std::string text =
      fmt::format("{} resamples of {} {}", uncertainty.resamples, uncertainty.units, drawn);
  if (uncertainty.failed > 0) {
    text += fmt::format(", {} of them could not be ranked", uncertainty.failed);
  }
  return text + "\n" + groups_text(result);
}

}  // namespace

void show_ranking(const Ranked& result) {
  const scores::RankAggregatorInfo& info = result.method->info();
  print(fmt::format("{}: {}, {}, {}, {}; missing: {}\n", info.name,
                    counted(result.table.system_count(), "systems"),
                    counted(result.table.task_count(), "tasks"),
                    counted(result.table.rows(), "values"),
                    counted(result.table.comparisons.size(), "comparisons"),
                    scores::missing_name(result.context.missing)));
  print(table_text(result));
  print(fmt::format("score: {}{}\n", info.score,
                    info.raw.empty() ? "" : fmt::format("; raw: {}", info.raw)));
  for (const auto& [name, value] : result.ranking.figures) {
    print(fmt::format("{}: {}\n", name, format_number(value)));
  }
  if (result.ranking.certificate) print(certificate_text(*result.ranking.certificate));
  if (!std::isnan(result.disagreement.share)) {
    print(fmt::format("against the ranking: {:.1f} % of the votes on pairs (distortion {})\n",
                      100 * result.disagreement.share,
                      format_number(result.disagreement.distortion)));
  }
  if (result.uncertainty) {
    print(uncertainty_text(result));
  } else if (result.table.ballot_count() + result.table.comparisons.size() > 1) {
    print("which of these places can be told apart is not known: --bootstrap 1000 says it\n");
  }
}

namespace {

// Nothing where there is no figure.
void add_figure(CsvOutput& out, double value) {
  if (!std::isfinite(value)) {
    out.field("");
  } else {
    out.field(value);
  }
}

}  // namespace

void write_ranking(const std::string& path, const Ranked& result) {
  CsvOutput out(path);
  for (const char* name : {"system", "rank", "score", "raw"}) out.field(name);
  for (const auto& [name, values] : result.ranking.columns) out.field(name);
  if (result.uncertainty) {
    for (const char* name : {"rank_low", "rank_high", "rank_set_low", "rank_set_high", "score_low",
                             "score_high", "best"}) {
      out.field(name);
    }
  }
  out.end();
  for (const scores::System system : result.order) {
    out.field(result.table.systems[system]).field(format_number(result.shown_ranks[system]));
    add_figure(out, result.ranking.scores[system]);
    add_figure(out, result.raw(system));
    for (const auto& [name, values] : result.ranking.columns) add_figure(out, values[system]);
    if (result.uncertainty) {
      const scores::RankUncertainty& uncertainty = *result.uncertainty;
      out.field(std::to_string(uncertainty.rank_low[system]));
      out.field(std::to_string(uncertainty.rank_high[system]));
      out.field(std::to_string(uncertainty.rank_set_low[system]));
      out.field(std::to_string(uncertainty.rank_set_high[system]));
      out.field(uncertainty.scores[system].low).field(uncertainty.scores[system].high);
      out.field(uncertainty.best[system]);
    }
    out.end();
  }
  out.commit();
}

void write_pairs(const std::string& path, const Ranked& result) {
  const scores::PairTable votes =
      scores::count_pairs(result.table, result.context.missing, {}, result.context.parallel);
  CsvOutput out(path);
  for (const char* name : {"first", "second", "wins", "losses", "ties", "preference"}) {
    out.field(name);
  }
  if (result.uncertainty) {
    for (const char* name : {"before", "p", "p_holm", "p_benjamini_hochberg"}) out.field(name);
  }
  out.end();
  for (std::size_t place = 0; place < result.order.size(); ++place) {
    for (std::size_t later = place + 1; later < result.order.size(); ++later) {
      const scores::System first = result.order[place];
      const scores::System second = result.order[later];
      out.field(result.table.systems[first]).field(result.table.systems[second]);
      out.field(votes.win(first, second)).field(votes.win(second, first));
      out.field(votes.tie(first, second));
      // Nothing where nobody voted on the pair, or it was never ranked together.
      add_figure(out, votes.preference(first, second) / votes.votes(first, second));
      if (result.uncertainty) {
        const scores::RankUncertainty& uncertainty = *result.uncertainty;
        const std::size_t at = first * uncertainty.size() + second;
        for (const double value : {uncertainty.before[at], uncertainty.p_values[at],
                                   uncertainty.p_holm[at], uncertainty.p_benjamini_hochberg[at]}) {
          add_figure(out, value);
        }
      }
      out.end();
    }
  }
  out.commit();
}

}  // namespace amalgam::cli
