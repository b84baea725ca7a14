#include "amalgam/checkpoint/statistics.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/fold.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/tensor/kernels.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kBlock = 8192;  // stays in the first- or second-level cache as doubles

std::size_t leaf_count(std::uint64_t elements) {
  return (elements + kStatisticsLeafElements - 1) / kStatisticsLeafElements;
}

/// The state of every tensor: `make_leaf(tensor, leaf, worker)` folded over its leaves. Tensors of
/// one leaf are done several at a time, larger ones with all threads; the tree is the same.
template <class State, class MakeLeaf>
std::vector<State> fold_tensors(const Parallel& parallel,
                                const std::vector<std::uint64_t>& elements, MakeLeaf make_leaf) {
  std::vector<State> states(elements.size());
  for (std::size_t next = 0; next < elements.size();) {
    std::size_t end = next;
    while (end < elements.size() && leaf_count(elements[end]) <= 1) ++end;
    parallel_for(parallel, end - next, [&](std::size_t i, std::size_t worker) {
      if (elements[next + i] > 0) states[next + i] = make_leaf(next + i, 0, worker);
    });
    if (end < elements.size()) {
      auto state =
          fold(parallel, leaf_count(elements[end]),
               [&](std::size_t leaf, std::size_t worker) { return make_leaf(end, leaf, worker); });
      if (state) states[end] = std::move(*state);
      ++end;
    }
    next = end;
  }
  return states;
}

/// The elements of a leaf, read into a buffer of the worker.
class LeafReader {
 public:
  LeafReader(const TensorSource& source, std::size_t workers)
      : source_(source), buffers_(workers) {}

  std::span<double> read(std::size_t tensor, std::size_t leaf, std::size_t worker) {
    const std::uint64_t first = leaf * kStatisticsLeafElements;
    const std::uint64_t count =
        std::min(kStatisticsLeafElements, source_.tensors()[tensor].elements - first);
    std::vector<double>& buffer = buffers_[worker];
    buffer.resize(kStatisticsLeafElements);
    const std::span<double> values(buffer.data(), count);
    source_.read(tensor, first, values);
    return values;
  }

 private:
  const TensorSource& source_;
  std::vector<std::vector<double>> buffers_;
};

struct Extremes {
  double min = 0;
  double max = 0;
};

// Sixteen running extremes, which compile to vector instructions; the order does not matter.
Extremes extremes_of(std::span<const double> x) {
  std::array<double, 16> low{};
  std::array<double, 16> high{};
  low.fill(x[0]);
  high.fill(x[0]);
  std::size_t i = 0;
  for (; i + 16 <= x.size(); i += 16) {
    for (std::size_t j = 0; j < 16; ++j) {
      low[j] = x[i + j] < low[j] ? x[i + j] : low[j];
      high[j] = x[i + j] > high[j] ? x[i + j] : high[j];
    }
  }
  for (; i < x.size(); ++i) {
    low[0] = std::min(low[0], x[i]);
    high[0] = std::max(high[0], x[i]);
  }
  return {*std::min_element(low.begin(), low.end()), *std::max_element(high.begin(), high.end())};
}

/// Statistics of one block, by two passes over it; uses `x` as scratch.
ElementStatistics block_statistics(std::span<double> x) {
  ElementStatistics state;
  const auto kept = std::remove_if(x.begin(), x.end(), [&](double value) {
    if (std::isfinite(value)) return false;
    ++(std::isnan(value) ? state.nan_count : state.inf_count);
    return true;
  });
  x = x.first(static_cast<std::size_t>(kept - x.begin()));
  if (x.empty()) return state;
  state.count = x.size();
  const Extremes extremes = extremes_of(x);
  state.min = extremes.min;
  state.max = extremes.max;
  state.squares = kernels::dot(std::span<const double>(x), std::span<const double>(x));
  if (state.min == state.max) {  // a constant has no deviation, whatever its mean rounds to
    state.mean = state.min;
    return state;
  }
  state.mean = kernels::sum(std::span<const double>(x)) / static_cast<double>(x.size());
  for (double& value : x) value -= state.mean;
  state.squared_deviations = kernels::dot(std::span<const double>(x), std::span<const double>(x));
  return state;
}

