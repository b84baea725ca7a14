#include "amalgam/weights/merge.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>

#include "amalgam/checkpoint/adapter.hpp"
#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/gguf_parts.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/checkpoint/output_tensors.hpp"
#include "amalgam/checkpoint/tokenizer_files.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/weights/finished_merge.hpp"
#include "amalgam/weights/fp8_choice.hpp"
#include "amalgam/weights/open_model.hpp"
#include "amalgam/weights/output_files.hpp"
#include "amalgam/weights/plan_importance.hpp"
#include "amalgam/weights/plan_parameters.hpp"
#include "amalgam/weights/planned_merge.hpp"
#include "amalgam/weights/planner.hpp"
#include "amalgam/weights/recipe_metadata.hpp"
#include "amalgam/weights/recipe_vocabulary.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

// A recipe's document, planned. A stage that another is made from gives that its own reference: the
// model whose metadata and files go with the output.
struct Stage : PlannedStage {
  const Recipe* document = nullptr;
  bool tied_embeddings = false;
  std::shared_ptr<const VocabularyPlan> vocabulary;  // if the document asks for one
  // What the output folder gets if that is not simply the reference's: the vocabulary's, or that of
  // the stage it is made from.
  std::shared_ptr<const Tokenizer> tokenizer;
};

std::vector<fs::path> inputs_of(const std::vector<Recipe>& documents, const MergeOptions& options) {
  std::vector<fs::path> inputs;
  for (const Recipe& document : documents) {
    for (const ModelReference& model : document.all_models()) {
      inputs.emplace_back(model.path);
      if (!model.adapter.empty()) inputs.emplace_back(model.adapter);
    }
  }
  if (!options.importance.empty()) inputs.push_back(options.importance);
  return inputs;
}

const Stage* find_stage(const std::vector<Stage>& stages, const ModelReference& model) {
  const auto found = std::find_if(stages.begin(), stages.end(), [&](const Stage& stage) {
    return stage.document->name == model.path;
  });
  return found == stages.end() ? nullptr : &*found;
}

// The base (or first model) comes first: it is the first to lay down numbers.
std::vector<VocabularyModel> vocabulary_models(const Recipe& document,
                                               const std::vector<Stage>& stages,
                                               const ModelOpener& open) {
  std::vector<VocabularyModel> models;
  for (const ModelReference& model : document.all_models()) {
    const Stage* stage = find_stage(stages, model);
    models.push_back({model, open(model).tensors,
                      stage != nullptr ? stage->reference_path : tokenizer_folder(model),
                      stage != nullptr ? stage->tokenizer : nullptr});
  }
  return models;
}

std::shared_ptr<const VocabularyPlan> vocabulary_of(const Recipe& document,
                                                    const std::vector<Stage>& stages,
                                                    const ModelOpener& open) {
  const std::vector<VocabularyModel> models = vocabulary_models(document, stages, open);
  if (!document.tokenizer_source.empty()) return plan_recipe_vocabulary(document, models);
  check_gguf_vocabularies(document, models);
  return nullptr;
}

// What an adapter's tokenizer adds to that of its base goes with the rows it adds; null if that is
// nothing.
std::shared_ptr<const Tokenizer> tokenizer_of_adapter(const ModelReference& reference) {
  const fs::path adapter = tokenizer_folder(reference);
  const fs::path base = without_adapters(reference.path);
  if (adapter == base) return nullptr;
  auto tokenizer = std::make_shared<const Tokenizer>(Tokenizer::read(adapter));
  const bool known = has_tokenizer(base) && Tokenizer::read(base).same_tokens(*tokenizer);
  return known ? nullptr : tokenizer;
}

void check_holds_tokenizer(const Recipe& document, const Tokenizer* tokenizer,
                           const fs::path& output) {
  if (tokenizer == nullptr || !tokenizer->changed() || !output_is_file(output)) return;
  throw InputError(
      "{}: the output has a vocabulary of its own, but '{}' is a single file, which cannot hold "
      "the "
      "tokenizer; name a folder as output",
      document.label, output.string());
}

