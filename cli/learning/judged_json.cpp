#include <filesystem>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"
#include "cli/learning/demo_report.hpp"

namespace amalgam::cli {
namespace {

constexpr std::uint64_t kMostBytes = 64'000'000;

nlohmann::json read_json(const std::string& path) {
  return parse_json(read_text_file(path, kMostBytes), path);
}

report::Estimate estimate(const nlohmann::json& entry, const std::string& key) {
  const auto& interval = entry.at(key + "_interval");
  return {entry.at(key).get<double>(),
          {interval.at(0).get<double>(), interval.at(1).get<double>()}};
}

std::string in_words(std::string stem) {
  for (char& c : stem) {
    if (c == '-') c = ' ';
  }
  return stem;
}

JudgedNetwork read_network(const nlohmann::json& entry, const std::string& where) {
  JudgedNetwork network;
  const std::filesystem::path path = entry.at("name").get<std::string>();
  std::string stem = path.stem().string();
  constexpr const char* kAlpha = "-alpha-";
  if (const std::size_t mark = stem.find(kAlpha); mark != std::string::npos) {
    network.alpha = std::stod(stem.substr(mark + std::string_view(kAlpha).size()));
    stem.resize(mark);
  }
  network.name = in_words(stem);
  network.group = path.parent_path().filename().string();
  network.networks = json_count(entry, "networks", where);
  network.accuracy = estimate(entry, "accuracy");
  network.nll = estimate(entry, "nll");
  network.ece = estimate(entry, "ece");
  if (entry.contains("accuracy_difference")) {
    network.difference = estimate(entry, "accuracy_difference");
  }
  return network;
}

}  // namespace

JudgedSet read_judged(const std::string& path) {
  const nlohmann::json json = read_json(path);
  try {
    JudgedSet set;
    set.data = json.at("data").get<std::string>();
    if (json.at("reference").is_string()) {
      const std::filesystem::path reference = json.at("reference").get<std::string>();
      set.reference = in_words(reference.stem().string());
    }
    for (const auto& entry : json.at("results")) {
      set.networks.push_back(read_network(entry, path));
      set.examples = json_count(entry, "examples", path);
    }
    return set;
  } catch (const std::logic_error& error) {  // a number in a name that is none
    throw InputError("{}: a name with '-alpha-' but no number: {}", path, error.what());
  } catch (const nlohmann::json::exception& error) {
    throw InputError("{}: not what 'amalgam evaluate --json' prints: {}", path, error.what());
  }
}

std::vector<SoupStep> read_soup(const std::string& path) {
  const nlohmann::json json = read_json(path);
  try {
    std::vector<SoupStep> steps;
    for (const auto& trial : json.at("trials")) {
      const std::filesystem::path member = trial.at("member").get<std::string>();
      steps.push_back({in_words(member.stem().string()), trial.at("alone").get<double>(),
                       trial.at("score").get<double>(), trial.at("accepted").get<bool>()});
    }
    return steps;
  } catch (const nlohmann::json::exception& error) {
    throw InputError("{}: not what 'amalgam merge --method greedy_soup --json' prints: {}", path,
                     error.what());
  }
}

}  // namespace amalgam::cli