template <class Block, class State>
void absorb_blocks(State& state, std::size_t count, Block block) {
  for (std::size_t first = 0; first < count; first += kBlock) {
    state.combine(block(first, std::min(kBlock, count - first)));
  }
}

std::uint64_t count_conflicts(std::span<const double> a, std::span<const double> b) {
  std::uint64_t conflicts = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    conflicts += static_cast<std::uint64_t>((a[i] > 0 && b[i] < 0) || (a[i] < 0 && b[i] > 0));
  }
  return conflicts;
}

double squares(std::span<const double> x) { return kernels::dot(x, x); }

/// Compares one block; uses `a`, `b` and `c` (empty without a base) as scratch.
TensorComparison compare_block(std::span<double> a, std::span<double> b, std::span<double> c) {
  TensorComparison state;
  state.elements = a.size();
  state.squares_a = squares(a);
  state.squares_b = squares(b);
  state.has_base = !c.empty();
  std::array<double, kBlock> difference;  // NOLINT(*-member-init): filled below
  for (std::size_t i = 0; i < a.size(); ++i) difference[i] = a[i] - b[i];
  state.squared_distance = squares({difference.data(), a.size()});
  if (state.has_base) {
    for (std::size_t i = 0; i < c.size(); ++i) {
      a[i] -= c[i];
      b[i] -= c[i];
    }
    state.task_dot = kernels::dot(std::span<const double>(a), std::span<const double>(b));
    state.task_squares_a = squares(a);
    state.task_squares_b = squares(b);
    state.sign_conflicts = count_conflicts(a, b);
  }
  return state;
}

// Collects the tensors of `a` whose shapes are others elsewhere, and says which.
class ShapeCheck {
 public:
  explicit ShapeCheck(const TensorSource& a) : a_(a) {}

  void compare(std::size_t tensor_a, const TensorSource& b, std::size_t tensor_b) {
    const TensorInfo& one = a_.tensors()[tensor_a];
    const TensorInfo& two = b.tensors()[tensor_b];
    if (one.shape == two.shape) return;
    if (++count_ > kMostShown) return;
    text_ += fmt::format("{}tensor '{}' has shape {}, but {} has {}", text_.empty() ? "" : "; ",
                         one.name, format_shape(one.shape), b.label(), format_shape(two.shape));
  }
  void finish() const {
    if (count_ == 0) return;
    throw InputError("{}: {}{}", a_.label(), text_,
                     count_ > kMostShown ? fmt::format("; and {} more", count_ - kMostShown) : "");
  }

 private:
  static constexpr std::size_t kMostShown = 10;
  const TensorSource& a_;
  std::string text_;
  std::size_t count_ = 0;
};

}  // namespace

void ElementStatistics::combine(const ElementStatistics& right) {
  nan_count += right.nan_count;
  inf_count += right.inf_count;
  if (right.count == 0) return;
  min = std::min(min, right.min);
  max = std::max(max, right.max);
  squares += right.squares;
  const auto n = static_cast<double>(count);
  const auto m = static_cast<double>(right.count);
  const double step = right.mean - mean;
  mean = count == 0 ? right.mean : mean + step * (m / (n + m));
  squared_deviations += right.squared_deviations + step * step * (n * m / (n + m));
  count += right.count;
}

double ElementStatistics::standard_deviation() const {
  return std::sqrt(squared_deviations / static_cast<double>(count));
}

double ElementStatistics::norm() const { return std::sqrt(squares); }

