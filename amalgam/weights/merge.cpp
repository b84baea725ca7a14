#include "amalgam/weights/merge.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/create.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/open_model.hpp"
#include "amalgam/weights/output_files.hpp"
#include "amalgam/weights/planner.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

// A recipe's documents, each with its plan and its output as later ones see it.
struct Stage {
  const Recipe* document = nullptr;
  MergePlan plan;
  std::shared_ptr<PlannedOutput> output;
  // The model whose metadata and files go with the output. A stage has none of its own: what it was
  // made from does.
  std::shared_ptr<const TensorSource> reference;
  fs::path reference_path;
  bool tied_embeddings = false;
};

std::vector<fs::path> inputs_of(const std::vector<Recipe>& documents) {
  std::vector<fs::path> inputs;
  for (const Recipe& document : documents) {
    for (const ModelReference& model : document.all_models()) {
      inputs.emplace_back(model.path);
      if (!model.adapter.empty()) inputs.emplace_back(model.adapter);
    }
  }
  return inputs;
}

// Plans everything before anything is written.
std::vector<Stage> plan_stages(const std::vector<Recipe>& documents, const MergeOptions& options) {
  if (documents.empty()) throw InputError("the recipe has no document");
  check_output_is_no_input(inputs_of(documents), options.output);
  std::vector<Stage> stages;
  const ModelOpener open = [&](const ModelReference& reference) -> OpenedModel {
    for (const Stage& stage : stages) {
      if (stage.document->name == reference.path) {
        // Its layers are counted from its names: a slice of the model has fewer than its config
        // says.
        return {with_adapter(stage.output, reference),
                {.layer_counts = {}, .tied_embeddings = stage.tied_embeddings}};
      }
    }
    return open_model(reference);
  };
  for (const Recipe& document : documents) {
    if (document.looks_at_data()) {
      throw InputError("{}:{}: 'data', 'search' and 'evaluate' are not for a merge by rules alone",
                       document.label, document.line.number);
    }
    const bool last = &document == &documents.back();
    Stage stage{.document = &document};
    stage.plan = plan_merge(document, open,
                            {.allow_shape_mismatch = options.allow_shape_mismatch,
                             .dtype = last ? options.dtype : std::nullopt,
                             .quantised_output = last && options.output.extension() == ".gguf",
                             // The integer tensors of a stage cannot be compared before it is made.
                             .compare_copied = documents.size() == 1});
    stage.output = std::make_shared<PlannedOutput>(document.name, stage.plan);
    const OpenedModel reference = open(document.reference());
    stage.reference = reference.tensors;
    stage.reference_path = document.reference().path;
    stage.tied_embeddings = reference.config.tied_embeddings;
    for (const Stage& earlier : stages) {
      if (earlier.document->name != document.reference().path) continue;
      stage.reference = earlier.reference;
      stage.reference_path = earlier.reference_path;
    }
    stages.push_back(std::move(stage));
  }
  return stages;
}

std::uint64_t output_bytes(const std::vector<Stage>& stages) {
  std::uint64_t bytes = 0;
  for (const Stage& stage : stages) {
    for (const PlanTensor& tensor : stage.plan.tensors) bytes += tensor.output.bytes;
  }
  return bytes;
}

WorkEstimate estimate_stages(const std::vector<Stage>& stages, const EngineOptions& options) {
  WorkEstimate work;
  for (const Stage& stage : stages) {
    const WorkEstimate part = estimate_work(stage.plan, options);
    work.bytes_read += part.bytes_read;
    work.bytes_written += part.bytes_written;
  }
  return work;
}

// Averaged statistics are not those of the averaged weights.
void warn_of_batch_norm(const MergePlan& plan) {
  for (const PlanTensor& tensor : plan.tensors) {
    if (!tensor.output.name.ends_with(".running_var")) continue;
    log::warn(
        "'{}' and other statistics of BatchNorm are merged like weights, which need others; "
        "'amalgam"
        " calibrate', or --data here, estimates them anew for a network that 'amalgam train' made",
        tensor.output.name);
    return;
  }
}

void add(MergeStatistics& sum, const MergeStatistics& part) {
  sum.bytes_read += part.bytes_read;
  sum.bytes_written += part.bytes_written;
  sum.tensors_merged += part.tensors_merged;
  sum.tensors_copied += part.tensors_copied;
}

OutputDescription describe_output(const std::vector<Recipe>& documents,
                                  const std::vector<Stage>& stages, const MergeOptions& options) {
  OutputDescription output{.documents = documents, .plan = &stages.back().plan};
  output.reference = stages.back().reference_path;
  for (const ModelReference& model : documents.back().all_models()) {
    if (fs::exists(model.path)) output.models.emplace_back(model.path);
  }
  output.seed = options.engine.seed;
  return output;
}

