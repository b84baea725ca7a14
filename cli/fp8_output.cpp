#include "cli/fp8_output.hpp"

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/create.hpp"
#include "amalgam/checkpoint/side_files.hpp"
#include "amalgam/weights/fp8_conversion.hpp"
#include "amalgam/weights/planner.hpp"

namespace amalgam::cli {

namespace fs = std::filesystem;

std::optional<Fp8Choice> fp8_as_in(const fs::path& model, const fs::path& output) {
  if (output.extension() == ".gguf") return std::nullopt;
  return Fp8Choice::as_stored(*open_checkpoint(model));
}

MergeStatistics write_fp8(const Fp8Output& fp8, const OutputTransaction& transaction,
                          const CommonOptions& options) {
  const MergePlan plan = plan_fp8_conversion(fp8.source, fp8.choice);
  MergeStatistics statistics;
  {
    const auto sink = create_checkpoint(transaction.work_path(), outputs_of(plan),
                                        {*fp8.source, fp8.model}, fp8.shard_bytes);
    EngineOptions engine{.parallel = options.parallel(), .non_finite = NonFinite::propagate};
    const WorkEstimate work = estimate_work(plan, engine);
    Progress progress("convert", work.bytes_read + work.bytes_written, Progress::Unit::bytes,
                      options.progress_mode());
    engine.progress = &progress;
    statistics = run_merge(plan, *sink, engine);
  }
  if (!output_is_file(fp8.output) && fs::is_directory(fp8.model)) {
    copy_side_files(fp8.model, transaction.work_path());
    write_fp8_config(transaction.work_path(), plan);
    // It says that activations have scales of their own, which are not written.
    drop_modelopt_config(transaction.work_path());
  }
  return statistics;
}

}  // namespace amalgam::cli
