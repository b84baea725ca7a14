#include "cli/label_bags.hpp"

#include <memory>

#include "amalgam/core/error.hpp"
#include "cli/label_commands.hpp"

namespace amalgam::cli {
namespace {

labels::Mechanism mechanism_of(const std::string& name) {
  if (name == "gaussian") return labels::Mechanism::gaussian;
  return name == "analytic-gaussian" ? labels::Mechanism::analytic_gaussian
                                     : labels::Mechanism::laplace;
}

void register_fit(CLI::App& bags, bool& needs_library) {
  CLI::App* command = bags.add_subcommand(
      "fit", "Learn a model of rows from one response per bag: linear, or a network.");
  auto options = std::make_shared<BagFitCommand>();
  add_bag_fit_options(*command, *options);
  command->callback([options, &needs_library] {
    check_bag_fit(*options);
    if (needs_network(*options)) {
      needs_library = true;
    } else {
      fit_linear_bags(*options);
    }
  });
}

}  // namespace

void add_bag_noise_options(CLI::App& command, BagNoiseOptions& options) {
  command.add_option("--epsilon", options.epsilon, "Privacy: the smaller, the more noise")
      ->type_name("E");
  command
      .add_option("--delta", options.delta,
                  "Probability that epsilon may be exceeded with; for Gaussian noise only")
      ->type_name("D");
  command
      .add_option("--clip", options.clip,
                  "Clip responses at C sqrt(log n) of n rows: a public constant, never of the data")
      ->type_name("C");
  command.add_option("--bound", options.bound, "Clip responses at this instead")->type_name("B");
  command
      .add_option("--mechanism", options.mechanism,
                  "laplace (default), gaussian (epsilon <= 1) or analytic-gaussian")
      ->check(CLI::IsMember({"laplace", "gaussian", "analytic-gaussian"}))
      ->type_name("NAME");
  command
      .add_option("--neighbours", options.neighbours,
                  "What must not be told apart: one response replaced by any other (replace, the"
                  " default) or by 0 (zero; half the noise)")
      ->check(CLI::IsMember({"replace", "zero"}))
      ->type_name("NAME");
}

labels::PrivacyOptions privacy_of(const BagNoiseOptions& options, std::uint64_t rows) {
  if (options.clip.has_value() == options.bound.has_value()) {
    throw InputError("private noise needs a bound of the responses: --clip C or --bound B");
  }
  if (!options.epsilon) throw InputError("private noise needs an --epsilon");
  labels::PrivacyOptions privacy{
      .mechanism = mechanism_of(options.mechanism),
      .neighbours =
          options.neighbours == "zero" ? labels::Neighbours::zero : labels::Neighbours::replace,
      .epsilon = *options.epsilon,
      .delta = options.delta,
      .bound = options.clip ? labels::clip_bound(*options.clip, rows) : *options.bound};
  labels::check_privacy(privacy);
  return privacy;
}

void register_label_bags(CLI::App& label, bool& needs_library) {
  CLI::App* bags = label.add_subcommand(
      "bags", "Learn from bags of rows of which only the mean response is known.");
  bags->footer(
      example("amalgam label bags plan --rows 10000 --features 20 --sizes 1,5,10,50 --epsilon 1"
              " --clip 2.5\n"
              "amalgam label bags make patients.csv --size 10 --out rows.csv\n"
              "amalgam label bags release rows.csv --bag bag --response outcome --epsilon 1"
              " --bound 3 --out means.csv\n"
              "amalgam label bags fit rows.csv --bag bag --responses means.csv --ignore outcome"
              " --out model.csv"));
  bags->require_subcommand(1);
  register_fit(*bags, needs_library);
  register_label_bags_plan(*bags);
  register_label_bags_make(*bags);
  register_label_bags_merge(*bags);
  register_label_bags_release(*bags);
}

}  // namespace amalgam::cli
