#pragma once

#include <string>
#include <vector>

#include "amalgam/labels/weak/protocol.hpp"
#include "cli/learning/label_autows_data.hpp"

/// What `amalgam label autows` writes for training: the rows that a pipeline labels.
namespace amalgam::cli {

/// Whether a training set is to be written.
bool writes_training_set(const AutoWsCommand& command);
/// InputError for options of it that contradict each other, or outputs that are inputs.
void check_training_set(const AutoWsCommand& command);

/// The training sets that pipelines made of one draw of rows.
class TrainingSets {
 public:
  explicit TrainingSets(labels::ProtocolRows rows) : rows_(std::move(rows)) {}

  /// Keeps what `pipeline` ("raw, Snuba, generative") says of the unlabelled rows; nothing if it
  /// labels none of them.
  void keep(const std::string& pipeline, const labels::ProtocolResult& result);

  /// How good a pipeline is: its accuracy on all test rows.
  struct Score {
    std::string pipeline;
    double accuracy;
  };
  /// The pipeline called `name`, or, if that is empty, the best one of `scores` (the first one of
  /// equal ones). InputError if there is no such training set, naming those that are there.
  std::string choose(const std::string& name, const std::vector<Score>& scores) const;

  /// Writes task,label, and task with the probability of each class (each unless its path is
  /// empty): the labelled rows with their classes and the unlabelled rows that the pipeline covers,
  /// by their numbers in the data from 0, increasing. Returns how many rows there are.
  std::size_t write(const std::string& pipeline, const AutoWsTask& task, const std::string& out,
                    const std::string& soft) const;

 private:
  struct Set {
    std::string pipeline;
    labels::WeakLabels labels;
  };
  labels::ProtocolRows rows_;
  std::vector<Set> sets_;
};

}  // namespace amalgam::cli
