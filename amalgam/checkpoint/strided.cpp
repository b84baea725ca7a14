#include "amalgam/checkpoint/strided.hpp"

#include <algorithm>
#include <cstring>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

constexpr std::uint64_t kWindowBytes = std::uint64_t{64} << 10;
// Below this, one read costs less than choosing what to skip.
constexpr std::uint64_t kPageBytes = 4096;
// A window is worth reading if at least one element in so many is wanted.
constexpr std::uint64_t kSparsest = 8;

struct Axis {
  std::uint64_t size = 0;
  std::uint64_t stride = 0;  // in the storage
  std::uint64_t step = 0;    // in the output
};
using Axes = std::span<const Axis>;

// The same view with axes of one element dropped and neighbours merged where the outer one's stride
// just continues the inner one's; row-major, `step` left open.
std::vector<Axis> collapsed(const StridedLayout& layout) {
  std::vector<Axis> axes;
  for (std::size_t i = 0; i < layout.shape.size(); ++i) {
    const Axis axis{layout.shape[i], layout.strides[i], 0};
    if (axis.size == 1) continue;
    // The product cannot wrap: the view fits a storage, which has at most 2^60 elements.
    if (!axes.empty() && axes.back().stride == axis.stride * axis.size) {
      axes.back() = {axes.back().size * axis.size, axis.stride, 0};
    } else {
      axes.push_back(axis);
    }
  }
  return axes;
}

std::uint64_t extent_of(Axes axes) {
  std::uint64_t extent = 1;
  for (const Axis& axis : axes) extent += (axis.size - 1) * axis.stride;
  return extent;
}

// Different storage elements in the box, at most.
std::uint64_t wanted_in(Axes axes) {
  std::uint64_t wanted = 1;
  for (const Axis& axis : axes) wanted *= axis.stride == 0 ? 1 : axis.size;
  return std::min(wanted, extent_of(axes));
}

template <class T>
void copy_axis(const Axis& axis, const std::byte* from, std::byte* to) {
  for (std::uint64_t i = 0; i < axis.size; ++i) {
    std::memcpy(to + i * axis.step * sizeof(T), from + i * axis.stride * sizeof(T), sizeof(T));
  }
}

// Copies a box out of a window that holds all of it.
void scatter(Axes axes, std::size_t element, const std::byte* from, std::byte* to) {
  const Axis& axis = axes.front();
  if (axes.size() > 1) {
    for (std::uint64_t i = 0; i < axis.size; ++i) {
      scatter(axes.subspan(1), element, from + i * axis.stride * element,
              to + i * axis.step * element);
    }
  } else if (axis.stride == 1 && axis.step == 1) {
    std::memcpy(to, from, axis.size * element);
  } else if (element == 1) {
    copy_axis<std::uint8_t>(axis, from, to);
  } else if (element == 2) {
    copy_axis<std::uint16_t>(axis, from, to);
  } else if (element == 4) {
    copy_axis<std::uint32_t>(axis, from, to);
  } else {
    copy_axis<std::uint64_t>(axis, from, to);
  }
}

class Gatherer {
 public:
  Gatherer(std::vector<Axis> axes, std::size_t element, const ReadStorage& read)
      : axes_(std::move(axes)), element_(element), read_(read) {}

  // Row-major elements [first, first + count) of axes_[axis...], the first of which lies at storage
  // element `base`: cut into boxes, at most two per axis.
  void range(std::size_t axis, std::uint64_t base, std::uint64_t first, std::uint64_t count,
             std::byte* out) {
    if (count == 0) return;
    if (axis == axes_.size()) {
      box({}, base, out);
      return;
    }
    const std::uint64_t stride = axes_[axis].stride;
    const std::uint64_t row = row_elements(axis);
    std::uint64_t index = first / row;
    if (const std::uint64_t within = first % row; within != 0) {
      const std::uint64_t part = std::min(count, row - within);
      range(axis + 1, base + index * stride, within, part, out);
      out += part * element_;
      count -= part;
      ++index;
    }
    if (const std::uint64_t rows = count / row; rows > 0) {
      whole_rows(axis, base + index * stride, rows, out);
      out += rows * row * element_;
      index += rows;
    }
    if (const std::uint64_t rest = count % row; rest > 0) {
      range(axis + 1, base + index * stride, 0, rest, out);
    }
  }

 private:
  std::uint64_t row_elements(std::size_t axis) const {
    std::uint64_t elements = 1;
    for (std::size_t i = axis + 1; i < axes_.size(); ++i) elements *= axes_[i].size;
    return elements;
  }

