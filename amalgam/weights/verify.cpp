#include "amalgam/weights/verify.hpp"

#include <algorithm>
#include <mutex>
#include <numeric>
#include <set>
#include <span>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/gguf_parts.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/checkpoint/safetensors.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/tensor/convert.hpp"
#include "amalgam/weights/leaves.hpp"
#include "amalgam/weights/manifest.hpp"
#include "amalgam/weights/merge.hpp"
#include "amalgam/weights/moe/moe_plan.hpp"
#include "amalgam/weights/moved_inputs.hpp"
#include "amalgam/weights/plan_importance.hpp"
#include "amalgam/weights/planner.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostDifferences = 100;

// Differences found by many threads.
class Differences {
 public:
  void add(std::string sentence) {
    const std::scoped_lock lock(mutex_);
    if (sentences_.size() < kMostDifferences) sentences_.push_back(std::move(sentence));
  }
  std::vector<std::string> take() {
    std::sort(sentences_.begin(), sentences_.end());
    return std::move(sentences_);
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> sentences_;
};

// The tensors in [begin, end) of a safetensors file: ", in tensor 'a'"; empty where that is not
// known, as for other files or a header that is damaged itself.
std::string tensors_within(const fs::path& path, std::uint64_t begin, std::uint64_t end) {
  if (path.extension() != ".safetensors") return {};
  try {
    const File file = File::open(path);
    std::vector<std::byte> start(kSafetensorsLengthBytes);
    file.read_exactly(0, start);
    const std::uint64_t length = safetensors_header_length(start, file.size(), path.string());
    std::string text(length, '\0');
    file.read_exactly(start.size(), std::as_writable_bytes(std::span(text)));
    const std::uint64_t data = start.size() + length;
    std::string first;
    std::size_t more = 0;
    for (const auto& entry :
         parse_safetensors_header(text, file.size() - data, path.string()).tensors) {
      const std::uint64_t at = data + entry.begin;
      if (at >= end || at + entry.info.bytes <= begin) continue;
      if (first.empty()) {
        first = entry.info.name;
      } else {
        ++more;
      }
    }
    if (first.empty()) return ", in the header";
    return fmt::format(", in tensor '{}'{}", first,
                       more == 0 ? "" : fmt::format(" or {} others there", more));
  } catch (const InputError&) {
    return {};
  }
}

// The file at `path` against what the manifest says.
void check_file(const fs::path& path, const ManifestFile& known, const VerifyOptions& options,
                Progress& progress, Differences& differences) {
  if (!fs::is_regular_file(path)) {
    differences.add(fmt::format("{}: is missing", path.string()));
    return;
  }
  const std::uint64_t bytes = fs::file_size(path);
  if (bytes != known.bytes) {
    differences.add(fmt::format("{}: has {} bytes, but the manifest says {}", path.string(), bytes,
                                known.bytes));
    return;
  }
  const std::vector<Digest> blocks = digest_blocks(path, options.engine.parallel, &progress);
  if (merkle_root(blocks) == known.root) return;
  if (known.blocks.empty()) {
    differences.add(fmt::format("{}: is not the file that was merged", path.string()));
    return;
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i] == known.blocks[i]) continue;
    const std::uint64_t begin = i * kMerkleBlockBytes;
    const std::uint64_t end = std::min(bytes, begin + kMerkleBlockBytes);
    differences.add(fmt::format("{}: bytes {} to {} have changed{}", path.string(), begin, end,
                                tensors_within(path, begin, end)));
  }
}

void check_nothing_else(const fs::path& folder, const Manifest& manifest,
                        Differences& differences) {
  std::set<std::string> known{manifest_place(folder).filename().string()};
  for (const ManifestFile& file : manifest.outputs) known.insert(file.path);
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).string();
    if (!entry.is_directory() && !known.contains(name)) {
      differences.add(fmt::format("{}: is not in the manifest", entry.path().string()));
    }
  }
}

