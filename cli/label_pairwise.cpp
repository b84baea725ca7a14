#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/data/csv_output.hpp"
#include "amalgam/labels/pairwise/comparison_state.hpp"
#include "cli/label_commands.hpp"
#include "cli/label_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

struct PairwiseOptions {
  std::string path;
  labels::ComparisonFormat format;
  std::string method;  ///< empty: the state's, or bradley-terry
  std::vector<std::string> parameters;
  StateOptions states;
  std::string out;
  std::string workers;
  CommonOptions common;
};

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

labels::ComparisonState start_of(const PairwiseOptions& options) {
  if (options.states.from.empty()) {
    return {options.method.empty() ? "bradley-terry" : options.method, options.parameters};
  }
  labels::ComparisonState state{labels::ColumnReader(options.states.from)};
  check_state_options(options.states, state.method(), options.method, options.parameters);
  return state;
}

void run(const PairwiseOptions& options) {
  check_state_run(options.states,
                  {.inputs = {options.path}, .out = options.out, .outputs = {options.workers}},
                  options.common);
  labels::ComparisonState state = start_of(options);
  if (!options.workers.empty() && state.method() == "bradley-terry") {
    throw InputError(
        "--workers: method 'bradley-terry' takes all workers as alike; expected "
        "--method noisy-bradley-terry");
  }
  const std::size_t old_items = state.table().item_names.size();
  const std::size_t old_workers = state.table().worker_names.size();
  const labels::ComparisonTable added = labels::read_comparisons(options.path, options.format);
  const labels::PairwiseFit result = state.absorb(added);
  const labels::ComparisonTable& table = state.table();
  for (const std::string& warning : result.warnings) log::warn("{}", warning);
  if (!result.converged) {
    log::warn("{} had not converged after {} iterations", state.method(), result.iterations);
  }
  write_items(options.out, table, result);
  if (!options.workers.empty()) write_judges(options.workers, table, result);
  if (!options.states.state.empty()) state.save(options.states.state);
  if (options.common.json) {
    Json items = Json::array();
    for (const std::size_t item : ranking(result.scores)) {
      items.push_back(
          {{"item", std::string(table.item_names[item])}, {"score", result.scores[item]}});
    }
    print_json({{"method", state.method()},
                {"comparisons", table.rows.size()},
                {"added", added.rows.size()},
                {"new_items", table.item_names.size() - old_items},
                {"new_workers", table.worker_names.size() - old_workers},
                {"workers", table.worker_names.size()},
                {"items", std::move(items)},
                {"log_likelihood", result.log_likelihood},
                {"iterations", result.iterations},
                {"converged", result.converged},
                {"warnings", result.warnings}});
  } else if (options.out != "-") {
    if (!options.states.from.empty()) {
      print(fmt::format("{} comparisons taken in ({} new items, {} new workers)\n",
                        added.rows.size(), table.item_names.size() - old_items,
                        table.worker_names.size() - old_workers));
    }
    print(fmt::format("{}: {} comparisons of {} items by {} workers; log-likelihood {:.4f}\n",
                      state.method(), table.rows.size(), table.item_names.size(),
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
              "--out ranking.csv --workers workers.csv\n"
              "amalgam label pairwise comparisons.csv --out ranking.csv --state state.safetensors\n"
              "amalgam label pairwise today.csv --from state.safetensors --state "
              "state.safetensors --out ranking.csv"));
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
  app->add_option("--method", options->method,
                  "Whether workers may judge badly (default: bradley-terry, all are alike)")
      ->check(CLI::IsMember({"bradley-terry", "noisy-bradley-terry"}));
  app->add_option("-p,--parameter", options->parameters,
                  "Parameter of the method, see 'amalgam label methods'")
      ->type_name("NAME=VALUE");
  app->add_option("--out", options->out, "Write item,score,rank; - is the standard output")
      ->required()
      ->type_name("RANKING.csv");
  app->add_option("--workers", options->workers, "Write worker,skill,bias")
      ->type_name("WORKERS.csv");
  add_state_options(*app, options->states);
  add_common_options(*app, options->common, {Common::json, Common::quiet});
  app->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
