#include <fmt/format.h>

#include <memory>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/bags/risk.hpp"
#include "cli/label_bags.hpp"

namespace amalgam::cli {
namespace {

struct PlanOptions {
  std::uint64_t rows = 0;
  std::uint64_t features = 0;
  std::vector<double> sizes;
  double signal = 1;
  double noise = 1;
  std::optional<double> rho;
  double most_rho = 1;
  BagNoiseOptions privacy;
  CommonOptions common;
};

constexpr const char* kAssumption =
    "assumes random bags, features of mean 0 and variance 1 that are not correlated, and many rows"
    " and features";

Json number_or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

std::string cell(const std::optional<double>& value) {
  return value ? format_number(*value) : std::string("-");
}

void show_json(const PlanOptions& options, const std::vector<labels::BagPlan>& plans,
               std::size_t best) {
  Json sizes = Json::array();
  for (const labels::BagPlan& plan : plans) {
    sizes.push_back({{"bag_size", plan.bag_size},
                     {"bag_level_risk", number_or_null(plan.bag_level)},
                     {"instance_level_risk", plan.instance_level},
                     {"best_rho", plan.best.rho},
                     {"best_risk", plan.best.risk.total()},
                     {"best_bias", plan.best.risk.bias},
                     {"best_variance", plan.best.risk.variance},
                     {"risk_at_rho", number_or_null(plan.chosen)},
                     {"instance_level_threshold", number_or_null(plan.threshold)},
                     {"added_noise", plan.added_noise}});
  }
  print_json({{"rows_per_feature",
               static_cast<double>(options.rows) / static_cast<double>(options.features)},
              {"signal", options.signal},
              {"noise", options.noise},
              {"rho", number_or_null(options.rho)},
              {"sizes", std::move(sizes)},
              {"best_bag_size", plans[best].bag_size},
              {"assumption", kAssumption}});
}

void show_table(const PlanOptions& options, const std::vector<labels::BagPlan>& plans,
                std::size_t best) {
  using Align = Table::Align;
  std::vector<Table::Column> columns{
      {"bag size", Align::right},       {"risk, bag level", Align::right},
      {"instance level", Align::right}, {"best rho", Align::right},
      {"its risk", Align::right},       {"threshold", Align::right}};
  if (options.rho) columns.push_back({fmt::format("at rho {}", *options.rho), Align::right});
  if (options.privacy.epsilon) columns.push_back({"added noise", Align::right});
  Table table(std::move(columns));
  for (const labels::BagPlan& plan : plans) {
    std::vector<std::string> cells{
        format_number(plan.bag_size),          cell(plan.bag_level),
        format_number(plan.instance_level),    format_number(plan.best.rho),
        format_number(plan.best.risk.total()), cell(plan.threshold)};
    if (options.rho) cells.push_back(cell(plan.chosen));
    if (options.privacy.epsilon) cells.push_back(format_number(plan.added_noise));
    table.add_row(std::move(cells));
  }
  print(table.text());
  print(fmt::format("best bag size: {} ({})\n", format_number(plans[best].bag_size), kAssumption));
}

void run(const PlanOptions& options) {
  if (options.features == 0) throw InputError("--features is 0; expected at least 1");
  const labels::BagProblem problem{
      .rows_per_feature = static_cast<double>(options.rows) / static_cast<double>(options.features),
      .bag_size = 1,
      .signal = options.signal,
      .noise = options.noise};
  const BagNoiseOptions& privacy = options.privacy;
  labels::AddedNoise noise;
  if (privacy.epsilon) {
    noise = labels::added_noise(privacy_of(privacy, options.rows));
  } else if (privacy.clip || privacy.bound || privacy.delta != 0) {
    throw InputError("--clip, --bound and --delta are about private noise; --epsilon is missing");
  }
  const auto plans =
      labels::plan_bags(problem, options.sizes, noise, options.rho, options.most_rho);
  const std::size_t best = labels::best_plan(plans, options.rho.has_value());
  if (options.common.json) {
    show_json(options, plans, best);
  } else {
    show_table(options, plans, best);
  }
}

}  // namespace

void register_label_bags_plan(CLI::App& bags) {
  CLI::App* command = bags.add_subcommand(
      "plan", "What a linear model can be expected to reach with bags of several sizes.");
  command->footer(
      example("amalgam label bags plan --rows 600 --features 100 --sizes 1,2,3,5 --signal 4\n"
              "amalgam label bags plan --rows 1000 --features 100 --sizes 1,2,5 --epsilon 1"
              " --clip 2.5"));
  auto options = std::make_shared<PlanOptions>();
  command->add_option("--rows", options->rows, "Rows n")
      ->required()
      ->check(whole_number())
      ->type_name("N");
  command->add_option("--features", options->features, "Features d; fewer than rows")
      ->required()
      ->check(whole_number())
      ->type_name("D");
  command->add_option("--sizes", options->sizes, "Bag sizes to compare (default 1,2,5,10,20)")
      ->delimiter(',')
      ->type_name("K,...");
  options->sizes = {1, 2, 5, 10, 20};
  command
      ->add_option("--signal", options->signal,
                   "Squared norm of the true coefficients of standardised features (default 1)")
      ->type_name("R2");
  command->add_option("--noise", options->noise, "Variance of the responses' noise (default 1)")
      ->type_name("S2");
  command
      ->add_option("--rho", options->rho,
                   "Also show the risk at this rho, and choose the size by it")
      ->type_name("RHO");
  command->add_option("--most-rho", options->most_rho, "Largest rho that is tried (default 1)")
      ->type_name("RHO");
  add_bag_noise_options(*command, options->privacy);
  add_common_options(*command, options->common, {Common::json});
  command->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