void TensorComparison::combine(const TensorComparison& right) {
  elements += right.elements;
  squared_distance += right.squared_distance;
  squares_a += right.squares_a;
  squares_b += right.squares_b;
  has_base = has_base || right.has_base;
  task_dot += right.task_dot;
  task_squares_a += right.task_squares_a;
  task_squares_b += right.task_squares_b;
  sign_conflicts += right.sign_conflicts;
}

double TensorComparison::distance() const { return std::sqrt(squared_distance); }

std::optional<double> TensorComparison::relative_distance() const {
  if (squares_a == 0) return std::nullopt;
  return distance() / std::sqrt(squares_a);
}

std::optional<double> TensorComparison::cosine() const {
  const double norms = std::sqrt(task_squares_a) * std::sqrt(task_squares_b);
  if (!has_base || norms == 0) return std::nullopt;
  return std::isnan(norms) ? norms : std::clamp(task_dot / norms, -1.0, 1.0);
}

std::optional<double> TensorComparison::sign_conflict() const {
  if (!has_base || elements == 0) return std::nullopt;
  return static_cast<double>(sign_conflicts) / static_cast<double>(elements);
}

std::vector<ElementStatistics> tensor_statistics(const TensorSource& source,
                                                 const Parallel& parallel, Progress* progress) {
  std::vector<std::uint64_t> elements;
  for (const TensorInfo& info : source.tensors()) elements.push_back(info.elements);
  LeafReader reader(source, parallel.workers());
  return fold_tensors<ElementStatistics>(
      parallel, elements, [&](std::size_t tensor, std::size_t leaf, std::size_t worker) {
        check_interrupt();
        const std::span<double> x = reader.read(tensor, leaf, worker);
        ElementStatistics state;
        absorb_blocks(state, x.size(), [&](std::size_t first, std::size_t count) {
          return block_statistics(x.subspan(first, count));
        });
        if (progress != nullptr) {
          progress->advance(dtype_bytes(source.tensors()[tensor].dtype, x.size()));
        }
        return state;
      });
}

std::vector<TensorComparison> compare_tensors(const TensorSource& a, const TensorSource& b,
                                              const TensorSource* base,
                                              const std::vector<ComparedTensor>& pairs,
                                              const Parallel& parallel, Progress* progress) {
  std::vector<std::uint64_t> elements;
  ShapeCheck shapes(a);
  for (const ComparedTensor& pair : pairs) {
    shapes.compare(pair.a, b, pair.b);
    if (pair.base) shapes.compare(pair.a, *base, *pair.base);
    elements.push_back(a.tensors()[pair.a].elements);
  }
  shapes.finish();
  LeafReader read_a(a, parallel.workers());
  LeafReader read_b(b, parallel.workers());
  LeafReader read_base(base != nullptr ? *base : a, parallel.workers());
  std::vector<TensorComparison> compared = fold_tensors<TensorComparison>(
      parallel, elements, [&](std::size_t index, std::size_t leaf, std::size_t worker) {
        check_interrupt();
        const ComparedTensor& pair = pairs[index];
        const std::span<double> x = read_a.read(pair.a, leaf, worker);
        const std::span<double> y = read_b.read(pair.b, leaf, worker);
        const std::span<double> z =
            pair.base ? read_base.read(*pair.base, leaf, worker) : std::span<double>();
        TensorComparison state;
        absorb_blocks(state, x.size(), [&](std::size_t first, std::size_t count) {
          return compare_block(x.subspan(first, count), y.subspan(first, count),
                               z.empty() ? z : z.subspan(first, count));
        });
        if (progress != nullptr) {
          progress->advance(dtype_bytes(a.tensors()[pair.a].dtype, x.size()));
          progress->advance(dtype_bytes(b.tensors()[pair.b].dtype, x.size()));
          if (pair.base)
            progress->advance(dtype_bytes(base->tensors()[*pair.base].dtype, x.size()));
        }
        return state;
      });
  for (std::size_t i = 0; i < pairs.size(); ++i) compared[i].has_base = pairs[i].base.has_value();
  return compared;
}

}  // namespace amalgam
