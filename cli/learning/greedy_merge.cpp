// Greedy soups: members are chosen by the accuracy of their average on held-out data.
#include <fmt/format.h>

#include <memory>
#include <span>
#include <utility>

#include "amalgam/learning/batch_norm.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/weights/learned/greedy_soup.hpp"
#include "amalgam/weights/merge.hpp"
#include "cli/learning/data_options.hpp"
#include "cli/learning/evaluation_output.hpp"
#include "cli/learning/learned_merge.hpp"

namespace amalgam::cli {
namespace {

using learned::GreedySoup;
using learned::SoupTrial;

// Scores averages of members by their accuracy, in the mean over the tasks.
class HeldOutAccuracy {
 public:
  explicit HeldOutAccuracy(LearnedMerge& merge) : data_(merge.data) {
    OpenedMembers opened = open_members(merge.members);
    sources_ = std::move(opened.sources);
    description_ = std::move(opened.network);
    tasks_ = merge.data.tasks(description_);
    engine_.parallel = merge.command.common.parallel();
  }

  double operator()(std::span<const std::size_t> members) const {
    check_interrupt();
    const auto network = average(members);
    double sum = 0;
    for (const learning::Dataset& task : tasks_) {
      const torch::Tensor logits = learning::predict_logits(*network, task);
      sum += learning::evaluate(learning::log_probabilities(logits).flatten(0, -2),
                                task.labels.flatten(), task.class_names, {.resamples = 0})
                 .accuracy;
    }
    return sum / static_cast<double>(tasks_.size());
  }

  bool has_batch_norm() const {
    return learning::has_batch_norm(*learning::make_network(description_, "member"));
  }

  // With statistics of its own, if it has BatchNorm.
  std::shared_ptr<learning::Network> average(std::span<const std::size_t> members) const {
    std::vector<std::shared_ptr<const TensorSource>> chosen;
    for (const std::size_t member : members) chosen.push_back(sources_[member]);
    auto network =
        learning::load_network(*learned::average_in_memory(chosen, engine_), description_);
    refresh_batch_norm(*network, &data_);
    return network;
  }

 private:
  MergeData& data_;
  std::vector<learning::Dataset> tasks_;
  std::vector<std::shared_ptr<const TensorSource>> sources_;
  learning::NetworkDescription description_;
  EngineOptions engine_;
};

Json to_json(const GreedySoup& soup, const LearnedMerge& merge) {
  Json json{{"score", soup.score}, {"ingredients", Json::array()}, {"trials", Json::array()}};
  for (const std::size_t member : soup.ingredients) {
    json["ingredients"].push_back(merge.members[member]);
  }
  for (const SoupTrial& trial : soup.trials) {
    json["trials"].push_back({{"member", merge.members[trial.member]},
                              {"alone", trial.alone},
                              {"before", trial.before},
                              {"score", trial.score},
                              {"accepted", trial.accepted}});
  }
  return json;
}

void print_soup(const GreedySoup& soup, const LearnedMerge& merge) {
  using Align = Table::Align;
  Table table({{"member"}, {"alone %", Align::right}, {"soup with it %", Align::right}, {"kept"}});
  for (const SoupTrial& trial : soup.trials) {
    table.add_row({merge.members[trial.member], percent(trial.alone), percent(trial.score),
                   trial.accepted ? "yes" : "no"});
  }
  print(table.text());
  print(fmt::format("average of {} of {} members, {} % on {}\n", soup.ingredients.size(),
                    merge.members.size(), percent(soup.score), merge.data.describe()));
}

}  // namespace

Json merge_greedily(LearnedMerge& merge) {
  const HeldOutAccuracy accuracy(merge);
  Progress progress("greedy soup", 2 * merge.members.size() - 1, Progress::Unit::items,
                    merge.command.common.progress_mode());
  const GreedySoup soup = learned::greedy_soup(merge.members.size(),
                                               [&](std::span<const std::size_t> members) {
                                                 const double score = accuracy(members);
                                                 progress.advance(1);
                                                 return score;
                                               },
                                               {.strict = merge.parameters.flag("strict")});
  progress.finish();

  Json json = to_json(soup, merge);
  if (accuracy.has_batch_norm()) {
    check_safetensors_output(merge.command.output, {});
    learning::save_network(merge.command.output, *accuracy.average(soup.ingredients),
                           merge.command.overwrite);
    json["batch_norm"] = "estimated anew on " + merge.data.describe();
    if (!merge.command.common.json && !merge.command.common.quiet) print_soup(soup, merge);
    return json;
  }
  std::vector<std::string> chosen;
  for (const std::size_t member : soup.ingredients) chosen.push_back(merge.members[member]);
  MergeOptions options;
  options.output = merge.command.output;
  options.engine.parallel = merge.command.common.parallel();
  options.progress = Progress::Mode::never;
  options.overwrite = merge.command.overwrite;
  merge_checkpoints({learned::uniform_soup(chosen)}, options);
  if (!merge.command.common.json && !merge.command.common.quiet) print_soup(soup, merge);
  return json;
}

}  // namespace amalgam::cli