// What options or recipe ask for. InputError if the output cannot be of that type.
std::optional<OutputType> type_of_output(const Recipe& document, const MergeOptions& options) {
  const std::string& named = document.out_dtype.empty() ? document.dtype : document.out_dtype;
  const std::optional<OutputType> type = options.type ? options.type : parse_output_type(named);
  if (type) check_output_holds(*type, options.output);
  return type;
}

// What of the output is FP8 with scales: what is asked for; without a word about the type the
// weights that the base (or first) model has so.
std::optional<Fp8Choice> fp8_choice(const std::optional<OutputType>& type, const fs::path& model,
                                    const MergeOptions& options) {
  const Fp8Scaling* wanted = type ? std::get_if<Fp8Scaling>(&*type) : nullptr;
  if (wanted == nullptr && (type || options.output.extension() == ".gguf")) return std::nullopt;
  const std::unique_ptr<TensorSource> reference = open_checkpoint(without_adapters(model));
  return wanted != nullptr ? Fp8Choice::with(*wanted, *reference)
                           : Fp8Choice::as_stored(*reference);
}

fs::path reference_path_of(const Recipe& document, const std::vector<Stage>& stages) {
  const Stage* stage = find_stage(stages, document.reference());
  return stage != nullptr ? stage->reference_path : fs::path(document.reference().path);
}

// Plans everything before anything is written.
std::vector<Stage> plan_stages(const std::vector<Recipe>& documents, const MergeOptions& options) {
  if (documents.empty()) throw InputError("the recipe has no document");
  check_output_is_no_input(inputs_of(documents, options), options.output);
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
    Stage stage;
    stage.document = &document;
    stage.vocabulary = vocabulary_of(document, stages, open);
    std::optional<Fp8Choice> fp8;
    if (last) {
      fp8 = fp8_choice(type_of_output(document, options), reference_path_of(document, stages),
                       options);
    }
    stage.plan = plan_merge(document, open,
                            {.allow_shape_mismatch = options.allow_shape_mismatch,
                             .type = last ? options.type : std::nullopt,
                             .quantised_output = last && options.output.extension() == ".gguf",
                             // The integer tensors of a stage cannot be compared before it is made.
                             .compare_copied = documents.size() == 1,
                             .vocabulary = stage.vocabulary.get(),
                             .fp8 = fp8 ? &*fp8 : nullptr});
    if (last) check_output_tensors(options.output, outputs_of(stage.plan));
    warn_of_idle_filters(document, stage.plan);
    stage.output = std::make_shared<PlannedOutput>(document.name, stage.plan);
    const OpenedModel reference = open(document.reference());
    stage.reference = reference.tensors;
    stage.reference_path = without_adapters(document.reference().path);
    stage.tied_embeddings = reference.config.tied_embeddings;
    if (const Stage* earlier = find_stage(stages, document.reference())) {
      stage.reference = earlier->reference;
      stage.reference_path = earlier->reference_path;
      stage.tokenizer = earlier->tokenizer;
    } else {
      stage.tokenizer = tokenizer_of_adapter(document.reference());
    }
    if (stage.vocabulary && stage.vocabulary->tokenizer) {
      stage.tokenizer = stage.vocabulary->tokenizer;
    }
    if (last) check_holds_tokenizer(document, stage.tokenizer.get(), options.output);
    // A folder has the recipe as a file.
    if (last && output_is_file(options.output)) {
      stage.metadata =
          recipe_metadata(documents, *stage.reference, options.output, options.engine.seed);
    }
    stages.push_back(std::move(stage));
  }
  return stages;
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