// Whether values that come of float32 arithmetic on two machines are those of one network.
bool are_close(DType dtype, std::span<const std::byte> a, std::span<const std::byte> b) {
  constexpr double kApart = 0.01;
  std::vector<double> x(a.size() / dtype_bytes(dtype, 1));
  std::vector<double> y(x.size());
  decode(dtype, a, std::span<double>(x));
  decode(dtype, b, std::span<double>(y));
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    difference += (x[i] - y[i]) * (x[i] - y[i]);
    norm += x[i] * x[i];
  }
  return difference <= kApart * kApart * norm;  // not if one is NaN
}

// Compares what is written with what an output holds.
class ComparingSink final : public TensorSink {
 public:
  // `computed`: names of tensors whose values need only be close.
  ComparingSink(std::vector<TensorInfo> tensors, const std::vector<std::string>& computed,
                const TensorSource& output, Differences& differences)
      : TensorSink(std::move(tensors)),
        computed_(computed.begin(), computed.end()),
        output_(output),
        differences_(differences) {
    for (const TensorInfo& info : this->tensors()) {
      const std::optional<std::size_t> found = output.find(info.name);
      if (!found || output.tensors()[*found].dtype != info.dtype ||
          output.tensors()[*found].shape != info.shape) {
        throw InputError("{}: has no tensor '{}' of {} {}, which its recipe makes", output.label(),
                         info.name, dtype_name(info.dtype), format_shape(info.shape));
      }
      places_.push_back(*found);
    }
  }

  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) override {
    std::vector<std::byte> found(bytes.size());
    output_.read_bytes(places_[tensor], offset, found);
    const auto differs = std::mismatch(found.begin(), found.end(), bytes.begin());
    if (differs.first == found.end()) return;
    const TensorInfo& info = tensors()[tensor];
    if (computed_.contains(info.name) && are_close(info.dtype, bytes, found)) return;
    differences_.add(
        fmt::format("{}: tensor '{}' is not what its recipe gives, from byte {} of its contents on",
                    output_.label(), info.name,
                    offset + static_cast<std::uint64_t>(differs.first - found.begin())));
  }
  void finish() override {}

 private:
  const std::set<std::string> computed_;
  const TensorSource& output_;
  Differences& differences_;
  std::vector<std::size_t> places_;  // index in output_ per tensor
};

// Leaves drawn at random; only they are made.
class SampledLeaves final : public LeafLog {
 public:
  SampledLeaves(const MergePlan& plan, std::uint64_t count, std::uint64_t seed) {
    std::vector<std::pair<std::size_t, std::uint64_t>> tensors;  // and leaves before and in it
    std::uint64_t total = 0;
    for (const WorkUnit& unit : group_units(plan)) {
      const std::vector<std::uint64_t> counts = leaf_counts(plan, unit);
      for (std::size_t i = 0; i < counts.size(); ++i) {
        total += counts[i];
        tensors.emplace_back(unit.tensors[i], total);
      }
    }
    RandomStream random(seed, "verify");
    std::set<std::uint64_t> drawn;
    while (drawn.size() < std::min(count, total)) drawn.insert(random.below(total));
    for (const std::uint64_t number : drawn) {
      const auto tensor =
          std::upper_bound(tensors.begin(), tensors.end(), number,
                           [](std::uint64_t leaf, const auto& one) { return leaf < one.second; });
      const std::uint64_t before = tensor == tensors.begin() ? 0 : (tensor - 1)->second;
      leaves_.emplace(tensor->first, number - before);
    }
  }

  bool wants(const OutputLeaf& leaf) override {
    return leaves_.contains({leaf.tensor, leaf.number});
  }
  void made(const OutputLeaf& /*leaf*/, std::uint64_t /*checksum*/) override {}
  std::uint64_t count() const { return leaves_.size(); }

 private:
  std::set<std::pair<std::size_t, std::uint64_t>> leaves_;
};

// Of an output that is one file, or parts that the first one stands for.
fs::path first_file(const fs::path& output, const Manifest& manifest) {
  if (manifest.outputs.empty()) throw InputError("{}: its manifest has no file", output.string());
  return output_place(output).parent_path() / manifest.outputs.front().path;
}

// A split output has its manifest under the name that was split.
fs::path output_of(const fs::path& named) {
  const std::optional<fs::path> whole = gguf_name_before_split(named);
  return whole && fs::exists(manifest_place(*whole)) ? *whole : named;
}