// Carries out all documents into one output place.
MergeStatistics merge_into_place(const std::vector<Recipe>& documents,
                                 const MergeOptions& options) {
  const std::vector<Stage> stages = plan_stages(documents, options);
  if (documents.back().all_models().size() > 1) warn_of_batch_norm(stages.back().plan);
  const WorkEstimate work = estimate_stages(stages, options.engine);
  OutputTransaction transaction(options.output, {options.overwrite, options.keep_partial});
  check_free_space(transaction.partial_path(), output_bytes(stages));
  Progress progress("merging", work.bytes_read + work.bytes_written, Progress::Unit::bytes,
                    options.progress);
  EngineOptions engine = options.engine;
  engine.progress = &progress;

  const fs::path stage_folder = transaction.partial_path() / "stages";
  MergeStatistics statistics;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const Stage& stage = stages[i];
    const bool last = i + 1 == stages.size();
    const fs::path place = last ? transaction.work_path() : stage_folder / std::to_string(i);
    if (!last) fs::create_directories(place);
    {
      const auto sink =
          create_checkpoint(place, outputs_of(stage.plan), {*stage.reference, stage.reference_path},
                            options.shard_bytes);
      add(statistics, run_merge(stage.plan, *sink, engine));
    }
    if (!last) stage.output->connect(open_checkpoint(place));
  }
  if (!output_is_file(options.output)) {
    write_output_files(transaction.work_path(), describe_output(documents, stages, options));
  }
  fs::remove_all(stage_folder);
  transaction.commit();
  return statistics;
}

fs::path with_alpha(const fs::path& output, double alpha) {
  const std::string suffix = fmt::format("-alpha-{}", alpha);
  if (!output_is_file(output)) return output_place(output).string() + suffix;
  fs::path path = output;
  path.replace_filename(output.stem().string() + suffix + output.extension().string());
  return path;
}

// A merge, and where its result goes.
struct Job {
  std::vector<Recipe> documents;
  fs::path output;
};

// `wise_ft` with a list of alphas is one merge per alpha; everything else is one merge.
std::vector<Job> jobs_of(const std::vector<Recipe>& documents, const fs::path& output) {
  if (documents.empty() || documents.back().merge_method != "wise_ft") return {{documents, output}};
  const auto alpha = documents.back().parameters.find("alpha");
  if (alpha == documents.back().parameters.end() || alpha->second.entries.size() != 1 ||
      alpha->second.entries.front().values.size() < 2) {
    return {{documents, output}};
  }
  std::vector<Job> jobs;
  for (const ParameterValue& value : alpha->second.entries.front().values) {
    const double* number = std::get_if<double>(&value);
    if (number == nullptr)
      throw InputError("wise_ft: 'alpha' must be a number or a list of numbers");
    Job job{documents, with_alpha(output, *number)};
    job.documents.back().parameters["alpha"] = ParameterSetting::scalar(*number);
    jobs.push_back(std::move(job));
  }
  return jobs;
}

}  // namespace

MergeReport merge_checkpoints(const std::vector<Recipe>& documents, const MergeOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  MergeReport report;
  const std::vector<Job> jobs = jobs_of(documents, options.output);
  for (const Job& job : jobs) {
    if (!options.overwrite && fs::exists(job.output)) {
      throw InputError(
          "{}: already exists; choose another place or ask to overwrite it (--overwrite)",
          job.output.string());
    }
  }
  for (const Job& job : jobs) {
    MergeOptions one = options;
    one.output = job.output;
    add(report.statistics, merge_into_place(job.documents, one));
    report.outputs.push_back(job.output);
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

MergePreview preview_merge(const std::vector<Recipe>& documents, const MergeOptions& options) {
  MergePreview preview;
  for (const Job& job : jobs_of(documents, options.output)) {
    const std::vector<Stage> stages = plan_stages(job.documents, options);
    for (const Stage& stage : stages) {
      preview.description += describe_plan(stage.plan);
      preview.plans.push_back(plan_as_json(stage.plan));
    }
    const WorkEstimate work = estimate_stages(stages, options.engine);
    preview.work.bytes_read += work.bytes_read;
    preview.work.bytes_written += work.bytes_written;
    preview.disk_needed += output_bytes(stages);
    preview.outputs.push_back(job.output);
  }
  preview.disk_free = free_bytes(options.output);
  return preview;
}

}  // namespace amalgam
