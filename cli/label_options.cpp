#include "cli/label_options.hpp"

#include <filesystem>
#include <fstream>

#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/labels/abstentions.hpp"
#include "amalgam/labels/column_file.hpp"
#include "cli/output.hpp"
#include "cli/separator_option.hpp"

namespace amalgam::cli {
namespace fs = std::filesystem;

namespace {

// A file that was cut off in the middle of its last cell looks like a whole one but for this.
bool lacks_line_end(const fs::path& path) {
  std::error_code ignored;
  if (!names_file(path) || fs::file_size(path, ignored) == 0) return false;
  std::ifstream file(path, std::ios::binary);
  file.seekg(-1, std::ios::end);
  const int last = file.get();
  return file.good() && last != '\n';
}

}  // namespace

void add_annotation_options(CLI::App& command, AnnotationOptions& options) {
  command
      .add_option("annotations", options.paths,
                  "Files of annotations: comma- or tab-separated values with a header, or JSON "
                  "lines")
      ->required()
      ->type_name("ANNOTATIONS");
  command.add_option("--task", options.task, "Column of the task")->capture_default_str();
  command.add_option("--worker", options.worker, "Column of who annotated it")
      ->capture_default_str();
  command.add_option("--label", options.label, "Column of the label")->capture_default_str();
  command.add_option("--weight", options.weight,
                     "Column of how many annotations a row counts as (default: 'weight', if there "
                     "is one)");
  command.add_option("--time", options.time,
                     "Column of when it was made (default: 'timestamp', if there is one)");
  command
      .add_option("--format", options.format,
                  "table: comma- or tab-separated values or JSON lines with those columns; or the "
                  "export of a tool")
      ->check(CLI::IsMember({"table", "label-studio", "doccano", "argilla"}))
      ->capture_default_str();
  command.add_option("--question", options.question,
                     "Which question of a tool's export (default: the only one)");
  add_separator_option(command, options.separator);
  command
      .add_option("--abstain", options.abstain,
                  "A label that is none: who gives it saw the task and abstained")
      ->type_name("LABEL");
  command
      .add_option(
          "--duplicates", options.duplicates,
          "Several annotations of one worker for one task: all count, are an error, or only "
          "the first or last one counts (by time, or in the order of the file)")
      ->check(CLI::IsMember({"all", "error", "first", "last"}))
      ->capture_default_str();
}

labels::AnnotationFormat format_of(const AnnotationOptions& options) {
  labels::AnnotationFormat format;
  format.task = options.task;
  format.worker = options.worker;
  format.label = options.label;
  if (!options.weight.empty()) {
    format.weight = options.weight;
    format.needs_weight = true;
  }
  if (!options.time.empty()) {
    format.time = options.time;
    format.needs_time = true;
  }
  format.separator = separator_of(options.separator);
  using labels::ExportKind;
  if (options.format == "label-studio") format.exported = ExportKind::label_studio;
  if (options.format == "doccano") format.exported = ExportKind::doccano;
  if (options.format == "argilla") format.exported = ExportKind::argilla;
  format.question = options.question;
  using labels::Duplicates;
  format.duplicates = options.duplicates == "error"   ? Duplicates::error
                      : options.duplicates == "first" ? Duplicates::first
                      : options.duplicates == "last"  ? Duplicates::last
                                                      : Duplicates::all;
  return format;
}

labels::AnnotationTable read_annotations(const AnnotationOptions& options,
                                         const CommonOptions& common, labels::TableNotes* notes) {
  const std::vector<fs::path> paths(options.paths.begin(), options.paths.end());
  labels::AnnotationFormat format = format_of(options);
  Progress progress("read", labels::total_size(paths), Progress::Unit::bytes,
                    common.progress_mode());
  format.on_bytes = [&](std::uint64_t bytes) { progress.advance(bytes); };
  labels::TableNotes found;
  labels::AnnotationTable table = labels::read_annotations(paths, format, &found);
  progress.finish();
  for (const fs::path& path : paths) {
    if (!format.exported && lacks_line_end(path)) {
      log::warn("{}: the last line has no line end (is the file cut off?)", path.string());
    }
  }
  if (found.duplicates > 0 && options.duplicates == "all") {
    log::warn(
        "{} annotations are of a task and worker that have one already; all count "
        "(--duplicates first or last keeps one)",
        found.duplicates);
  }
  if (notes != nullptr) *notes = found;
  if (options.abstain.empty()) return table;
  std::uint64_t abstentions = 0;
  table = labels::with_abstentions(
      std::move(table), options.abstain,
      options.marks_abstentions ? labels::Abstained::marked : labels::Abstained::dropped,
      &abstentions);
  if (abstentions == 0) {
    log::warn("no annotation has the label '{}', which says that a worker abstains (--abstain)",
              printable(options.abstain));
  }
  return table;
}

void add_state_options(CLI::App& command, StateOptions& options) {
  // An empty name (of a variable that is not set) would begin anew in place of going on.
  const auto named = [](const std::string& path) {
    return path.empty() ? std::string("expected the name of a state") : std::string();
  };
  command
      .add_option("--from", options.from,
                  "Take what is new into this state, which --state wrote: its own and the new ones "
                  "are all there is, and it says by which method")
      ->check(named)
      ->type_name("STATE.safetensors");
  command
      .add_option("--state", options.state,
                  "Write a state of all of them, for --from; may be the one that was read")
      ->check(named)
      ->type_name("STATE.safetensors");
}

void add_refine_option(CLI::App& command, bool& refine) {
  command.add_flag("--refine", refine,
                   "With --from: then sweep over everything until it settles, or fit everything "
                   "anew, as 'label update --refine' does");
}

void check_state_run(const StateOptions& options, const StateRun& run,
                     const CommonOptions& common) {
  std::vector<std::string> outputs = run.outputs;
  outputs.push_back(run.out);
  check_outputs({options.from}, outputs);
  outputs.push_back(options.state);
  check_outputs(run.inputs, outputs);
  if (!options.state.empty()) labels::check_state_name(options.state);
  if (common.json && run.out == "-") {
    throw InputError("--json and --out - both want the standard output");
  }
}

void check_state_options(const StateOptions& options, const std::string& state_method,
                         const std::string& method, const std::vector<std::string>& parameters,
                         bool has_seed) {
  if (!method.empty() && method != state_method) {
    throw InputError("--method {}: {} is a state of '{}', which stays", method, options.from,
                     state_method);
  }
  if (!parameters.empty()) {
    throw InputError("--parameter {}: {} has the parameters of its first fit, which stay",
                     parameters.front(), options.from);
  }
  if (has_seed) {
    throw InputError("--seed: {} has the seed of its first fit, which stays", options.from);
  }
}

}  // namespace amalgam::cli
