#include "cli/study_robustness_output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "amalgam/data/csv_output.hpp"

namespace amalgam::cli {
namespace {

std::string figure(double value) {
  return std::isfinite(value) ? fmt::format("{:.4f}", value) : "-";
}

}  // namespace

Json robustness_json(const RobustnessStudy& study) {
  const scores::AccuracyTable& table = study.table;
  const std::size_t resolutions = table.resolutions.size();
  const std::size_t datasets = table.datasets.size();
  const auto slice = [&](const std::vector<double>& values, std::size_t begin) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(begin);
    return std::vector<double>(first, first + static_cast<std::ptrdiff_t>(resolutions));
  };
  Json models = Json::array();
  for (const std::size_t m : models_by_war(study)) {
    const scores::RobustnessFlags& flags = study.result.flags[m];
    Json by_dataset = Json::array();
    for (std::size_t d = 0; d < datasets; ++d) {
      const std::size_t begin = (m * datasets + d) * resolutions;
      by_dataset.push_back({{"dataset", table.datasets[d]},
                            {"native", table.native_accuracy(m, d)},
                            {"relative_robustness", slice(study.result.gamma, begin)},
                            {"improved", slice(study.result.improved_gamma, begin)}});
    }
    models.push_back({{"model", table.models[m]},
                      {"war", slice(study.result.war, m * resolutions)},
                      {"sar", slice(study.result.sar, m * resolutions)},
                      {"war_rank", slice(study.result.war_ranks, m * resolutions)},
                      {"sar_rank", slice(study.result.sar_ranks, m * resolutions)},
                      {"comparable", flags.comparable()},
                      {"missing", flags.missing},
                      {"zero_native", flags.zero_native},
                      {"at_chance", flags.at_chance},
                      {"above_native", flags.above_native},
                      {"datasets", by_dataset}});
  }
  Json sets = Json::array();
  for (std::size_t d = 0; d < datasets; ++d) {
    Json one = {{"dataset", table.datasets[d]},
                {"chance", table.chance[d]},
                {"weight", study.options.weights.empty() ? 1.0 : study.options.weights[d]},
                {"spearman_war", Json::array()},
                {"kendall_war", Json::array()},
                {"spearman_sar", Json::array()}};
    for (std::size_t r = 0; r < resolutions; ++r) {
      const std::size_t at = d * resolutions + r;
      one["spearman_war"].push_back(study.result.war_agreement[at].spearman);
      one["kendall_war"].push_back(study.result.war_agreement[at].kendall);
      one["spearman_sar"].push_back(study.result.sar_agreement[at].spearman);
    }
    sets.push_back(std::move(one));
  }
  Json json = {{"resolutions", table.resolutions},
               {"weights", study.weights},
               {"models", models},
               {"datasets", sets},
               {"optimised", nullptr},
               {"properties", Json::array()},
               {"warnings", study.warnings}};
  if (study.optimised) {
    json["optimised"] = {{"resolution", table.resolutions[study.at]},
                         {"objective", study.optimised->objective},
                         {"equal_objective", study.optimised->equal_objective},
                         {"rho", study.optimised->rho},
                         {"equal_rho", study.optimised->equal_rho},
                         {"held_out_rho", study.optimised->held_out_rho}};
  }
  for (const PropertyAgreement& one : study.properties) {
    json["properties"].push_back({{"property", one.property},
                                  {"resolution", one.resolution},
                                  {"spearman_war", one.war.spearman},
                                  {"kendall_war", one.war.kendall},
                                  {"spearman_sar", one.sar.spearman}});
  }
  return json;
}

std::string robustness_text(const RobustnessStudy& study) {
  using Align = Table::Align;
  const std::size_t resolutions = study.table.resolutions.size();
  std::vector<Table::Column> columns{{"model"}};
  for (const std::string& resolution : study.table.resolutions) {
    columns.push_back({"WAR " + resolution, Align::right});
    columns.push_back({"rank", Align::right});
    columns.push_back({"SAR " + resolution, Align::right});
    columns.push_back({"rank", Align::right});
  }
  Table models(columns);
  for (const std::size_t m : models_by_war(study)) {
    std::vector<std::string> row{study.table.models[m] +
                                 (study.result.flags[m].comparable() ? "" : " *")};
    for (std::size_t r = 0; r < resolutions; ++r) {
      row.push_back(figure(study.war(m, r)));
      row.push_back(format_number(study.result.war_ranks[m * resolutions + r]));
      row.push_back(figure(study.sar(m, r)));
      row.push_back(format_number(study.result.sar_ranks[m * resolutions + r]));
    }
    models.add_row(std::move(row));
  }
  std::vector<Table::Column> titles{{"data set"},
                                    {"chance", Align::right},
                                    {"weight", Align::right},
                                    {"Spearman with WAR", Align::right},
                                    {"with SAR", Align::right}};
  if (study.optimised) {
    titles.push_back({"equal weights", Align::right});
    titles.push_back({"held-out models", Align::right});
  }
  Table sets(titles);
  for (std::size_t d = 0; d < study.table.datasets.size(); ++d) {
    const std::size_t at = d * resolutions + study.at;
    std::vector<std::string> row{
        study.table.datasets[d], figure(study.table.chance[d]),
        figure(study.options.weights.empty() ? 1 : study.options.weights[d]),
        figure(study.result.war_agreement[at].spearman),
        figure(study.result.sar_agreement[at].spearman)};
    if (study.optimised) {
      row.push_back(figure(study.optimised->equal_rho[d]));
      row.push_back(
          study.optimised->held_out_rho.empty() ? "-" : figure(study.optimised->held_out_rho[d]));
    }
    sets.add_row(std::move(row));
  }
  std::string text = models.text() + "\nat " + study.table.resolutions[study.at] +
                     ", weights: " + study.weights + "\n" + sets.text();
  if (!study.properties.empty()) {
    Table properties({{"property"},
                      {"resolution", Align::right},
                      {"Spearman with WAR", Align::right},
                      {"with SAR", Align::right}});
    for (const PropertyAgreement& one : study.properties) {
      properties.add_row(
          {one.property, one.resolution, figure(one.war.spearman), figure(one.sar.spearman)});
    }
    text += "\n" + properties.text();
  }
  return text;
}

void write_robustness(const std::string& path, const RobustnessStudy& study) {
  const std::size_t resolutions = study.table.resolutions.size();
  const std::size_t datasets = study.table.datasets.size();
  CsvOutput output(path);
  const auto number = [&](double value) {
    if (std::isnan(value)) {
      output.field("");
    } else {
      output.field(value);
    }
  };
  for (const char* name :
       {"model", "dataset", "resolution", "relative_robustness", "improved", "war", "sar"}) {
    output.field(name);
  }
  output.end();
  for (std::size_t m = 0; m < study.table.models.size(); ++m) {
    for (std::size_t d = 0; d < datasets; ++d) {
      for (std::size_t r = 0; r < resolutions; ++r) {
        const std::size_t cell = (m * datasets + d) * resolutions + r;
        output.field(study.table.models[m])
            .field(study.table.datasets[d])
            .field(study.table.resolutions[r]);
        number(study.result.gamma[cell]);
        number(study.result.improved_gamma[cell]);
        number(study.war(m, r));
        number(study.sar(m, r));
        output.end();
      }
    }
  }
  output.commit();
}

}  // namespace amalgam::cli
