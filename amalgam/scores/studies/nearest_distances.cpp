#include "amalgam/scores/studies/nearest_distances.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/fold.hpp"
#include "amalgam/core/interrupt.hpp"

namespace amalgam::scores {
namespace {

using Eigen::Index;

constexpr std::size_t kQueryBlock = 64;
constexpr std::size_t kPointBlock = 512;
constexpr std::size_t kMostWaiting = 4096;  // candidates per query before they are looked at

double largest_magnitude(const PointRows& points) {
  double largest = 0;
  for (const double value : points.values) largest = std::max(largest, std::abs(value));
  return largest;
}

// How points become single precision: moved by their mean and scaled so that none is beyond 1.
struct Frame {
  std::vector<double> centre;
  double scale = 1;
  double rounding = 0;  // of a coordinate, by moving: in units of the scale

  Frame(const PointRows& points, const PointRows& others) : centre(points.width) {
    const double half = 0.5 / static_cast<double>(points.count());  // halves cannot overflow
    for (std::size_t i = 0; i < points.count(); ++i) {
      for (std::size_t j = 0; j < centre.size(); ++j) centre[j] += 2 * (points.row(i)[j] * half);
    }
    double reach = 0;
    for (const PointRows* rows : {&points, &others}) {
      for (std::size_t i = 0; i < rows->count(); ++i) {
        for (std::size_t j = 0; j < centre.size(); ++j) {
          reach = std::max(reach, std::abs(rows->row(i)[j] - centre[j]));
        }
      }
    }
    scale = reach > 0 ? reach : 1;
    const double magnitude = std::max(largest_magnitude(points), largest_magnitude(others));
    rounding = 0x1p-51 * (magnitude / scale);
  }
};

// Points in single precision, with what bounds their distances: for i and j,
//   base[i] + base[j] - 2 <i, j>  <=  squared distance / scale^2  <=  the same + spread[i] +
//   spread[j].
struct Screened {
  Eigen::MatrixXf columns;  // [width, count]
  std::vector<double> base;
  std::vector<double> spread;

  Screened(const PointRows& points, const Frame& frame)
      : columns(static_cast<Index>(points.width), static_cast<Index>(points.count())) {
    // A product of `width` terms, in whatever order they are added, is off by at most width * u
    // |x| |y|, and rounding the coordinates changes the squared distance by at most 4 u (|x|^2 +
    // |y|^2), u = 2^-24; here with a reserve. Moving the points changes a difference vector by at
    // most t = 2 sqrt(width) * rounding, its square by 2 d t + t^2 <= t (1 + d^2) + t^2.
    const auto width = static_cast<double>(points.width);
    const double moved = 2 * std::sqrt(width) * frame.rounding;
    const double relative = (1.1 * width + 8) * 0x1p-24 + 2 * moved;
    const double absolute = moved + moved * moved + 1e-30;
    for (std::size_t i = 0; i < points.count(); ++i) {
      double norm = 0;
      for (std::size_t j = 0; j < points.width; ++j) {
        const auto value = static_cast<float>((points.row(i)[j] - frame.centre[j]) / frame.scale);
        columns(static_cast<Index>(j), static_cast<Index>(i)) = value;
        norm += static_cast<double>(value) * static_cast<double>(value);
      }
      base.push_back((1 - relative) * norm - absolute / 2);
      spread.push_back(2 * relative * norm + absolute);
    }
  }
};

// The products of a block of points with a block of queries, [points, queries].
void products(const Screened& points, std::size_t first_point, std::size_t point_count,
              const Screened& queries, std::size_t first_query, std::size_t query_count,
              Eigen::MatrixXf& out) {
  const auto rows = static_cast<Index>(point_count);
  const auto columns = static_cast<Index>(query_count);
  // Eigen frees a matrix before it has memory for the larger one, and again if there is none.
  if (out.rows() * out.cols() != rows * columns) out.resize(0, 0);
  out.noalias() = points.columns.middleCols(static_cast<Index>(first_point), rows).transpose() *
                  queries.columns.middleCols(static_cast<Index>(first_query), columns);
}

// The smallest `count` numbers seen, increasing.
class Smallest {
 public:
  explicit Smallest(std::size_t count) : values_(count, std::numeric_limits<double>::infinity()) {}
  double last() const { return values_.back(); }
  std::span<const double> values() const { return values_; }
  void add(double value) {
    if (!(value < last())) return;
    std::size_t at = values_.size() - 1;
    for (; at > 0 && values_[at - 1] > value; --at) values_[at] = values_[at - 1];
    values_[at] = value;
  }

