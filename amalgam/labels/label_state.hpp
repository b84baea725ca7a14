#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "amalgam/labels/column_file.hpp"
#include "amalgam/labels/label_model.hpp"

namespace amalgam::labels {

/// How new annotations are taken in. Methods that are exact after every update need none of it but
/// `max_sweeps`.
struct AbsorbOptions {
  /// Ends when no posterior changed by more in a sweep. Those that would change by less than a
  /// hundredth of it stay as they are.
  double tolerance = 1e-4;
  std::size_t max_sweeps = 1000;  ///< at most so many
  /// A worker without new annotations joins the update once the posteriors of the tasks that he
  /// annotated have moved by this share of all his annotations in sum, from before a round of
  /// sweeps to its end: what moves and comes back within a round counts nothing.
  double spread = 0.05;
  /// What is said of the gold labels of all annotations' table, once the added ones are in it; they
  /// are taken as known, in place of what the state knew of the same tasks. For states that hold
  /// gold labels; InputError for others.
  std::function<GoldLabels(const AnnotationTable& all)> gold;
  Parallel parallel;  ///< of fits of everything
};

/// What taking in new annotations did.
struct AbsorbReport {
  std::uint64_t annotations = 0;
  std::uint64_t new_tasks = 0;
  std::uint64_t new_workers = 0;
  /// Of tasks by workers who had annotated them before; counted by states of texts and masks.
  std::uint64_t repeated = 0;
  std::size_t sweeps = 0;
  std::uint64_t tasks_updated = 0;    ///< different ones
  std::uint64_t workers_updated = 0;  ///< whose other tasks were looked at again
  bool converged = false;
  double largest_change = 0;  ///< of a posterior in the last sweep
  /// What has not been carried on: how far posteriors moved, from before each round of sweeps to
  /// its end (net: whatever lies between), summed over annotations of workers whose other tasks
  /// were not looked at again, as a share of all annotations.
  double stale_mass = 0;
  bool fits_everything = false;  ///< it was a fit of all annotations, in time that grows with them
};

/// What sweeps over everything did.
struct RefineReport {
  std::size_t sweeps = 0;
  bool converged = false;
  double largest_change = 0;
};

/// Annotations and what was learned of them, which take in more of them.
///
/// Tasks, workers and labels keep the numbers in which they came here; those of later annotations
/// follow. Labels must all be there from the start.
class LabelState {
 public:
  virtual ~LabelState() = default;

  /// Takes in annotations. InputError, and nothing changes, for a label that was not there before.
  virtual AbsorbReport absorb(const AnnotationTable& added, const AbsorbOptions& options = {}) = 0;
  /// Sweeps over all tasks until no posterior changes by more than `tolerance` in one.
  virtual RefineReport refine(double tolerance, std::size_t max_sweeps,
                              const Parallel& parallel) = 0;

  /// Everything as a table and the fit of it with its warnings, for writing; with
  /// LabelFit::evidence, if asked for.
  struct Result {
    AnnotationTable table;
    LabelFit fit;
  };
  virtual Result result(bool keep_evidence = false) const = 0;

  /// All annotations in canonical order, as in result().
  virtual AnnotationTable table() const = 0;

  virtual const std::string& method() const = 0;
  /// Whether annotations of weight 0 are abstentions that say something.
  virtual bool marks_abstentions() const { return false; }
  virtual std::size_t task_count() const = 0;
  virtual std::size_t worker_count() const = 0;
  virtual std::uint64_t annotations() const = 0;

  /// All of it.
  virtual ColumnSet columns() const = 0;
  /// Writes the state as a safetensors file; it is there whole or not at all. As check_state_name.
  void save(const std::filesystem::path& path) const { write_column_file(path, columns()); }

 protected:
  LabelState() = default;
  LabelState(const LabelState&) = default;
  LabelState(LabelState&&) = default;
  LabelState& operator=(const LabelState&) = default;
  LabelState& operator=(LabelState&&) = default;
};

/// The state of a fit of `table` by `method`: dawid-skene, one-coin-dawid-skene and zencrowd
/// (IncrementalFit), fast-dawid-skene (HardLabelState), and any other one, or dawid-skene to
/// which abstentions say something (WholeFitState).
/// InputError as fit_labels, and for gold labels in `context` where the state cannot hold any
/// (holds_gold).
std::unique_ptr<LabelState> make_label_state(const AnnotationTable& table,
                                             const std::string& method,
                                             std::span<const std::string> parameters,
                                             const FitContext& context);

/// How far the first fit of a state is taken, unless something else is said: until no posterior
/// changes by more in a sweep, in at most so many.
inline constexpr double kSettled = 1e-6;
inline constexpr std::size_t kSettlingSweeps = 2000;

/// Whether states of `method` hold gold labels that are taken as known.
bool holds_gold(std::string_view method);

/// Reads a state of any of these. InputError naming the file if it is none, or does not fit
/// together.
std::unique_ptr<LabelState> load_label_state(const std::filesystem::path& path);
std::unique_ptr<LabelState> load_label_state(const ColumnReader& reader);

}  // namespace amalgam::labels