OutputDescription describe_output(const std::vector<Recipe>& documents,
                                  const std::vector<Stage>& stages, const MergeOptions& options) {
  OutputDescription output{.documents = documents, .plan = &stages.back().plan};
  output.reference = stages.back().reference_path;
  for (const ModelReference& model : documents.back().all_models()) {
    if (fs::exists(model.path)) output.models.emplace_back(model.path);
  }
  output.seed = options.engine.seed;
  const Tokenizer* tokenizer = stages.back().tokenizer.get();
  const bool in_files = tokenizer != nullptr && tokenizer->form() != Tokenizer::Form::list;
  output.tokenizer = in_files ? tokenizer : nullptr;
  return output;
}

std::vector<const PlannedStage*> planned(const std::vector<Stage>& stages) {
  std::vector<const PlannedStage*> all;
  for (const Stage& stage : stages) all.push_back(&stage);
  return all;
}

// Carries out all documents into one output place.
PlacedOutput merge_one(const std::vector<Recipe>& documents, const MergeOptions& options) {
  const std::vector<Stage> stages = plan_stages(documents, options);
  const auto importance = importance_of(stages.back().plan, options.importance);
  if (documents.back().all_models().size() > 1) warn_of_batch_norm(stages.back().plan);
  return run_planned_merge({.recipe = format_recipes(documents),
                            .models = inputs_of(documents, options),
                            .stages = planned(stages),
                            .write_side_files =
                                [&](const fs::path& folder) {
                                  write_output_files(folder,
                                                     describe_output(documents, stages, options));
                                },
                            .importance = importance ? &*importance : nullptr},
                           options);
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
  // Of several outputs, an unfinished run may have brought some into place.
  const auto is_done = [&](const Job& job) {
    return options.resume && jobs.size() > 1 && !options.overwrite &&
           (fs::exists(job.output) || find_first_gguf_part(job.output).has_value());
  };
  const auto options_for = [&](const Job& job) {
    MergeOptions one = options;
    one.output = job.output;
    return one;
  };
  for (const Job& job : jobs) {
    if (!options.overwrite && fs::exists(job.output) && !is_done(job) &&
        !may_be_finished(options_for(job))) {
      throw InputError(
          "{}: already exists; choose another place or ask to overwrite it (--overwrite)",
          job.output.string());
    }
  }
  for (const Job& job : jobs) {
    if (is_done(job)) {
      report.outputs.push_back(find_first_gguf_part(job.output).value_or(job.output));
      log::info("{}: is there already and stays as it is", report.outputs.back().string());
      continue;
    }
    const PlacedOutput made = merge_one(job.documents, options_for(job));
    report.was_finished = made.was_finished;
    add_statistics(report.statistics, made.statistics);
    report.outputs.push_back(made.place);
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

MergePlan plan_one_merge(const std::vector<Recipe>& documents, const MergeOptions& options) {
  std::vector<Stage> stages = plan_stages(documents, options);
  if (stages.size() != 1 || jobs_of(documents, options.output).size() != 1) {
    throw InputError("{}: the recipe has several stages or outputs, expected one of each",
                     documents.front().label);
  }
  return std::move(stages.front().plan);
}

MergePreview preview_merge(const std::vector<Recipe>& documents, const MergeOptions& options) {
  MergePreview preview;
  for (const Job& job : jobs_of(documents, options.output)) {
    const std::vector<Stage> stages = plan_stages(job.documents, options);
    importance_of(stages.back().plan, options.importance);
    for (const Stage& stage : stages) {
      preview.description += describe_plan(stage.plan);
      preview.plans.push_back(plan_as_json(stage.plan));
    }
    const WorkEstimate work = estimate_stages(planned(stages), options.engine);
    preview.work.bytes_read += work.bytes_read;
    preview.work.bytes_written += work.bytes_written;
    preview.disk_needed += output_bytes(planned(stages));
    preview.outputs.push_back(job.output);
  }
  preview.disk_free = free_bytes(options.output);
  return preview;
}

}  // namespace amalgam
