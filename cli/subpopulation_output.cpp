#include "cli/subpopulation_output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace amalgam::cli {
namespace {

using scores::AxisFits;
using scores::SubpopulationStudy;

Json number_json(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

Json interval_json(const std::optional<Interval>& interval) {
  return interval ? Json{interval->low, interval->high} : Json();
}

Json axes_json(const AxisFits& axes) {
  Json json = {{"models", static_cast<std::size_t>(axes.fits.count)},
               {"pearson", axes.fits.pearson}};
  if (const auto& line = axes.fits.line) {
    json["line"] = {{"intercept", line->intercept},
                    {"slope", line->slope},
                    {"intercept_error", line->intercept_error},
                    {"slope_error", line->slope_error},
                    {"r_squared", line->r_squared},
                    {"adjusted_r_squared", line->adjusted_r_squared},
                    {"aic", line->aic}};
  } else {
    json["line"] = nullptr;
  }
  if (const auto& curve = axes.fits.parabola) {
    json["quadratic"] = {{"a0", curve->constant},
                         {"a1", curve->linear},
                         {"a2", curve->quadratic},
                         {"a0_error", curve->constant_error},
                         {"a1_error", curve->linear_error},
                         {"a2_error", curve->quadratic_error},
                         {"r_squared", curve->r_squared},
                         {"adjusted_r_squared", curve->adjusted_r_squared},
                         {"aic", curve->aic}};
  } else {
    json["quadratic"] = nullptr;
  }
  json["f"] = axes.fits.f;
  json["p"] = axes.fits.p;
  json["exact_quadratic"] = std::isinf(axes.fits.f);
  json["aic_gain"] = axes.fits.aic_gain;
  json["chosen"] = axes.fits.chooses_parabola() ? "quadratic" : "line";
  json["range"] = {axes.low, axes.high};
  json["moon_index"] = axes.moon_index;
  json["turning_point"] = number_json(axes.turning_point);
  return json;
}

Json gap_json(const SubpopulationReport& report) {
  const auto& gap = report.study.gap;
  if (!gap) return {};
  return {{"first", report.table->models[gap->first]},
          {"last", report.table->models[gap->last]},
          {"models_between", gap->between},
          {"models_below", gap->below},
          {"mean_gap", gap->mean_gap}};
}

Json bins_json(const SubpopulationStudy& study) {
  Json list = Json::array();
  for (const scores::AccuracyBin& bin : study.bins) {
    list.push_back({{"low", bin.low},
                    {"high", bin.high},
                    {"models", bin.count},
                    {"majority", bin.majority},
                    {"minority", bin.minority}});
  }
  return list;
}

Json intervals_json(const SubpopulationStudy& study) {
  if (!study.intervals) return {};
  const scores::CurveIntervals& found = *study.intervals;
  return {{"clusters", found.clusters},
          {"pearson", interval_json(found.pearson)},
          {"slope", interval_json(found.slope)},
          {"line_r_squared", interval_json(found.line_r_squared)},
          {"quadratic_r_squared", interval_json(found.parabola_r_squared)},
          {"a2", interval_json(found.quadratic)},
          {"moon_index", interval_json(found.moon_index)},
          {"turning_share", found.turning_share}};
}

Json trend_json(const scores::StrengthTrend& trend) {
  return {{"tau", trend.tau}, {"interval", interval_json(trend.interval)}};
}

Json sweep_json(const scores::StrengthSweep& sweep) {
  Json list = Json::array();
  for (std::size_t i = 0; i < sweep.strengths.size(); ++i) {
    Json one = {{"strength", sweep.strengths[i]}};
    one.update(axes_json(sweep.fits[i]));
    list.push_back(std::move(one));
  }
  return {{"strengths", std::move(list)},
          {"configurations", sweep.configurations},
          {"trend",
           {{"line_r_squared", trend_json(sweep.line_r_squared)},
            {"a2", trend_json(sweep.quadratic)},
            {"moon_index", trend_json(sweep.moon_index)}}}};
}

Json models_json(const SubpopulationReport& report) {
  const SubpopulationStudy& study = report.study;
  Json list = Json::array();
  for (std::size_t i = 0; i < report.table->count(); ++i) {
    const double majority = report.table->majority[i];
    const double minority = report.table->minority[i];
    Json model = {
        {"model", report.table->models[i]},
        {"majority", majority},
        {"minority", minority},
        {"training_mixture",
         scores::mixture_accuracy(majority, minority, report.options->train_share)},
        {"shifted_mixture",
         scores::mixture_accuracy(majority, minority, report.options->test_share)},
        {"effective_robustness",
         study.effective_robustness.empty() ? Json() : Json(study.effective_robustness[i])}};
    if (!study.gaps.empty()) {
      model["gap"] = {{"observed", study.gaps[i].observed},
                      {"explained", study.gaps[i].explained},
                      {"rest", study.gaps[i].rest()},
                      {"true_positive_rate", study.gaps[i].true_positive_rate},
                      {"true_negative_rate", study.gaps[i].true_negative_rate}};
    }
    list.push_back(std::move(model));
  }
  return list;
}

std::string number(double value, int decimals = 3) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, decimals) : "-";
}

