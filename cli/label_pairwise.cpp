#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/parameters.hpp"
#include "amalgam/data/csv_output.hpp"
#include "amalgam/labels/pairwise/bradley_terry.hpp"
#include "cli/label_commands.hpp"
#include "cli/label_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

struct PairwiseOptions {
  std::string path;
  labels::ComparisonFormat format;
  std::string method = "bradley-terry";
  std::vector<std::string> parameters;
  std::string out;
  std::string workers;
  CommonOptions common;
};

std::vector<ParameterInfo> parameters_of(const std::string& method) {
  const bool noisy = method == "noisy-bradley-terry";
  std::vector<ParameterInfo> infos{
      {.name = "iterations",
       .kind = ParameterInfo::Kind::integer,
       .doc = "most iterations",
       .default_value = noisy ? 500.0 : 100.0,
       .low = 1,
       .high = 1e7},
      {.name = "tolerance", .default_value = noisy ? 1e-6 : 1e-5, .low = 0}};
  if (noisy) {
    infos.push_back({.name = "regularisation", .default_value = 0.1, .low = 0});
  } else {
    infos.push_back({.name = "prior", .default_value = 0.0, .low = 0});
  }
  return infos;
}

labels::PairwiseFit fit(const PairwiseOptions& options, const labels::ComparisonTable& table) {
  const Parameters parameters =
      parameters_from_arguments(options.method, parameters_of(options.method), options.parameters);
  const auto iterations = static_cast<std::size_t>(parameters.number("iterations"));
  const double tolerance = parameters.number("tolerance");
  if (options.method == "bradley-terry") {
    return labels::bradley_terry(
        table,
        {.iterations = iterations, .tolerance = tolerance, .prior = parameters.number("prior")});
  }
  return labels::noisy_bradley_terry(table, {.iterations = iterations,
                                             .regularisation = parameters.number("regularisation"),
                                             .tolerance = tolerance});
}

// The best first; equal ones in their order.
std::vector<std::size_t> ranking(const std::vector<double>& scores) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](auto a, auto b) { return scores[a] > scores[b]; });
  return order;
}

void write_items(const std::string& path, const labels::ComparisonTable& table,
                 const labels::PairwiseFit& result) {
  CsvOutput lines(path);
  lines.field("item").field("score").field("rank").end();
  double rank = 0;
  for (const std::size_t item : ranking(result.scores)) {
    lines.field(table.item_names[item]).field(result.scores[item]).field(++rank).end();
  }
  lines.commit();
}

void write_judges(const std::string& path, const labels::ComparisonTable& table,
                  const labels::PairwiseFit& result) {
  CsvOutput lines(path);
  lines.field("worker").field("skill").field("bias").end();
  for (std::size_t w = 0; w < result.skills.size(); ++w) {
    lines.field(table.worker_names[w]).field(result.skills[w]).field(result.bias[w]).end();
  }
  lines.commit();
}

void run(const PairwiseOptions& options) {
  check_outputs({options.path}, {options.out, options.workers});
  if (options.common.json && options.out == "-") {
    throw InputError("--json and --out - both want the standard output");
  }
  if (!options.workers.empty() && options.method == "bradley-terry") {
    throw InputError(
        "--workers: method 'bradley-terry' takes all workers as alike; expected "
        "--method noisy-bradley-terry");
  }
  parameters_from_arguments(options.method, parameters_of(options.method), options.parameters);
  const labels::ComparisonTable table = labels::read_comparisons(options.path, options.format);
  const labels::PairwiseFit result = fit(options, table);
  for (const std::string& warning : result.warnings) log::warn("{}", warning);
  if (!result.converged) {
    log::warn("{} had not converged after {} iterations", options.method, result.iterations);
  }
  write_items(options.out, table, result);
  if (!options.workers.empty()) write_judges(options.workers, table, result);
  if (options.common.json) {
    Json items = Json::array();
    for (const std::size_t item : ranking(result.scores)) {
      items.push_back(
          {{"item", std::string(table.item_names[item])}, {"score", result.scores[item]}});
    }
    print_json({{"method", options.method},
                {"comparisons", table.rows.size()},
                {"workers", table.worker_names.size()},
                {"items", std::move(items)},
                {"log_likelihood", result.log_likelihood},
                {"iterations", result.iterations},
                {"converged", result.converged},
                {"warnings", result.warnings}});
  } else if (options.out != "-") {
    print(fmt::format("{}: {} comparisons of {} items by {} workers; log-likelihood {:.4f}\n",
                      options.method, table.rows.size(), table.item_names.size(),
                      table.worker_names.size(), result.log_likelihood));
  }
}

}  // namespace

void register_label_pairwise(CLI::App& label) {
  CLI::App* app =
      label.add_subcommand("pairwise", "Rank items by which of two each worker preferred.");
  app->footer(
      example("amalgam label pairwise comparisons.csv --out ranking.csv\n"
              "amalgam label pairwise comparisons.csv --method noisy-bradley-terry "
              "--out ranking.csv --workers workers.csv"));
  auto options = std::make_shared<PairwiseOptions>();
  app->add_option("comparisons", options->path,
                  "Comma- or tab-separated values with a header: who preferred which of two items")
      ->required()
      ->type_name("COMPARISONS");
  app->add_option("--worker", options->format.worker, "Column of the worker")
      ->capture_default_str();
  app->add_option("--left", options->format.left, "Column of one item")->capture_default_str();
  app->add_option("--right", options->format.right, "Column of the other item")
      ->capture_default_str();
  app->add_option("--label", options->format.winner, "Column of the item that was preferred")
      ->capture_default_str();
  app->add_option("--method", options->method, "Whether workers may judge badly")
      ->check(CLI::IsMember({"bradley-terry", "noisy-bradley-terry"}))
      ->capture_default_str();
  app->add_option("-p,--parameter", options->parameters,
                  "iterations, tolerance; prior (bradley-terry), regularisation (noisy)")
      ->type_name("NAME=VALUE");
  app->add_option("--out", options->out, "Write item,score,rank; - is the standard output")
      ->required()
      ->type_name("RANKING.csv");
  app->add_option("--workers", options->workers, "Write worker,skill,bias")
      ->type_name("WORKERS.csv");
  add_common_options(*app, options->common, {Common::json, Common::quiet});
  app->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
