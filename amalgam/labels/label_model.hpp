#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/cluster.hpp"
#include "amalgam/core/parallel.hpp"
#include "amalgam/core/parameters.hpp"
#include "amalgam/labels/annotation_table.hpp"
#include "amalgam/labels/vote_evidence.hpp"

namespace amalgam::labels {

/// Probabilities of the classes of items: rows sum to 1.
struct SoftLabels {
  std::size_t items = 0;
  std::size_t classes = 0;
  std::vector<double> values;  ///< [items, classes]

  SoftLabels() = default;
  SoftLabels(std::size_t item_count, std::size_t class_count)
      : items(item_count), classes(class_count), values(item_count * class_count) {}
  std::span<double> row(std::size_t item) { return {values.data() + item * classes, classes}; }
  std::span<const double> row(std::size_t item) const {
    return {values.data() + item * classes, classes};
  }
};

/// The most probable class of each item; of equally probable ones the lowest.
struct HardLabels {
  std::vector<Label> labels;  ///< [items]
  std::uint64_t ties = 0;     ///< items with several most probable classes
};
HardLabels hard_labels(const SoftLabels& soft);

/// Probabilities are compared as equal if they differ by no more than this: sums of the same
/// numbers in another order must tie.
inline constexpr double kTie = 1e-12;

/// True labels of some tasks of a table.
struct GoldLabels {
  std::vector<Label> labels;  ///< [tasks], kNoLabel where not known
};

/// What a method says of itself, for `amalgam label methods`.
struct LabelModelInfo {
  std::string name;     ///< hyphenated words
  std::string summary;  ///< one sentence
  std::string source;   ///< paper, section or equation
  std::vector<ParameterInfo> parameters;
  std::string skill;  ///< what a worker's skill is; empty if the method has none
  bool needs_gold = false;
  bool uses_gold = false;  ///< takes gold labels as known if there are any
  bool random = false;     ///< the result depends on the seed
  std::size_t most_classes = kMostLabels;
  std::size_t fewest_workers = 1;
};

/// What is known of workers before a fit: how often each said a label while another was true. For
/// dawid-skene, whose first maximisation takes it.
struct InitialConfusion {
  std::vector<double> counts;  ///< [workers, true label, observed label], finite and >= 0
  bool adds = false;  ///< added to what the first maximisation counts, else put in its place
};

/// Where a fit stands, in its method's own numbers by name: from there a fit of more annotations
/// goes on.
struct FitPoint {
  struct Numbers {
    std::size_t columns = 1;
    std::vector<double> values;  ///< [workers or tasks, columns]; a row of NaN: nothing is known
  };
  std::map<std::string, Numbers> workers;
  std::map<std::string, Numbers> tasks;
  std::string where = "the start of a fit";  ///< begins errors: a file, if it was read from one

  bool empty() const { return workers.empty() && tasks.empty(); }
};

/// What a fit starts from and reports to.
struct FitContext {
  Parameters parameters;             ///< of the method, checked, defaults filled in
  const GoldLabels* gold = nullptr;  ///< for methods that use it
  const InitialConfusion* initial_confusion = nullptr;  ///< for dawid-skene
  /// Where the fit starts, for methods that fill LabelFit::point: with the workers and tasks of the
  /// table. Those of whom nothing is known start as in any fit. Methods that draw several starts
  /// take this one alone. InputError for numbers that no fit of the method has.
  const FitPoint* start = nullptr;
  bool keep_point = false;     ///< fill LabelFit::point, where the method can go on
  bool keep_evidence = false;  ///< fill LabelFit::evidence, where the method can
  std::uint64_t seed = 0;
  Parallel parallel;
  /// Processes that share the work of expectation-maximisation, all with the same table; null: this
  /// one is alone. Other methods do all of it in each process.
  Cluster* cluster = nullptr;
  /// Called after each iteration with the objective, if the method has one.
  std::function<void(std::size_t iteration, std::optional<double> objective)> on_iteration;
};

/// What a method makes of a table.
struct LabelFit {
  SoftLabels posterior;        ///< [tasks, labels]
  std::vector<double> skills;  ///< [workers], see LabelModelInfo::skill; may be empty
  std::vector<double>
      confusion;              ///< [workers, true label, observed label], rows sum to 1; or empty
  std::vector<double> prior;  ///< [labels]; may be empty
  /// The objective (what it is depends on the method) after each iteration; empty if there is none.
  std::vector<double> trace;
  std::size_t iterations = 0;
  bool converged = true;  ///< false if the limit of iterations ended the fit
  std::vector<std::string> warnings;
  /// The mean over workers and true labels of the estimated probability of being right, where
  /// confusion matrices are estimated: low if labels were switched, which no method can see.
  std::optional<double> mean_diagonal = {};
  VoteEvidence evidence = {};  ///< for LabelPredictor, if FitContext::keep_evidence
  FitPoint point = {};         ///< for FitContext::start, if FitContext::keep_point
  /// Quantities of the method itself by name, one per worker ("competence") or per task
  /// ("easiness").
  std::map<std::string, std::vector<double>> worker_columns = {};
  std::map<std::string, std::vector<double>> task_columns = {};
};

/// One way to make one label of many. Stateless and shared.
class LabelModel {
 public:
  virtual ~LabelModel() = default;
  virtual const LabelModelInfo& info() const = 0;
  /// Tasks without an annotation (or with no weight) get the class prior. InputError where the
  /// method cannot identify anything from the table (too few workers or classes), saying why.
  virtual LabelFit fit(const AnnotationTable& table, const FitContext& context) const = 0;
};

/// All methods in one table, in the order of `amalgam label methods`.
std::span<const LabelModel* const> label_models();
/// The method called `name`; InputError with the nearest name otherwise.
const LabelModel& find_label_model(std::string_view name);

/// Fits `method` with "name=value" parameters: what `amalgam label aggregate` does. InputError for
/// a table with one label only, parameters that do not fit, gold that is needed and missing, more
/// classes than the method can, and as LabelModel::fit.
LabelFit fit_labels(std::string_view method, const AnnotationTable& table,
                    std::span<const std::string> parameters = {}, FitContext context = {});

/// A context for `method` with default parameters.
FitContext default_context(const LabelModel& model);

}  // namespace amalgam::labels