std::string p_text(double p) {
  if (std::isnan(p)) return "-";
  return p > 0 && p < 1e-4 ? fmt::format("{:.0e}", p) : fmt::format("{:.4f}", p);
}

std::string interval_text(const std::optional<Interval>& interval) {
  return interval ? fmt::format(" ({:.3f} to {:.3f})", interval->low, interval->high) : "";
}

std::string f_text(double f) { return std::isinf(f) ? "infinite" : number(f, 1); }

std::vector<std::string> row_of(const std::string& name, const AxisFits& axes) {
  const auto& curve = axes.fits.parabola;
  return {name,
          fmt::to_string(static_cast<std::size_t>(axes.fits.count)),
          number(axes.fits.line ? axes.fits.line->slope : NAN),
          number(axes.fits.line ? axes.fits.line->r_squared : NAN),
          number(curve ? curve->r_squared : NAN),
          number(curve ? curve->quadratic : NAN),
          f_text(axes.fits.f),
          p_text(axes.fits.p),
          axes.fits.chooses_parabola() ? "quadratic" : "line",
          number(axes.moon_index)};
}

const std::vector<std::string>& row_titles() {
  static const std::vector<std::string> kTitles = {
      "fit", "models", "slope", "R2 line", "R2 quadratic", "a2", "F", "p", "chosen", "moon index"};
  return kTitles;
}

std::vector<std::vector<std::string>> rows_of(const SubpopulationReport& report) {
  std::vector<std::vector<std::string>> rows = {row_of("accuracies", report.study.accuracy)};
  if (report.study.probit) rows.push_back(row_of("probit axes", *report.study.probit));
  if (report.study.mixtures.fits.line) {
    rows.push_back(row_of("shifted over training mixture", report.study.mixtures));
  }
  for (const scores::SubpopulationGroup& group : report.study.groups) {
    const std::string name = fmt::format("{} {}", group.tag, group.value);
    if (group.fits) {
      rows.push_back(row_of(name, *group.fits));
    } else {
      rows.push_back({name, fmt::to_string(group.count), "-", "-", "-", "-", "-", "-", "-", "-"});
    }
  }
  if (report.sweep) {
    for (std::size_t i = 0; i < report.sweep->strengths.size(); ++i) {
      rows.push_back(
          row_of(fmt::format("strength {}", report.sweep->strengths[i]), report.sweep->fits[i]));
    }
  }
  return rows;
}

