#pragma once

#include <memory>
#include <string>
#include <vector>

#include "amalgam/experiments/workshop.hpp"
#include "amalgam/learning/gram.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"

namespace amalgam::experiments {

/// A base network, experts fine-tuned from it on tasks of their own, and the tasks.
struct TaskFamily {
  std::shared_ptr<learning::Network> base;
  std::vector<std::shared_ptr<learning::Network>> experts;  ///< one per task
  std::vector<learning::Dataset> train;                     ///< what each expert saw
  std::vector<learning::Dataset> validation;
  std::vector<learning::Dataset> test;
  std::vector<learning::Dataset> held_out;  ///< test images of tasks that no expert saw

  /// The weights of the base and of the experts, and as sources for merging.
  learned::NamedTensors base_state() const { return learning::state_of(*base); }
  std::vector<learned::NamedTensors> states() const;
  std::vector<learned::NamedTensors> task_vectors() const;

  /// The mean accuracy over `tasks` (`test` or `validation`, or parts of them).
  static double score(learning::Network& network, const std::vector<learning::Dataset>& tasks);
  /// A network of the base's kind with these weights, and its score on the test images.
  double score_of(const learned::NamedTensors& state) const;
  /// The mean accuracy of each expert on the test images of its own task.
  double own_score() const;

  /// The merge of all experts by a rule, as `amalgam merge --method` makes it; the base is given
  /// to rules that use it.
  std::shared_ptr<learning::Network> merged(const std::string& method,
                                            const std::vector<std::string>& parameters,
                                            bool with_base) const;
};

/// What baselines know of a checkpoint: its Fisher diagonal and Gram matrices, from `seen`.
struct MemberStatistics {
  learning::NamedTensors fisher;
  learning::GramSums grams;

  MemberStatistics(learning::Network& network, const learning::Dataset& seen);
};
/// `amalgam merge --method fisher` of checkpoints with these statistics (and more parameters, as
/// for -p), of the kind of `like`.
std::shared_ptr<learning::Network> merged_by_fisher(
    const learning::Network& like, const std::vector<learned::NamedTensors>& states,
    const std::vector<MemberStatistics>& statistics, const std::vector<std::string>& more = {});
/// `--method regmean` of them.
std::shared_ptr<learning::Network> merged_by_regmean(
    const learning::Network& like, const std::vector<learned::NamedTensors>& states,
    const std::vector<MemberStatistics>& statistics, double off_diagonal = 0.9);
/// One network for all tasks: the base fine-tuned on the training data of all of them together, as
/// experts are on theirs.
std::shared_ptr<learning::Network> trained_on_all(Workshop& workshop, const TaskFamily& family,
                                                  double rate, std::uint64_t epochs,
                                                  std::uint64_t seed);

/// Fashion-MNIST at 14x14 with one half of every image kept: tasks left and right. Base: MLP
/// 196-64-10 on 1,000 full images; experts: 8,000 images of their half.
TaskFamily half_images(Workshop& workshop, std::uint64_t seed);

/// The same with a quarter of every image kept: four tasks, experts of 6,000 images each.
TaskFamily quarter_images(Workshop& workshop, std::uint64_t seed);

struct TransformOptions {
  bool pooled = false;      ///< images of 14x14 instead of 28x28
  std::int64_t width = 64;  ///< of the two hidden layers
  /// The base has seen every transform; otherwise it saw the same images upright only.
  bool strong_base = true;
};

/// Fashion-MNIST under transforms: tasks inverted, rotated by 90 and 180 degrees, and with halves
/// swapped; upright, rotated by 270 degrees, transposed, and inverted and rotated are held out.
/// Base: MLP with two hidden layers on 3,000 images, an eighth under each of the eight transforms;
/// experts: 4,000 images each; the first 4,000 test images under each transform.
TaskFamily eight_transforms(Workshop& workshop, std::uint64_t seed,
                            const TransformOptions& options = {});

}  // namespace amalgam::experiments
