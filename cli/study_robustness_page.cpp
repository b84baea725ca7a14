#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "amalgam/report/heat_map.hpp"
#include "amalgam/report/page.hpp"
#include "amalgam/report/plots.hpp"
#include "amalgam/report/scatter_plot.hpp"
#include "cli/study_robustness_output.hpp"

namespace amalgam::cli {
namespace {

using report::Tone;

std::string number(double value) {
  return std::isfinite(value) ? fmt::format("{:.3f}", value) : "–";
}

void add_ranking(report::Page& page, const RobustnessStudy& study,
                 const std::vector<std::size_t>& order) {
  std::vector<std::string> titles{"model"};
  for (const std::string& resolution : study.table.resolutions) {
    titles.push_back("WAR " + resolution);
    titles.push_back("SAR " + resolution);
  }
  titles.emplace_back("comparable");
  std::vector<std::vector<std::string>> rows;
  for (const std::size_t m : order) {
    std::vector<std::string> row{study.table.models[m]};
    for (std::size_t r = 0; r < study.table.resolutions.size(); ++r) {
      row.push_back(number(study.war(m, r)));
      row.push_back(number(study.sar(m, r)));
    }
    row.emplace_back(study.result.flags[m].comparable() ? "yes" : "no: cells are missing");
    rows.push_back(std::move(row));
  }
  page.table(titles, rows);
}

void add_curves(report::Page& page, const RobustnessStudy& study,
                const std::vector<std::size_t>& order) {
  const std::size_t resolutions = study.table.resolutions.size();
  report::ScatterPlot plot{
      .title = "WAR by resolution", .x = {.title = "resolution"}, .y = {.title = "WAR"}};
  constexpr std::array kTones{Tone::strong, Tone::contrast, Tone::plain, Tone::soft};
  constexpr std::size_t kMostCurves = 4;
  for (std::size_t r = 0; r < resolutions; ++r) {
    plot.x.ticks.push_back({static_cast<double>(r), study.table.resolutions[r]});
  }
  for (std::size_t place = 0; place < std::min(kMostCurves, order.size()); ++place) {
    // The best, the worst, and two between.
    const std::size_t m =
        order[order.size() <= kMostCurves ? place : place * (order.size() - 1) / (kMostCurves - 1)];
    report::ScatterPlot::Curve curve{.label = study.table.models[m], .tone = kTones[place]};
    for (std::size_t r = 0; r < resolutions; ++r) {
      if (std::isnan(study.war(m, r))) continue;
      curve.x.push_back(static_cast<double>(r));
      curve.y.push_back(study.war(m, r));
      plot.points.push_back({curve.x.back(), curve.y.back(), kTones[place], curve.label});
    }
    if (!curve.x.empty()) plot.curves.push_back(std::move(curve));
  }
  if (plot.points.empty()) return;
  page.figure(draw(plot),
              "Share of the native accuracy that is left, weighted over data sets; of many models "
              "the best, the worst and two between.");
}

void add_map(report::Page& page, const RobustnessStudy& study,
             const std::vector<std::size_t>& order) {
  const std::size_t datasets = study.table.datasets.size();
  const std::size_t resolutions = study.table.resolutions.size();
  report::HeatMap map{.title = "Robustness at " + study.table.resolutions[study.at],
                      .columns = study.table.datasets,
                      .low = 0,
                      .legend = "improved relative robustness",
                      .row_title = "models",
                      .column_title = "data sets"};
  for (const std::size_t m : order) {
    map.rows.push_back(study.table.models[m]);
    for (std::size_t d = 0; d < datasets; ++d) {
      map.values.push_back(
          study.result.improved_gamma[(m * datasets + d) * resolutions + study.at]);
    }
  }
  page.figure(draw(map),
              "What is left of the native accuracy, less where that was near chance. Models from "
              "the best to the worst by WAR.");
}

void add_agreement(report::Page& page, const RobustnessStudy& study) {
  const std::size_t resolutions = study.table.resolutions.size();
  std::vector<std::string> titles{"data set", "weight", "Spearman with WAR", "Kendall with WAR",
                                  "Spearman with SAR"};
  if (study.optimised) {
    titles.insert(titles.end(), {"equal weights", "optimised", "held-out models"});
  }
  std::vector<std::vector<std::string>> rows;
  for (std::size_t d = 0; d < study.table.datasets.size(); ++d) {
    const auto& war = study.result.war_agreement[d * resolutions + study.at];
    const auto& sar = study.result.sar_agreement[d * resolutions + study.at];
    std::vector<std::string> row{
        study.table.datasets[d],
        number(study.options.weights.empty() ? 1 : study.options.weights[d]), number(war.spearman),
        number(war.kendall), number(sar.spearman)};
    if (study.optimised) {
      row.push_back(number(study.optimised->equal_rho[d]));
      row.push_back(number(study.optimised->rho[d]));
      row.push_back(
          study.optimised->held_out_rho.empty() ? "–" : number(study.optimised->held_out_rho[d]));
    }
    rows.push_back(std::move(row));
  }
  page.heading("Which data sets agree with the ranking, at " + study.table.resolutions[study.at]);
  page.table(titles, rows);
  if (study.optimised) {
    page.paragraph(
        "Optimised weights are judged on the table that they were made of; the last column says "
        "what they are worth for models they have not seen.");
  }
}

void add_properties(report::Page& page, const RobustnessStudy& study) {
  if (study.properties.empty()) return;
  std::vector<std::vector<std::string>> rows;
  for (const PropertyAgreement& one : study.properties) {
    rows.push_back({one.property, one.resolution, number(one.war.spearman), number(one.war.kendall),
                    number(one.sar.spearman)});
  }
  page.heading("What robustness goes with");
  page.table(
      {"property", "resolution", "Spearman with WAR", "Kendall with WAR", "Spearman with SAR"},
      rows);
}

}  // namespace

std::vector<std::size_t> models_by_war(const RobustnessStudy& study) {
  std::vector<std::size_t> order(study.table.models.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    const double of_a = study.war(a, study.at);
    const double of_b = study.war(b, study.at);
    if (std::isnan(of_a) || std::isnan(of_b)) return std::isnan(of_b) && !std::isnan(of_a);
    return of_a > of_b;
  });
  return order;
}

std::string robustness_page(const RobustnessStudy& study) {
  report::Page page("Robustness under degradation");
  const std::vector<std::size_t> order = models_by_war(study);
  page.paragraph(fmt::format(
      "{} models on {} data sets at {} resolutions; weights: {}. SAR is the mean share of the "
      "native "
      "accuracy that is left; WAR weights data sets, and takes out what is near chance.",
      study.table.models.size(), study.table.datasets.size(), study.table.resolutions.size(),
      study.weights));
  for (const std::string& warning : study.warnings) page.paragraph(warning + ".");
  add_ranking(page, study, order);
  add_curves(page, study, order);
  add_map(page, study, order);
  add_agreement(page, study);
  add_properties(page, study);
  return page.html();
}

}  // namespace amalgam::cli
