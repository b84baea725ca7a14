#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/text_output.hpp"
#include "cli/label_bags.hpp"
#include "cli/label_options.hpp"

namespace amalgam::cli {
namespace {

struct ReleaseOptions {
  std::string rows;
  std::string bag;
  std::string response;
  BagNoiseOptions privacy;
  std::optional<std::uint64_t> seed;
  std::string out;
  std::string record;
  std::string ledger;
  std::optional<double> budget;
  CommonOptions common;
};

Json record_json(const ReleaseOptions& options, const labels::ReleaseRecord& record) {
  return {{"mechanism", labels::mechanism_name(record.options.mechanism)},
          {"epsilon", record.options.epsilon},
          {"delta", record.options.delta},
          {"neighbours", labels::neighbours_name(record.options.neighbours)},
          {"bound", record.options.bound},
          {"sensitivity_of_a_sum", record.sensitivity},
          {"noise_scale_of_a_sum", record.scale},
          {"grid", record.grid},
          {"rows", record.rows},
          {"bags", record.bags},
          {"smallest_bag", record.smallest_bag},
          {"largest_bag", record.largest_bag},
          {"random_bits", options.seed ? fmt::format("seed {}: not private", *options.seed)
                                       : std::string("getrandom")}};
}

// What earlier releases of the same responses have spent.
struct Ledger {
  nlohmann::json releases = nlohmann::json::array();
  double epsilon = 0;
  double delta = 0;
};

Ledger read_ledger(const std::string& path) {
  constexpr std::uint64_t kMostBytes = 16U << 20U;
  Ledger ledger;
  if (!std::filesystem::exists(path)) return ledger;
  const nlohmann::json document = parse_json(read_text_file(path, kMostBytes), path);
  if (!document.is_object() || !document.contains("releases") || !document["releases"].is_array()) {
    throw InputError("{}: not a ledger of releases; expected an object with a list 'releases'",
                     path);
  }
  ledger.releases = document["releases"];
  for (const auto& release : ledger.releases) {
    const auto spent = [&](const char* key) {
      const bool fits = release.is_object() && release.contains(key) && release[key].is_number();
      const double value = fits ? release[key].get<double>() : -1;
      if (!(value >= 0)) {
        throw InputError("{}: a release has no '{}' that is a number >= 0", path, key);
      }
      return value;
    };
    ledger.epsilon += spent("epsilon");
    ledger.delta += spent("delta");
  }
  return ledger;
}

void write_json(const std::string& path, const Json& json) {
  TextOutput output(path);
  output.write(json.dump(2) + "\n");
  output.commit();
}

// Enters the release before anything of it is shown, so that what is out is always accounted for.
Ledger spend(const ReleaseOptions& options, const labels::PrivacyOptions& privacy) {
  Ledger ledger;
  if (!options.ledger.empty()) ledger = read_ledger(options.ledger);
  const double total = ledger.epsilon + privacy.epsilon;
  if (options.budget && total > *options.budget) {
    throw InputError(
        "the budget of epsilon is {}, of which {} is spent already ({} releases): a release with"
        " epsilon {} is too much",
        *options.budget, ledger.epsilon, ledger.releases.size(), privacy.epsilon);
  }
  ledger.epsilon = total;
  ledger.delta += privacy.delta;
  if (options.ledger.empty()) return ledger;
  ledger.releases.push_back({{"rows", options.rows},
                             {"response", options.response},
                             {"mechanism", options.privacy.mechanism},
                             {"epsilon", privacy.epsilon},
                             {"delta", privacy.delta}});
  write_json(options.ledger, {{"releases", ledger.releases},
                              {"total_epsilon", ledger.epsilon},
                              {"total_delta", ledger.delta}});
  return ledger;
}

void run(const ReleaseOptions& options) {
  check_outputs({options.rows}, {options.out, options.record, options.ledger});
  if (options.budget && options.ledger.empty()) {
    throw InputError("--budget needs --ledger, which says what is spent already");
  }
  if (options.budget && !(*options.budget >= 0)) {
    throw InputError("--budget is {}; expected a number >= 0", *options.budget);
  }
  const labels::BagRows rows = labels::read_bag_rows(options.rows, {.bag = options.bag,
                                                                    .response = options.response,
                                                                    .class_column = {},
                                                                    .features = {},
                                                                    .ignore = {},
                                                                    .reads_features = false});
  const labels::PrivacyOptions privacy = privacy_of(options.privacy, rows.rows);
  const labels::Bags bags = rows.bags();
  std::unique_ptr<labels::RandomBits> bits;
  if (options.seed) {
    log::warn("noise by --seed is not private: who knows the seed can take it away");
    bits = std::make_unique<labels::SeededBits>(*options.seed);
  } else {
    bits = std::make_unique<labels::SecureBits>();
  }
  const labels::PrivateRelease release = labels::release_bags(bags, rows.responses, privacy, *bits);
  const Ledger ledger = spend(options, privacy);
  labels::write_bag_values(options.out, options.bag, rows.bag_names,
                           std::vector<std::string>{"response"}, release.means);
  const Json record = record_json(options, release.record);
  if (!options.record.empty()) write_json(options.record, record);
  if (release.clipped > 0) {
    log::warn("{} of {} responses were clipped at {} (this number is not private)", release.clipped,
              rows.rows, format_number(privacy.bound));
  }
  if (options.common.json) {
    Json json = record;
    json["output"] = options.out;
    json["total_epsilon"] = ledger.epsilon;
    json["total_delta"] = ledger.delta;
    print_json(json);
  } else if (!options.common.quiet && options.out != "-") {
    print(fmt::format("{}: {} means of {} rows, epsilon {}, {} noise of scale {} on each sum\n",
                      printable(options.out), bags.count(), rows.rows, privacy.epsilon,
                      options.privacy.mechanism, format_number(release.record.scale)));
  }
}

}  // namespace

void register_label_bags_release(CLI::App& bags) {
  CLI::App* command = bags.add_subcommand(
      "release", "Publish the mean response of each bag with noise: label differential privacy.");
  command->footer(
      example("amalgam label bags release rows.csv --bag bag --response outcome --epsilon 1"
              " --bound 3 --out means.csv --record record.json\n"
              "amalgam label bags release rows.csv --bag bag --response outcome --epsilon 0.5"
              " --delta 1e-6 --mechanism gaussian --clip 2.5 --ledger ledger.json --budget 2"
              " --out means.csv"));
  auto options = std::make_shared<ReleaseOptions>();
  command->add_option("rows", options->rows, "Table of rows with their responses")
      ->required()
      ->type_name("ROWS");
  command->add_option("--bag", options->bag, "Column that names each row's bag")
      ->required()
      ->type_name("COLUMN");
  command->add_option("--response", options->response, "Column of the responses")
      ->required()
      ->type_name("COLUMN");
  add_bag_noise_options(*command, options->privacy);
  command->get_option("--epsilon")->required();
  command
      ->add_option("--seed", options->seed,
                   "Noise that can be drawn again, for tests; without it, bits of the system's"
                   " secure source")
      ->check(whole_number())
      ->type_name("N");
  command->add_option("-o,--out", options->out, "Where the noisy means are written: bag,response")
      ->required()
      ->type_name("BAGS");
  command->add_option("--record", options->record, "Where it is written what was done, as JSON")
      ->type_name("JSON");
  command
      ->add_option("--ledger", options->ledger,
                   "File in which all releases of these responses are entered, as JSON")
      ->type_name("JSON");
  command
      ->add_option("--budget", options->budget,
                   "Refuse a release with which the ledger's epsilons sum to more than this")
      ->type_name("E");
  add_common_options(*command, options->common, {Common::json, Common::quiet});
  command->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
