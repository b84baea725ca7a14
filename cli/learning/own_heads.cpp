#include "cli/learning/own_heads.hpp"

#include <sstream>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/batch_norm.hpp"
#include "amalgam/weights/learned/linear_probe.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"
#include "amalgam/weights/learned/pair_gram.hpp"

namespace amalgam::cli {

bool has_own_heads(const LearnedMerge& merge) {
  const bool can_have = merge.method.name == "pleas" || merge.method.name == "zipit";
  return can_have && merge.parameters.text("heads") != "shared";
}

std::vector<std::string> own_head_names(const LearnedMerge& merge) {
  const std::string& text = merge.parameters.text("head_names");
  std::vector<std::string> names;
  std::istringstream words(text);
  for (std::string name; std::getline(words, name, ',');) names.push_back(name);
  if (names.size() != merge.members.size()) {
    throw InputError("{}: {}: head_names is '{}'; expected {} names with commas between",
                     merge.recipe.label, merge.method.name, text, merge.members.size());
  }
  return names;
}

std::vector<std::shared_ptr<learning::Network>> networks_of(const LearnedMerge& merge,
                                                            const Ingredients& from) {
  std::vector<std::shared_ptr<learning::Network>> networks{from.network};
  for (std::size_t k = 1; k < from.members.size(); ++k) {
    networks.push_back(learning::load_network(
        *learned::as_source(from.members[k], merge.members[k]), from.kinds[k]));
    learned::check_pair(*networks.front(), *networks.back(), has_own_heads(merge));
  }
  if (!learning::has_batch_norm(*networks.front())) return networks;
  for (auto& network : networks) network = learning::fold_batch_norm(*network);
  return networks;
}

std::vector<learning::Dataset> tasks_of_own_heads(const LearnedMerge& merge,
                                                  const Ingredients& from, MergeData& data) {
  const std::vector<std::string> names = own_head_names(merge);
  if (data.task_count() != names.size()) {
    throw InputError(
        "{}: {}: heads={} and what needs labels takes a task per network, in their order; expected"
        " {} --task, found {}",
        merge.recipe.label, merge.method.name, merge.parameters.text("heads"), names.size(),
        merge.recipe.tasks.size());
  }
  std::vector<learning::Dataset> tasks;
  for (std::size_t k = 0; k < names.size(); ++k) {
    tasks.push_back(data.task(k, from.kinds[k]));
    std::string& head = tasks.back().head;
    if (!head.empty() && head != names[k]) {
      throw InputError("{}: task '{}' names the head '{}'; expected '{}', as head_names says",
                       merge.recipe.label, data.task_name(k), head, names[k]);
    }
    head = names[k];
  }
  return tasks;
}

void train_own_heads(LearnedMerge& merge, const Ingredients& from, learning::Network& network,
                     Json& details) {
  if (merge.parameters.text("heads") != "probe") return;
  details["probe_losses"] = Json::array();
  for (const learning::Dataset& task : tasks_of_own_heads(merge, from, merge.data)) {
    const double loss =
        learned::fit_linear_probe(network, task,
                                  {.epochs = count_of(merge.parameters, "probe_epochs"),
                                   .learning_rate = merge.parameters.number("probe_learning_rate"),
                                   .seed = merge.seed()});
    details["probe_losses"].push_back(loss);
  }
}

}  // namespace amalgam::cli
