#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/weights/adapter_methods.hpp"
#include "amalgam/weights/layers.hpp"
#include "amalgam/weights/low_rank.hpp"

namespace amalgam {
namespace {

constexpr std::string_view kWeight = ".weight";
constexpr std::size_t kDefaultRank = 16;

std::vector<double> all_values(const TensorSource& source, std::size_t tensor) {
  std::vector<double> values(source.tensors()[tensor].elements);
  source.read(tensor, 0, std::span<double>(values));
  return values;
}

MemoryTensor whole(const TensorSource& source, std::size_t tensor) {
  const TensorInfo& info = source.tensors()[tensor];
  if (dtype_is_quantised(info.dtype)) {
    return make_tensor(info.name, info.shape, all_values(source, tensor), DType::f32);
  }
  MemoryTensor result{info, std::vector<std::byte>(info.bytes)};
  source.read_bytes(tensor, 0, result.bytes);
  return result;
}

bool is_product(const TensorInfo& info) {
  return info.shape.size() >= 2 && info.name.ends_with(kWeight) && info.elements > 0;
}

bool same_bytes(const TensorSource& source, std::size_t a, std::size_t b) {
  constexpr std::uint64_t kRead = 1 << 20;
  const std::uint64_t bytes = source.tensors()[a].bytes;
  std::vector<std::byte> left(std::min(bytes, kRead));
  std::vector<std::byte> right(left.size());
  for (std::uint64_t at = 0; at < bytes; at += left.size()) {
    const std::uint64_t length = std::min<std::uint64_t>(left.size(), bytes - at);
    source.read_bytes(a, at, std::span(left).first(length));
    source.read_bytes(b, at, std::span(right).first(length));
    if (left != right) return false;
  }
  return true;
}

// A head that repeats the embedding is left out where the two are tied.
bool repeats_embedding(const TensorSource& source, std::size_t tensor) {
  const TensorInfo& head = source.tensors()[tensor];
  if (!is_head_name(head.name)) return false;
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    const TensorInfo& info = source.tensors()[i];
    if (is_vocabulary_name(info.name) && !is_head_name(info.name) && info.dtype == head.dtype &&
        info.shape == head.shape && same_bytes(source, tensor, i)) {
      return true;
    }
  }
  return false;
}

// What no tuning changes, and newer libraries do not store: masks, and frequencies of positions.
bool is_constant(const TensorInfo& info) {
  return !dtype_is_floating(info.dtype) || info.name.ends_with(".inv_freq") ||
         info.name.ends_with(".attn.masked_bias") ||
         (info.name.ends_with(".attn.bias") && info.shape.size() == 4);
}

// Before anything is computed: a model tuned from the base has all that the base has.
void check_models(const TensorSource& base, const TensorSource& tuned) {
  const std::map<std::string, std::string> aliases = tuned.aliases();
  const TensorInfo* first = nullptr;
  std::size_t missing = 0;
  std::size_t shared = 0;
  for (std::size_t i = 0; i < base.tensors().size(); ++i) {
    const TensorInfo& info = base.tensors()[i];
    if (tuned.find(info.name) || aliases.contains(info.name)) {
      ++shared;
    } else if (!is_constant(info) && !repeats_embedding(base, i)) {
      if (missing++ == 0) first = &info;
    }
  }
  if (shared == 0 && !base.tensors().empty() && !tuned.tensors().empty()) {
    throw InputError(
        "{}: has no tensor of a name that {} has ('{}' here, '{}' there); expected a model tuned "
        "from it",
        tuned.label(), base.label(), tuned.tensors().front().name, base.tensors().front().name);
  }
  if (missing == 1) {
    throw InputError("{}: tensor '{}' of {} is missing; expected a model tuned from it",
                     tuned.label(), first->name, base.label());
  }
  if (missing > 1) {
    throw InputError(
        "{}: {} tensors of {} are missing, '{}' the first of them; expected a model tuned from it",
        tuned.label(), missing, base.label(), first->name);
  }
}

void check_finite(const TensorSource& source, const std::string& name,
                  const std::vector<double>& values) {
  const auto bad = std::ranges::find_if(values, [](double x) { return !std::isfinite(x); });
  if (bad == values.end()) return;
  throw InputError("{}: tensor '{}' has {} at index {}; expected finite numbers", source.label(),
                   name, *bad, bad - values.begin());
}

void check_pair(const TensorSource& base, const TensorInfo& old, const TensorSource& tuned,
                const TensorInfo& now) {
  const bool floating = dtype_is_floating(old.dtype) && dtype_is_floating(now.dtype);
  const bool more_tokens =
      is_vocabulary_name(now.name) && now.shape.size() == old.shape.size() && !now.shape.empty() &&
      std::equal(now.shape.begin() + 1, now.shape.end(), old.shape.begin() + 1);
  if (floating && (now.shape == old.shape || more_tokens)) return;
  throw InputError("{}: tensor '{}' is {} {}, but '{}' has {} {}; expected a model tuned from it",
                   tuned.label(), now.name, dtype_name(now.dtype), format_shape(now.shape),
                   base.label(), dtype_name(old.dtype), format_shape(old.shape));
}

}  // namespace