 private:
  std::vector<double> values_;
};

// The search of one query: what may be among its nearest waits to be computed exactly.
class Search {
 public:
  Search(const double* query, const PointRows& points, std::size_t neighbours, double scale)
      : query_(query), points_(points), scale_(scale), uppers_(neighbours), exact_(neighbours) {}

  void see(std::size_t point, double lower, double spread) {
    if (lower > limit_) return;
    uppers_.add(lower + spread);
    limit_ = std::min(limit_, uppers_.last());
    waiting_.emplace_back(lower, point);
    if (waiting_.size() == kMostWaiting) look();
  }

  std::span<const double> squared_distances() {
    look();
    return exact_.values();
  }

 private:
  void look() {
    for (const auto& [lower, point] : waiting_) {
      if (lower <= limit_) {
        exact_.add(squared_distance(query_, points_.row(point), points_.width));
      }
    }
    waiting_.clear();
    const double last = exact_.last() / scale_ / scale_;
    limit_ = std::min(limit_, last * (1 + 1e-9) + 1e-300);
  }

  const double* query_;
  const PointRows& points_;
  double scale_;
  Smallest uppers_;
  Smallest exact_;
  double limit_ = std::numeric_limits<double>::infinity();
  std::vector<std::pair<double, std::size_t>> waiting_;
};

}  // namespace

double squared_distance(const double* a, const double* b, std::size_t width) {
  double lanes[4] = {0, 0, 0, 0};
  std::size_t j = 0;
  for (; j + 4 <= width; j += 4) {
    for (std::size_t lane = 0; lane < 4; ++lane) {
      const double apart = a[j + lane] - b[j + lane];
      lanes[lane] += apart * apart;
    }
  }
  for (; j < width; ++j) {
    const double apart = a[j] - b[j];
    lanes[0] += apart * apart;
  }
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

void NearestDistances::combine(const NearestDistances& other) {
  if (other.neighbours != neighbours || other.distances.size() != distances.size()) {
    throw Error("nearest distances: of {} and {} neighbours, or of other queries", neighbours,
                other.neighbours);
  }
  std::vector<double> both(2 * neighbours);
  for (std::size_t q = 0; q < queries(); ++q) {
    std::ranges::merge(of(q), other.of(q), both.begin());
    std::copy_n(both.begin(), neighbours,
                distances.begin() + static_cast<std::ptrdiff_t>(q * neighbours));
  }
}

NearestDistances nearest_distances(const PointRows& queries, const PointRows& points,
                                   std::span<const std::size_t> own, std::size_t neighbours,
                                   const Parallel& parallel, const OnQueries& done) {
  if (queries.width != points.width || own.size() != queries.count() || neighbours == 0) {
    throw Error("nearest distances: {} and {} columns, {} queries of which {} are told, {} wanted",
                queries.width, points.width, queries.count(), own.size(), neighbours);
  }
  NearestDistances nearest{
      neighbours,
      std::vector<double>(queries.count() * neighbours, std::numeric_limits<double>::infinity())};
  if (points.count() == 0) return nearest;
  const Frame frame(points, queries);
  const Screened screened_points(points, frame);
  const Screened screened_queries(queries, frame);
  const std::size_t blocks = (queries.count() + kQueryBlock - 1) / kQueryBlock;
  std::vector<Eigen::MatrixXf> buffers(parallel.workers());
  parallel_for(parallel, blocks, [&](std::size_t block, std::size_t worker) {
    const std::size_t first = block * kQueryBlock;
    const std::size_t count = std::min(kQueryBlock, queries.count() - first);
    std::vector<Search> searches;
    for (std::size_t q = 0; q < count; ++q) {
      searches.emplace_back(queries.row(first + q), points, neighbours, frame.scale);
    }
    for (std::size_t begin = 0; begin < points.count(); begin += kPointBlock) {
      check_interrupt();
      const std::size_t size = std::min(kPointBlock, points.count() - begin);
      products(screened_points, begin, size, screened_queries, first, count, buffers[worker]);
      for (std::size_t q = 0; q < count; ++q) {
        const float* product = buffers[worker].col(static_cast<Index>(q)).data();
        const double base = screened_queries.base[first + q];
        const double spread = screened_queries.spread[first + q];
        for (std::size_t i = 0; i < size; ++i) {
          if (begin + i == own[first + q]) continue;
          searches[q].see(
              begin + i,
              base + screened_points.base[begin + i] - 2 * static_cast<double>(product[i]),
              spread + screened_points.spread[begin + i]);
        }
      }
    }
    for (std::size_t q = 0; q < count; ++q) {
      std::ranges::transform(
          searches[q].squared_distances(),
          nearest.distances.begin() + static_cast<std::ptrdiff_t>((first + q) * neighbours),
          [](double squared) { return std::sqrt(squared); });
    }
    if (done) done(count);
  });
  return nearest;
}

NearestDistances nearest_distances(const PointRows& points, std::span<const std::size_t> queries,
                                   std::size_t neighbours, const Parallel& parallel,
                                   const OnQueries& done) {
  std::vector<double> rows;
  rows.reserve(queries.size() * points.width);
  for (const std::size_t query : queries) {
    rows.insert(rows.end(), points.row(query), points.row(query) + points.width);
  }
  return nearest_distances({rows, points.width}, points, queries, neighbours, parallel, done);
}

void ClosestPair::combine(ClosestPair&& other) {
  if (std::tie(other.distance, other.first, other.second) < std::tie(distance, first, second)) {
    *this = other;
  }
}

ClosestPair closest_of_different_classes(const PointRows& points,
                                         std::span<const std::uint32_t> classes, double at_least,
                                         const Parallel& parallel, const OnQueries& done) {
  if (classes.size() != points.count()) {
    throw Error("closest pair: {} classes of {} points", classes.size(), points.count());
  }
  if (points.count() == 0) return {};
  const Frame frame(points, {points.values.first(0), points.width});
  const Screened screened(points, frame);
  const std::size_t blocks = (points.count() + kQueryBlock - 1) / kQueryBlock;
  std::vector<Eigen::MatrixXf> buffers(parallel.workers());
  // Within a block distances are squares until its search is over.
  const auto search = [&](std::size_t block, std::size_t worker) {
    const std::size_t first = block * kQueryBlock;
    const std::size_t count = std::min(kQueryBlock, points.count() - first);
    ClosestPair best;
    double limit = std::numeric_limits<double>::infinity();
    for (std::size_t begin = first; begin < points.count(); begin += kPointBlock) {
      check_interrupt();
      const std::size_t size = std::min(kPointBlock, points.count() - begin);
      products(screened, begin, size, screened, first, count, buffers[worker]);
      for (std::size_t q = 0; q < count; ++q) {
        const std::size_t a = first + q;
        const float* product = buffers[worker].col(static_cast<Index>(q)).data();
        for (std::size_t b = std::max(begin, a + 1); b < begin + size; ++b) {
          const double lower =
              screened.base[a] + screened.base[b] - 2 * static_cast<double>(product[b - begin]);
          if (lower > limit || classes[a] == classes[b]) continue;
          const double squared = squared_distance(points.row(a), points.row(b), points.width);
          if (std::sqrt(squared) < at_least) continue;
          best.combine({squared, a, b});
          limit = best.distance / frame.scale / frame.scale * (1 + 1e-9) + 1e-300;
        }
      }
    }
    best.distance = std::sqrt(best.distance);
    if (done) done(count);
    return best;
  };
  return *fold(parallel, blocks, search);
}

}  // namespace amalgam::scores
