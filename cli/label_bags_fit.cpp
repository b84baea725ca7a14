#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/data/table_cells.hpp"
#include "amalgam/labels/column_file.hpp"
#include "cli/label_bags.hpp"
#include "cli/label_options.hpp"

namespace amalgam::cli {
namespace {

bool is(const BagFitCommand& command, const char* method) { return command.method == method; }

bool is_proportions(const BagFitCommand& command) { return is(command, "label-proportions"); }

void add_column_options(CLI::App& command, BagFitCommand& options) {
  command
      .add_option("rows", options.rows,
                  "Table of rows: features and each row's bag; or a state of bags (.safetensors)")
      ->required()
      ->type_name("ROWS");
  command.add_option("--bag", options.bag, "Column that names each row's bag")->type_name("COLUMN");
  command
      .add_option("--response", options.response,
                  "Column of responses in ROWS, which are averaged in each bag; with --responses"
                  " the column of means there (default response)")
      ->type_name("COLUMN");
  command
      .add_option("--responses", options.responses,
                  "Table with one row per bag: the column --bag and the bag's mean response")
      ->type_name("BAGS");
  command
      .add_option("--class", options.class_column,
                  "For label-proportions: column of ROWS that names each row's class, of which only"
                  " the shares in each bag are used")
      ->type_name("COLUMN");
  command
      .add_option("--shares", options.shares,
                  "For label-proportions: columns of --responses, one per class, with the class's"
                  " share in each bag")
      ->delimiter(',')
      ->type_name("COLUMN,...");
  command.add_option("--features", options.features, "Columns of features (default: all others)")
      ->delimiter(',')
      ->type_name("COLUMN,...");
  command.add_option("--ignore", options.ignore, "Columns that are no features")
      ->delimiter(',')
      ->type_name("COLUMN,...");
}

void add_method_options(CLI::App& command, BagFitCommand& options) {
  command
      .add_option("--method", options.method,
                  "interpolated (default), bag (rho = 0), instance (rho = 1), ridge (on bag means,"
                  " strength by cross-validation unless --ridge) or label-proportions (a network)")
      ->check(CLI::IsMember({"interpolated", "bag", "instance", "ridge", "label-proportions"}))
      ->type_name("NAME");
  command
      .add_option("--rho", options.rho,
                  "Share of the instance-level loss, >= 0, or auto: by cross-validation on whole"
                  " bags (default of interpolated; of label-proportions 0)")
      ->type_name("RHO");
  command.add_option("--ridge", options.ridge, "Add this to the diagonal (default 0)")
      ->type_name("LAMBDA")
      ->each([&options](const std::string&) { options.has_ridge = true; });
  command.add_flag("--no-intercept", options.no_intercept,
                   "Without an intercept: only for responses and features of mean 0");
  command.add_option("--folds", options.folds, "Rounds of cross-validation (default 5)")
      ->check(whole_number())
      ->type_name("N");
  command
      .add_option("--hidden", options.hidden,
                  "A network with hidden layers of these widths instead of a linear model")
      ->delimiter(',')
      ->check(CLI::Range(1, 65'536))
      ->type_name("WIDTH,...");
  command.add_option("--epochs", options.epochs, "Networks: passes over all bags (default 200)")
      ->check(whole_number())
      ->type_name("N");
  command.add_option("--batch", options.batch, "Networks: bags of a step (default 16)")
      ->check(whole_number())
      ->type_name("BAGS");
  command.add_option("--learning-rate", options.learning_rate, "Networks: of Adam (default 0.01)")
      ->type_name("RATE");
}

void add_output_options(CLI::App& command, BagFitCommand& options) {
  command
      .add_option("-o,--out", options.out,
                  "Where the model is written: .csv or .json coefficients, a network .safetensors")
      ->type_name("MODEL");
  command.add_flag("--overwrite", options.overwrite, "Replace an existing network");
  command
      .add_option("--save-state", options.save_state,
                  "Linear models: write what they need of the bags, without their rows, in --folds "
                  "parts; 'label bags merge' joins states, and fit takes them for ROWS")
      ->type_name("STATE.safetensors");
  command
      .add_option("--predict", options.predict, "Table of rows to predict (its columns by name)")
      ->type_name("ROWS");
  command
      .add_option("--predictions", options.predictions,
                  "Where its predictions are written, a line for each row")
      ->type_name("OUT");
}

void refuse(bool is_wrong, const char* message) {
  if (is_wrong) throw InputError("{}", message);
}

void check_state_options(const BagFitCommand& command) {
  const bool is_state = is_bag_state(command);
  refuse(!is_state && command.bag.empty(), "which column names the rows' bags? give --bag COLUMN");
  refuse(is_state &&
             (!command.bag.empty() || !command.response.empty() || !command.responses.empty() ||
              !command.features.empty() || !command.ignore.empty() || !command.save_state.empty()),
         "a state has bags, features and responses already; leave --bag, --response, --responses, "
         "--features, --ignore and --save-state out");
  refuse(needs_network(command) && (is_state || !command.save_state.empty()),
         "networks need the rows; states are for linear models");
  if (!command.save_state.empty()) labels::check_state_name(command.save_state);
}

}  // namespace

void add_bag_fit_options(CLI::App& command, BagFitCommand& options) {
  command.footer(
      example("amalgam label bags fit rows.csv --bag bag --responses means.csv --out model.csv\n"
              "amalgam label bags fit rows.csv --bag bag --responses means.csv --rho 0.1"
              " --predict new.csv --predictions predictions.csv\n"
              "amalgam label bags fit rows.csv --bag bag --responses means.csv --save-state"
              " state.safetensors\n"
              "amalgam label bags fit state.safetensors --method bag --out model.csv\n"
              "amalgam label bags fit rows.csv --bag bag --responses means.csv --hidden 32,32"
              " --out network.safetensors\n"
              "amalgam label bags fit votes.csv --bag precinct --responses results.csv --shares"
              " left,right --method label-proportions --predict votes.csv --predictions out.csv"));
  add_column_options(command, options);
  add_method_options(command, options);
  add_output_options(command, options);
  add_common_options(command, options.common,
                     {Common::seed, Common::threads, Common::json, Common::quiet});
  command.get_option("--threads")
      ->description("Threads to use (default: all processors); linear models never depend on it");
}

bool needs_network(const BagFitCommand& command) {
  return !command.hidden.empty() || is_proportions(command);
}

bool is_bag_state(const BagFitCommand& command) { return command.rows.ends_with(".safetensors"); }

void check_bag_fit(const BagFitCommand& command) {
  check_outputs({command.rows, command.responses, command.predict},
                {command.out, command.predictions, command.save_state});
  check_state_options(command);
  refuse(command.predict.empty() != command.predictions.empty(),
         "--predict ROWS and --predictions OUT belong together");
  const bool says_classes = !command.class_column.empty() || !command.shares.empty();
  refuse(says_classes != is_proportions(command),
         "--class or --shares and --method label-proportions belong together");
  refuse(!command.class_column.empty() && !command.shares.empty(),
         "classes come from --class or --shares, not both");
  refuse(!command.shares.empty() && command.responses.empty(),
         "--shares are columns of a table of bags; --responses is missing");
  refuse(command.shares.size() == 1, "--shares names one class; expected at least two");
  refuse(!is_bag_state(command) && !is_proportions(command) && command.response.empty() &&
             command.responses.empty(),
         "no responses; give --response COLUMN or --responses BAGS");
  refuse(is(command, "ridge") && !command.rho.empty(),
         "--method ridge is at rho = 0; leave --rho out, or take --method interpolated");
  refuse((is(command, "bag") || is(command, "instance")) && !command.rho.empty(),
         "--method bag and instance say what rho is; leave --rho out");
  refuse(needs_network(command) && (is(command, "ridge") || command.has_ridge),
         "networks have no ridge");
  refuse(needs_network(command) && command.no_intercept, "networks always have an intercept");
  rho_candidates(command);
}

std::vector<double> rho_candidates(const BagFitCommand& command) {
  if (is(command, "bag") || is(command, "ridge")) return {0};
  if (is(command, "instance")) return {1};
  if (command.rho.empty() && is_proportions(command)) return {0};
  if (command.rho.empty() || command.rho == "auto") {
    if (needs_network(command)) return {0, 0.01, 0.1, 0.5, 1};
    return labels::standard_rho_grid();
  }
  const std::optional<double> rho = cell_number(command.rho);
  if (!rho || !(*rho >= 0) || *rho > 1e9) {
    throw InputError("--rho is '{}'; expected a number >= 0, or auto", command.rho);
  }
  if (is_proportions(command) && *rho > 1) {
    throw InputError("--rho is {}; for label proportions it is from 0 to 1", *rho);
  }
  return {*rho};
}

BagFitInput read_bag_fit_input(const BagFitCommand& command) {
  labels::BagRowsFormat format{.bag = command.bag,
                               .response = command.responses.empty() ? command.response : "",
                               .class_column = command.class_column,
                               .features = command.features,
                               .ignore = command.ignore};
  BagFitInput input;
  input.rows = labels::read_bag_rows(command.rows, format);
  const auto from_bags = [&](const std::vector<std::string>& columns) {
    return labels::read_bag_values(command.responses, command.bag, columns, input.rows.bag_names,
                                   command.rows);
  };
  if (!is_proportions(command)) {
    const std::string column = command.response.empty() ? "response" : command.response;
    input.data = labels::to_bag_data(
        input.rows, command.responses.empty()
                        ? labels::bag_means(input.rows.bags(), input.rows.responses)
                        : from_bags({column}));
    return input;
  }
  input.classes = command.shares;
  for (std::size_t k = 0; k < input.rows.class_names.size(); ++k) {
    input.classes.emplace_back(input.rows.class_names[k]);
  }
  refuse(input.classes.size() < 2, "there is one class only; expected at least two");
  input.shares =
      command.shares.empty() ? labels::class_shares(input.rows) : from_bags(command.shares);
  labels::check_shares(input.shares, input.classes.size(), input.rows.bag_names);
  input.data =
      labels::to_bag_data(input.rows, std::vector<double>(input.rows.bag_names.size(), 0.0));
  return input;
}

labels::BagRows read_rows_to_predict(const BagFitCommand& command,
                                     const std::vector<std::string>& features) {
  return labels::read_bag_rows(
      command.predict,
      {.bag = {}, .response = {}, .class_column = {}, .features = features, .ignore = {}});
}

Json losses_json(const labels::BagLosses& losses) {
  return {{"bag", losses.bag}, {"instance", losses.instance}, {"spread", losses.spread}};
}

}  // namespace amalgam::cli