CompressedModule compress(const LowRank& svd, double squares, const CompressionOptions& keep,
                          NewAdapterModule& module) {
  double held = 0;
  std::size_t rank = 0;
  while (rank < svd.rank && (rank == 0 || !keep.energy || held < *keep.energy * squares)) {
    held += svd.singular[rank] * svd.singular[rank];
    ++rank;
  }
  module.rank = rank;
  module.left.resize(svd.rows * rank);
  module.right.resize(rank * svd.columns);
  for (std::size_t k = 0; k < rank; ++k) {
    const double root = std::sqrt(svd.singular[k]);
    for (std::size_t i = 0; i < svd.rows; ++i) {
      module.left[i * rank + k] = svd.left[i * svd.rank + k] * root;
    }
    for (std::size_t j = 0; j < svd.columns; ++j) {
      module.right[k * svd.columns + j] = svd.right[k * svd.columns + j] * root;
    }
  }
  return {module.name, rank, squares > 0 ? std::min(1.0, held / squares) : 1.0};
}

AdapterResult extract_adapter(const TensorSource& base, const TensorSource& tuned,
                              const ExtractOptions& options) {
  check_models(base, tuned);
  AdapterResult result;
  result.adapter.transposed = options.transposed;
  for (std::size_t i = 0; i < tuned.tensors().size(); ++i) {
    check_interrupt();
    if (options.progress != nullptr) options.progress->advance(1);
    const TensorInfo& now = tuned.tensors()[i];
    const auto found = base.find(now.name);
    if (!found) {
      result.adapter.saved.push_back(whole(tuned, i));
      continue;
    }
    const TensorInfo& old = base.tensors()[*found];
    if (!dtype_is_floating(now.dtype) && old.dtype == now.dtype && old.shape == now.shape) continue;
    check_pair(base, old, tuned, now);
    if (now.shape != old.shape) {
      result.adapter.saved.push_back(whole(tuned, i));
      continue;
    }
    std::vector<double> change = all_values(tuned, i);
    const std::vector<double> before = all_values(base, *found);
    check_finite(base, old.name, before);
    check_finite(tuned, now.name, change);
    double squares = 0;
    for (std::size_t k = 0; k < change.size(); ++k) {
      change[k] -= before[k];
      squares += change[k] * change[k];
    }
    if (squares == 0) continue;
    if (!is_product(now) || (options.transposed && now.shape.size() > 2)) {
      result.adapter.saved.push_back(whole(tuned, i));
      continue;
    }
    NewAdapterModule module{.name = now.name.substr(0, now.name.size() - kWeight.size()),
                            .weight = now.shape,
                            .is_embedding = now.shape.size() == 2 && is_vocabulary_name(now.name) &&
                                            !is_head_name(now.name),
                            .left = {},
                            .right = {}};
    const std::size_t rows = now.shape[0];
    const std::size_t columns = change.size() / rows;
    const std::size_t most = std::min(rows, columns);
    const std::size_t wanted =
        options.keep.rank.value_or(options.keep.energy ? most : kDefaultRank);
    const LowRank svd =
        truncated_svd(change, rows, columns, std::min(wanted, most), {.seed = options.seed});
    result.modules.push_back(compress(svd, squares, options.keep, module));
    result.adapter.modules.push_back(std::move(module));
  }
  if (result.adapter.modules.empty() && result.adapter.saved.empty()) {
    throw InputError("{} and {} do not differ; there is nothing to extract", tuned.label(),
                     base.label());
  }
  return result;
}

}  // namespace amalgam