std::uint64_t recompute(const Manifest& manifest, const MovedInputs& moved, const fs::path& output,
                        const VerifyOptions& options, Differences& differences) {
  MergeOptions merge;
  merge.output = output;
  merge.engine = options.engine;
  merge.engine.seed = manifest.seed;
  merge.engine.non_finite = manifest.propagates_nan ? NonFinite::propagate : NonFinite::error;
  merge.allow_shape_mismatch = manifest.allows_shape_mismatch;
  if (!manifest.dtype.empty()) merge.type = parse_output_type(manifest.dtype);
  const std::string where = manifest_place(output).string();
  MergePlan plan;
  std::vector<std::string> computed;
  if (is_moe_recipe(manifest.recipe, where)) {
    MoeRecipe recipe = parse_moe_recipe(manifest.recipe, where);
    moved.apply(recipe);
    MoePlan mixture = plan_moe(recipe, merge, options.states);
    plan = std::move(mixture.stage.plan);
    computed = std::move(mixture.from_states);
  } else {
    std::vector<Recipe> documents = parse_recipe(manifest.recipe, where);
    for (Recipe& document : documents) moved.apply(document);
    plan = plan_one_merge(documents, merge);
  }
  SampledLeaves leaves(plan, options.recompute, options.sample_seed);
  const std::unique_ptr<TensorSource> made =
      open_stored_checkpoint(output_is_file(output) ? first_file(output, manifest) : output);
  ComparingSink sink(outputs_of(plan), computed, *made, differences);
  const auto importance = importance_of(plan, manifest.importance.empty()
                                                  ? fs::path()
                                                  : moved.place_of(fs::path(manifest.importance)));
  merge.engine.importance = importance ? &*importance : nullptr;
  merge.engine.leaves = &leaves;
  run_merge(plan, sink, merge.engine);
  return leaves.count();
}

}  // namespace

std::optional<ModelReference> model_to_run(const fs::path& named,
                                           const std::vector<std::string>& moved_inputs) {
  const fs::path output = output_of(named);
  const Manifest manifest = read_manifest(output);
  const std::string where = manifest_place(output).string();
  if (!is_moe_recipe(manifest.recipe, where)) return std::nullopt;
  const MoeRecipe recipe = parse_moe_recipe(manifest.recipe, where);
  if (recipe.gates != MoeRecipe::Gates::hidden) return std::nullopt;
  return MovedInputs(moved_inputs, manifest, where).place_of(recipe.base_model);
}

VerifyReport verify_merge(const fs::path& named, const VerifyOptions& options) {
  const fs::path output = output_of(named);
  const Manifest manifest = read_manifest(output);
  const MovedInputs moved(options.moved_inputs, manifest, manifest_place(output).string());
  const fs::path folder =
      output_is_file(output) ? output_place(output).parent_path() : output_place(output);
  VerifyReport report;
  Differences differences;
  std::uint64_t bytes = 0;
  const auto bytes_of = [](const std::vector<ManifestFile>& files) {
    return std::accumulate(
        files.begin(), files.end(), std::uint64_t{0},
        [](std::uint64_t sum, const ManifestFile& file) { return sum + file.bytes; });
  };
  if (options.hash) bytes += bytes_of(manifest.outputs);
  if (options.hash_inputs) bytes += bytes_of(manifest.inputs);
  {
    Progress progress("hashing", bytes, Progress::Unit::bytes, options.progress);
    if (options.hash) {
      for (const ManifestFile& file : manifest.outputs) {
        check_file(folder / file.path, file, options, progress, differences);
      }
      if (!output_is_file(output)) check_nothing_else(folder, manifest, differences);
      report.files = manifest.outputs.size();
    }
    if (options.hash_inputs) {
      for (const ManifestFile& file : manifest.inputs) {
        check_file(moved.place_of(fs::path(file.path)), file, options, progress, differences);
      }
      report.inputs = manifest.inputs.size();
    }
  }
  report.bytes = bytes;
  if (options.recompute > 0) {
    report.recomputed = recompute(manifest, moved, output, options, differences);
  }
  report.differences = differences.take();
  return report;
}

}  // namespace amalgam
