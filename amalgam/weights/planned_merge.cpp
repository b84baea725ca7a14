#include "amalgam/weights/planned_merge.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/create.hpp"
#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/folder_entries.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/weights/finished_merge.hpp"
#include "amalgam/weights/journal.hpp"
#include "amalgam/weights/manifest.hpp"
#include "amalgam/weights/merge_identity.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

// Results of earlier documents, in the partial folder.
constexpr const char* kStageFolder = "stages";

std::vector<const MergePlan*> plans_of(const std::vector<const PlannedStage*>& stages) {
  std::vector<const MergePlan*> plans;
  for (const PlannedStage* stage : stages) plans.push_back(&stage->plan);
  return plans;
}

// What lies beside weights and journals is written anew.
void delete_side_files(const fs::path& work) {
  for (const fs::directory_entry& entry : folder_entries(work)) {
    const fs::path& path = entry.path();
    const bool kept = path.extension() == ".safetensors" || path.stem() == "journal" ||
                      path.filename() == kStageFolder;
    if (!kept) fs::remove_all(path);
  }
}

// One output place, and the work that leads to it.
class PlacedMerge {
 public:
  PlacedMerge(const PlannedMerge& merge, const MergeOptions& options)
      : merge_(merge),
        options_(options),
        rank_(options.cluster == nullptr ? 0 : options.cluster->rank()),
        processes_(options.cluster == nullptr ? 1 : options.cluster->size()),
        places_(output_places(options.output)) {}

  PlacedOutput run() {
    if (is_finished()) {
      if (rank_ == 0) log::info("{}: is complete already", options_.output.string());
      return {statistics_, path_to_open(options_.output, parts_), true};
    }
    const nlohmann::ordered_json identity =
        merge_identity(merge_.recipe, merge_.models, options_, plans_of(merge_.stages));
    if (rank_ == 0) prepare(identity);
    wait_for_all(options_.cluster);
    if (options_.resume) finished_ = FinishedWork::read(places_.partial);
    merge_stages(identity);
    if (rank_ == 0) finish();
    wait_for_all(options_.cluster);
    return {statistics_, path_to_open(options_.output, parts_)};
  }

 private:
  // Whether an earlier run has put the output in place.
  bool is_finished() {
    const bool mine = rank_ == 0 && may_be_finished(options_);
    if (mine) {
      check_is_finished(merge_.recipe, merge_.models, options_, plans_of(merge_.stages));
    }
    if (sum_over(options_.cluster, mine ? 1.0 : 0.0) == 0) return false;
    parts_ =
        output_parts(places_.work, outputs_of(merge_.stages.back()->plan), options_.shard_bytes);
    return true;
  }

  // Takes the place, and what an unfinished run of the same merge left there.
  void prepare(const nlohmann::ordered_json& identity) {
    transaction_.emplace(options_.output, OutputOptions{.overwrite = options_.overwrite,
                                                        .keep_partial = options_.keep_partial ||
                                                                        options_.cluster != nullptr,
                                                        .resume = options_.resume});
    // Before anything is reserved: parts that are there already may not be replaced.
    transaction_->place_parts(
        output_parts(places_.work, outputs_of(merge_.stages.back()->plan), options_.shard_bytes),
        merge_.models);
    const std::optional<FinishedWork> left =
        options_.resume ? FinishedWork::read(places_.partial) : std::nullopt;
    if (!left) {
      if (options_.resume) transaction_->clear();
      check_free_space(places_.partial, output_bytes(merge_.stages));
      return;
    }
    check_same_merge(left->identity(), identity, options_.output);
    if (!output_is_file(options_.output)) delete_side_files(places_.work);
    log::info("{}: going on with an unfinished merge", options_.output.string());
  }

  void merge_stages(const nlohmann::ordered_json& identity) {
    const WorkEstimate work = estimate_stages(merge_.stages, options_.engine);
    Progress progress("merging", (work.bytes_read + work.bytes_written) / processes_,
                      Progress::Unit::bytes,
                      rank_ == 0 ? options_.progress : Progress::Mode::never);
    MergeJournal journal(places_.partial, rank_, identity);
    for (std::size_t i = 0; i < merge_.stages.size(); ++i) {
      const bool last = i + 1 == merge_.stages.size();
      const fs::path place =
          last ? places_.work : places_.partial / kStageFolder / std::to_string(i);
      merge_stage(i, place, journal, progress);
      if (!last) merge_.stages[i]->output->connect(open_checkpoint(place));
    }
    statistics_.bytes_read = total(statistics_.bytes_read);
    statistics_.bytes_written = total(statistics_.bytes_written);
    statistics_.bytes_kept = total(statistics_.bytes_kept);
    share_errors();
  }

  // Every process has measured what it wrote. Only the last stage can be quantised.
  void share_errors() {
    if (options_.cluster == nullptr) return;
    std::vector<QuantisationError> all;
    for (const PlanTensor& tensor : merge_.stages.back()->plan.tensors) {
      const TensorInfo& info = tensor.output;
      if (!dtype_is_quantised(info.dtype) && !tensor.fp8) continue;
      const auto own = std::find_if(statistics_.errors.begin(), statistics_.errors.end(),
                                    [&](const auto& one) { return one.tensor == info.name; });
      QuantisationError error =
          own == statistics_.errors.end() ? QuantisationError{info.name, info.dtype} : *own;
      error.elements = total(error.elements);
      error.squares = sum_over(options_.cluster, error.squares);
      error.squared_error = sum_over(options_.cluster, error.squared_error);
      if (error.elements > 0) all.push_back(std::move(error));
    }
    statistics_.errors = std::move(all);
  }

