#include "amalgam/experiments/task_families.hpp"

#include "amalgam/learning/fisher.hpp"
#include "amalgam/weights/learned/coefficients.hpp"
#include "amalgam/weights/learned/regmean.hpp"

namespace amalgam::experiments {
namespace {

using learned::NamedTensors;
using learning::Dataset;
using learning::Network;

nlohmann::json sgd(double rate, std::uint64_t epochs) {
  return {{"epochs", epochs},
          {"batch", 128},
          {"optimizer", {{"name", "sgd"}, {"learning_rate", rate}, {"momentum", .9}}}};
}

nlohmann::json from_scratch(nlohmann::json recipe, const std::vector<std::int64_t>& hidden) {
  recipe["network"] = {{"architecture", "mlp"}, {"hidden", hidden}, {"standardise", false}};
  return recipe;
}

Dataset changed(const Dataset& data, const std::string& steps) {
  return steps.empty() ? data : learning::corrupted(data, parse_corruption(steps), 0);
}

// Where a seed's training images begin: seeds share what they must, as there are 55,000.
std::uint64_t first_image(std::uint64_t seed) { return 1000 * ((7 * seed) % 30); }

// Tasks that each keep another part of the images; the base has seen them whole.
TaskFamily kept_parts(Workshop& workshop, std::uint64_t seed, const std::vector<std::string>& parts,
                      std::uint64_t share) {
  const Dataset& train = workshop.images(Split::train);
  const std::uint64_t first = first_image(seed);
  TaskFamily family;
  family.base = workshop.train(from_scratch(sgd(.05, 10), {64}),
                               changed(train.range(first, 1000), "pool=2"), seed);
  for (std::size_t s = 0; s < parts.size(); ++s) {
    const std::string steps = "pool=2," + parts[s];
    family.train.push_back(changed(train.range(first + 1000 + share * s, share), steps));
    family.validation.push_back(changed(workshop.images(Split::validation), steps));
    family.test.push_back(changed(workshop.images(Split::test), steps));
    family.experts.push_back(
        workshop.train(sgd(.02, 5), family.train.back(), 10 * seed + s, family.base.get()));
  }
  return family;
}

}  // namespace

std::vector<NamedTensors> TaskFamily::states() const {
  std::vector<NamedTensors> all;
  all.reserve(experts.size());
  for (const auto& expert : experts) all.push_back(learning::state_of(*expert));
  return all;
}

std::vector<NamedTensors> TaskFamily::task_vectors() const {
  const NamedTensors origin = base_state();
  std::vector<NamedTensors> all;
  all.reserve(experts.size());
  for (const auto& expert : experts) {
    all.push_back(learned::subtract(learning::state_of(*expert), origin));
  }
  return all;
}

double TaskFamily::score(Network& network, const std::vector<Dataset>& tasks) {
  double sum = 0;
  for (const Dataset& task : tasks) sum += accuracy(network, task);
  return sum / static_cast<double>(tasks.size());
}

double TaskFamily::score_of(const NamedTensors& state) const {
  return score(*learning::network_with(*base, state), test);
}

double TaskFamily::own_score() const {
  double sum = 0;
  for (std::size_t i = 0; i < experts.size(); ++i) sum += accuracy(*experts[i], test[i]);
  return sum / static_cast<double>(experts.size());
}

std::shared_ptr<Network> TaskFamily::merged(const std::string& method,
                                            const std::vector<std::string>& parameters,
                                            bool with_base) const {
  learned::MemoryMerge merge{.method = method, .parameters = parameters, .files = {}};
  if (with_base) merge.base = learned::as_source(base_state(), "base");
  for (const auto& expert : experts) {
    merge.members.push_back(learned::as_source(learning::state_of(*expert), "expert"));
  }
  return learning::load_network(*learned::merge_in_memory(merge), base->description());
}

MemberStatistics::MemberStatistics(Network& network, const Dataset& seen)
    : fisher(learning::fisher_diagonal(network, seen)), grams(learning::gram_sums(network, seen)) {}

std::shared_ptr<Network> merged_by_fisher(const Network& like,
                                          const std::vector<NamedTensors>& states,
                                          const std::vector<MemberStatistics>& statistics,
                                          const std::vector<std::string>& more) {
  learned::MemoryMerge merge{.method = "fisher", .parameters = more, .files = {}};
  std::string files = "fisher=";
  for (std::size_t i = 0; i < states.size(); ++i) {
    const std::string name = "f" + std::to_string(i);
    files += (i == 0 ? "" : ",") + name;
    merge.members.push_back(learned::as_source(states[i], "expert"));
    merge.files[name] = learned::as_source(statistics[i].fisher, "fisher");
  }
  merge.parameters.insert(merge.parameters.begin(), files);
  return learning::load_network(*learned::merge_in_memory(merge), like.description());
}

std::shared_ptr<Network> merged_by_regmean(const Network& like,
                                           const std::vector<NamedTensors>& states,
                                           const std::vector<MemberStatistics>& statistics,
                                           double off_diagonal) {
  std::vector<const NamedTensors*> members;
  std::vector<const learning::GramSums*> grams;
  for (std::size_t i = 0; i < states.size(); ++i) {
    members.push_back(&states[i]);
    grams.push_back(&statistics[i].grams);
  }
  return learning::network_with(
      like, learned::regmean(members, grams, {.off_diagonal = off_diagonal, .shares = {}}));
}

std::shared_ptr<Network> trained_on_all(Workshop& workshop, const TaskFamily& family, double rate,
                                        std::uint64_t epochs, std::uint64_t seed) {
  return workshop.train(sgd(rate, epochs), learning::joined(family.train), seed, family.base.get());
}

TaskFamily half_images(Workshop& workshop, std::uint64_t seed) {
  return kept_parts(workshop, seed, {"keep=left", "keep=right"}, workshop.size(8000, 3000));
}

TaskFamily quarter_images(Workshop& workshop, std::uint64_t seed) {
  std::vector<std::string> parts;
  for (const char* side : {"left", "right"}) {
    for (const char* half : {"left", "right"}) {  // upper and lower, of the transposed image
      parts.push_back(std::string("keep=") + side + ",transpose,keep=" + half + ",transpose");
    }
  }
  return kept_parts(workshop, seed, parts, workshop.size(6000, 3000));
}

TaskFamily eight_transforms(Workshop& workshop, std::uint64_t seed,
                            const TransformOptions& options) {
  const std::vector<std::string> seen{"invert", "rotate=90", "rotate=180", "swap"};
  const std::vector<std::string> held_out{"", "rotate=270", "transpose", "invert,rotate=90"};
  std::vector<std::string> all = held_out;
  all.insert(all.end(), seen.begin(), seen.end());
  const auto under = [&](const Dataset& data, const std::string& transform) {
    const std::string first = options.pooled ? "pool=2" : "";
    return changed(data, first + (first.empty() || transform.empty() ? "" : ",") + transform);
  };

  const Dataset& train = workshop.images(Split::train);
  constexpr std::uint64_t kPart = 375;  // an eighth of 3,000
  const std::uint64_t share = workshop.size(4000, 2000);
  const std::uint64_t first = first_image(seed);
  std::vector<Dataset> parts;
  for (std::size_t i = 0; i < all.size(); ++i) {
    parts.push_back(
        under(train.range(first + kPart * i, kPart), options.strong_base ? all[i] : ""));
  }
  const Dataset test = workshop.images(Split::test).range(0, workshop.size(4000, 1000));
  TaskFamily family;
  family.base = workshop.train(from_scratch(sgd(.05, 12), {options.width, options.width}),
                               learning::joined(parts), seed);
  for (std::size_t t = 0; t < seen.size(); ++t) {
    family.train.push_back(under(train.range(first + 8 * kPart + share * t, share), seen[t]));
    family.validation.push_back(under(workshop.images(Split::validation).range(0, 1000), seen[t]));
    family.test.push_back(under(test, seen[t]));
    family.experts.push_back(
        workshop.train(sgd(.01, 4), family.train.back(), 10 * seed + t, family.base.get()));
  }
  for (const std::string& transform : held_out) family.held_out.push_back(under(test, transform));
  return family;
}

}  // namespace amalgam::experiments