// Sentences that say what the figures mean.
std::vector<std::string> findings(const SubpopulationReport& report) {
  const SubpopulationStudy& study = report.study;
  const auto& intervals = study.intervals;
  std::vector<std::string> lines;
  const AxisFits& axes = study.accuracy;
  lines.push_back(fmt::format(
      "Pearson {}{}, Spearman {} (lower half of the models {}, upper half {})",
      number(axes.fits.pearson), intervals ? interval_text(intervals->pearson) : "",
      number(study.spearman), number(study.spearman_lower), number(study.spearman_upper)));
  lines.push_back(fmt::format(
      "Moon index {}{}, a2 {}{}; R2 of an increasing function {}", number(axes.moon_index),
      intervals ? interval_text(intervals->moon_index) : "",
      number(axes.fits.parabola ? axes.fits.parabola->quadratic : NAN),
      intervals ? interval_text(intervals->quadratic) : "", number(study.monotone_r_squared)));
  if (axes.turning_point) {
    std::string line = fmt::format(
        "Turning point {}: below it, where {:.0f} % of the models are, better on the majority is"
        " worse on the minority",
        number(*axes.turning_point), 100 * study.inverse_share);
    if (intervals) {
      line += fmt::format(" ({:.0f} % of resamples turn)", 100 * intervals->turning_share);
    }
    lines.push_back(line);
  }
  if (study.gap) {
    lines.push_back(fmt::format(
        "Mixing the answers of {} and {} at random beats {} of the {} models between them, by {} on"
        " average on the minority",
        report.table->models[study.gap->first], report.table->models[study.gap->last],
        study.gap->below, study.gap->between, number(study.gap->mean_gap)));
  }
  if (!study.gaps.empty()) {
    double observed = 0;
    double explained = 0;
    for (const scores::SubpopulationGap& gap : study.gaps) {
      observed += gap.observed / static_cast<double>(study.gaps.size());
      explained += gap.explained / static_cast<double>(study.gaps.size());
    }
    lines.push_back(
        fmt::format("Accuracy gap {} on average, of which {} is how labels and"
                    " subpopulations go together",
                    number(observed), number(explained)));
  }
  if (report.sweep) {
    const auto trend = [](const char* name, const scores::StrengthTrend& found) {
      return fmt::format("{} {}{}", name, number(found.tau, 2), interval_text(found.interval));
    };
    lines.push_back(fmt::format("Kendall's tau with the strength: {}, {}, {}",
                                trend("R2 of the line", report.sweep->line_r_squared),
                                trend("a2", report.sweep->quadratic),
                                trend("moon index", report.sweep->moon_index)));
  }
  return lines;
}

}  // namespace

Json subpopulation_json(const SubpopulationReport& report) {
  const SubpopulationStudy& study = report.study;
  Json json = {{"models", report.table->count()},
               {"accuracy", axes_json(study.accuracy)},
               {"probit", study.probit ? axes_json(*study.probit) : Json()},
               {"mixtures", study.mixtures.fits.line ? axes_json(study.mixtures) : Json()},
               {"monotone_r_squared", study.monotone_r_squared},
               {"spearman", study.spearman},
               {"spearman_lower_half", study.spearman_lower},
               {"spearman_upper_half", study.spearman_upper},
               {"inverse_share", study.inverse_share},
               {"interpolation", gap_json(report)},
               {"intervals", intervals_json(study)},
               {"bins", bins_json(study)}};
  Json groups = Json::array();
  for (const scores::SubpopulationGroup& group : study.groups) {
    Json one = {{"column", group.tag}, {"value", group.value}, {"count", group.count}};
    one["fits"] = group.fits ? axes_json(*group.fits) : Json();
    groups.push_back(std::move(one));
  }
  json["groups"] = std::move(groups);
  json["sweep"] = report.sweep ? sweep_json(*report.sweep) : Json();
  json["per_model"] = models_json(report);
  json["warnings"] = report.warnings;
  return json;
}

std::string subpopulation_text(const SubpopulationReport& report) {
  using Align = Table::Align;
  std::vector<Table::Column> columns;
  for (const std::string& title : row_titles()) {
    const bool is_text = title == "fit" || title == "chosen";
    columns.push_back({title, is_text ? Align::left : Align::right});
  }
  Table table(columns);
  for (const auto& row : rows_of(report)) table.add_row(row);
  std::string text = table.text() + "\n";
  for (const std::string& line : findings(report)) text += printable(line) + "\n";
  Table bins({{"majority accuracy"},
              {"models", Align::right},
              {"majority", Align::right},
              {"minority", Align::right}});
  for (const scores::AccuracyBin& bin : report.study.bins) {
    bins.add_row({fmt::format("{:.3f} to {:.3f}", bin.low, bin.high), fmt::to_string(bin.count),
                  number(bin.majority), number(bin.minority)});
  }
  return text + "\n" + bins.text();
}

std::vector<std::vector<std::string>> subpopulation_rows(const SubpopulationReport& report) {
  return rows_of(report);
}
const std::vector<std::string>& subpopulation_titles() { return row_titles(); }
std::vector<std::string> subpopulation_findings(const SubpopulationReport& report) {
  return findings(report);
}

}  // namespace amalgam::cli