  void whole_rows(std::size_t axis, std::uint64_t base, std::uint64_t rows, std::byte* out) {
    std::vector<Axis> sorted(axes_.begin() + static_cast<std::ptrdiff_t>(axis), axes_.end());
    sorted.front().size = rows;
    std::uint64_t step = 1;
    for (auto axis_at = sorted.rbegin(); axis_at != sorted.rend(); ++axis_at) {
      axis_at->step = step;
      step *= axis_at->size;
    }
    std::erase_if(sorted, [](const Axis& candidate) { return candidate.size == 1; });
    // Largest stride outermost: the storage is read front to back.
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const Axis& a, const Axis& b) { return a.stride > b.stride; });
    box(sorted, base, out);
  }

  // All elements of `axes`, sorted by stride.
  void box(Axes axes, std::uint64_t base, std::byte* out) {
    const bool is_run = axes.size() == 1 && axes[0].stride == 1 && axes[0].step == 1;
    if (axes.empty() || is_run) {
      read_(base * element_, {out, (axes.empty() ? 1 : axes[0].size) * element_});
      return;
    }
    const Axis& outer = axes.front();
    const Axes inner = axes.subspan(1);
    const bool has_long_runs = axes.back().stride == 1 && axes.back().step == 1 &&
                               axes.back().size * element_ >= kPageBytes;
    if (has_long_runs) {
      for_each_slice(outer, inner, base, out);
      return;
    }
    const std::uint64_t extent = extent_of(axes);
    const std::uint64_t window = kWindowBytes / element_;
    const bool is_dense = wanted_in(axes) >= extent / kSparsest;
    if (extent <= window && (is_dense || extent * element_ <= kPageBytes)) {
      through_window(axes, base, extent, out);
      return;
    }
    // As many slices of the outermost axis at a time as fit a window, if that pays.
    const std::uint64_t inner_extent = extent_of(inner);
    const bool slices_are_dense = wanted_in(inner) >= outer.stride / kSparsest;
    if (inner_extent <= window && slices_are_dense) {
      const std::uint64_t group =
          outer.stride == 0 ? outer.size : (window - inner_extent) / outer.stride + 1;
      std::vector<Axis> slices(axes.begin(), axes.end());
      for (std::uint64_t i = 0; i < outer.size; i += group) {
        slices.front().size = std::min(group, outer.size - i);
        through_window(slices, base + i * outer.stride, extent_of(slices),
                       out + i * outer.step * element_);
      }
      return;
    }
    for_each_slice(outer, inner, base, out);
  }

  void for_each_slice(const Axis& outer, Axes inner, std::uint64_t base, std::byte* out) {
    for (std::uint64_t i = 0; i < outer.size; ++i) {
      box(inner, base + i * outer.stride, out + i * outer.step * element_);
    }
  }

  void through_window(Axes axes, std::uint64_t base, std::uint64_t extent, std::byte* out) {
    buffer_.resize(kWindowBytes);
    read_(base * element_, std::span(buffer_).first(extent * element_));
    scatter(axes, element_, buffer_.data(), out);
  }

  std::vector<Axis> axes_;
  std::size_t element_;
  const ReadStorage& read_;
  std::vector<std::byte> buffer_;
};

bool is_empty(const StridedLayout& layout) {
  return std::find(layout.shape.begin(), layout.shape.end(), 0U) != layout.shape.end();
}

}  // namespace

std::uint64_t strided_extent(const StridedLayout& layout, std::string_view what) {
  if (is_empty(layout)) return 0;
  std::uint64_t last = layout.offset;
  for (std::size_t i = 0; i < layout.shape.size(); ++i) {
    std::uint64_t span = 0;
    if (__builtin_mul_overflow(layout.shape[i] - 1, layout.strides[i], &span) ||
        __builtin_add_overflow(last, span, &last)) {
      throw InputError("{}: its offset, shape {} and strides {} overflow", what,
                       format_shape(layout.shape), format_shape(layout.strides));
    }
  }
  if (last == ~std::uint64_t{0}) throw InputError("{}: its last element overflows", what);
  return last + 1;
}

bool is_contiguous(const StridedLayout& layout) {
  if (is_empty(layout)) return true;
  const std::vector<Axis> axes = collapsed(layout);
  return axes.empty() || (axes.size() == 1 && axes[0].stride == 1);
}

void gather_strided(const StridedLayout& layout, std::size_t element_bytes, std::uint64_t first,
                    std::span<std::byte> out, const ReadStorage& read) {
  Gatherer(collapsed(layout), element_bytes, read)
      .range(0, layout.offset, first, out.size() / element_bytes, out.data());
}

}  // namespace amalgam