  void merge_stage(std::size_t number, const fs::path& place, MergeJournal& journal,
                   Progress& progress) {
    const PlannedStage& stage = *merge_.stages[number];
    // The first process makes the files, the others then open them.
    std::unique_ptr<FileSink> sink;
    if (rank_ == 0) {
      CreatedOutput made =
          open_output(stage, place, finished_ ? SinkStart::resume : SinkStart::create);
      sink = std::move(made.sink);
      parts_ = std::move(made.parts);
    }
    wait_for_all(options_.cluster);
    if (rank_ != 0) {
      CreatedOutput made = open_output(stage, place, SinkStart::join);
      sink = std::move(made.sink);
      parts_ = std::move(made.parts);
    }
    JournalLog leaves(journal, finished_ ? &*finished_ : nullptr,
                      static_cast<std::uint32_t>(number), *sink);
    EngineOptions engine = options_.engine;
    engine.progress = &progress;
    engine.leaves = &leaves;
    engine.importance = &stage == merge_.stages.back() ? merge_.importance : nullptr;
    engine.share = {rank_, processes_, options_.cluster};
    add_statistics(statistics_, run_merge(stage.plan, *sink, engine));
    statistics_.bytes_kept += leaves.bytes_kept();
    wait_for_all(options_.cluster);
  }

  CreatedOutput open_output(const PlannedStage& stage, const fs::path& place,
                            SinkStart start) const {
    fs::create_directories(place.parent_path());
    return create_output(place, outputs_of(stage.plan),
                         {*stage.reference, stage.reference_path, stage.metadata},
                         options_.shard_bytes, start);
  }

  void finish() {
    if (!output_is_file(options_.output)) {
      merge_.write_side_files(places_.work);
    }
    fs::remove_all(places_.partial / kStageFolder);
    std::string manifest;
    if (options_.manifest) {
      manifest = manifest_text(make_manifest(merge_.recipe, merge_.models, options_,
                                             plans_of(merge_.stages), made_files()));
      if (!output_is_file(options_.output)) {
        write_text_file(places_.work / manifest_place(options_.output).filename(), manifest);
      }
    }
    for (const fs::path& journal : journal_files(places_.partial)) {
      transaction_->discard_at_commit(journal);
    }
    if (output_is_file(options_.output)) {
      commit_file(manifest);
    } else {
      transaction_->commit();
    }
  }

  // What is the output now: a folder, a file, or the parts of a split one.
  std::vector<fs::path> made_files() const {
    return parts_.empty() ? std::vector<fs::path>{places_.work} : parts_;
  }

  // The manifest of a file comes into its place first: no crash leaves the file without it. Without
  // the file, or beside an older one, it says of nothing else that it is right, and --resume goes
  // on. `manifest`: empty if there is to be none, also not that of a file which is overwritten.
  void commit_file(const std::string& manifest) {
    const fs::path place = manifest_place(options_.output);
    const bool had = fs::exists(place);
    if (manifest.empty()) {
      transaction_->commit();
      if (had && options_.overwrite) fs::remove(place);
      return;
    }
    const fs::path made = places_.partial / place.filename();
    const fs::path old = places_.partial / "replaced.manifest.json";
    write_text_file(made, manifest);
    if (had) fs::copy_file(place, old, fs::copy_options::overwrite_existing);
    try {
      fs::rename(made, place);
      sync_folder(place.parent_path());
      transaction_->commit();
    } catch (...) {
      std::error_code ignored;  // the first failure is the one to tell
      if (had) {
        fs::rename(old, place, ignored);
      } else {
        fs::remove(place, ignored);
      }
      throw;
    }
  }

  std::uint64_t total(std::uint64_t bytes) const {
    return static_cast<std::uint64_t>(sum_over(options_.cluster, static_cast<double>(bytes)));
  }

  const PlannedMerge& merge_;
  const MergeOptions& options_;
  const std::size_t rank_;
  const std::size_t processes_;
  const OutputPlaces places_;
  std::optional<OutputTransaction> transaction_;  // of the first process
  std::vector<fs::path> parts_;                   // of a split output
  std::optional<FinishedWork> finished_;
  MergeStatistics statistics_;
};

}  // namespace

PlacedOutput run_planned_merge(const PlannedMerge& merge, const MergeOptions& options) {
  return PlacedMerge(merge, options).run();
}

std::uint64_t output_bytes(const std::vector<const PlannedStage*>& stages) {
  std::uint64_t bytes = 0;
  for (const PlannedStage* stage : stages) {
    for (const PlanTensor& tensor : stage->plan.tensors) bytes += tensor.output.bytes;
  }
  return bytes;
}

WorkEstimate estimate_stages(const std::vector<const PlannedStage*>& stages,
                             const EngineOptions& options) {
  WorkEstimate work;
  for (const PlannedStage* stage : stages) {
    const WorkEstimate part = estimate_work(stage->plan, options);
    work.bytes_read += part.bytes_read;
    work.bytes_written += part.bytes_written;
  }
  return work;
}

void add_statistics(MergeStatistics& sum, const MergeStatistics& part) {
  sum.bytes_read += part.bytes_read;
  sum.bytes_written += part.bytes_written;
  sum.tensors_merged += part.tensors_merged;
  sum.tensors_copied += part.tensors_copied;
  sum.bytes_kept += part.bytes_kept;
  sum.errors.insert(sum.errors.end(), part.errors.begin(), part.errors.end());
}

}  // namespace amalgam
