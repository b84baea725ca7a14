#include "amalgam/scores/studies/intrinsic_dimension.hpp"

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam::scores {
namespace {

using Eigen::Index;

void check_nearest(const NearestDistances& nearest, std::size_t least) {
  if (nearest.neighbours < least) {
    throw InputError("intrinsic dimension: {} neighbours; expected {} or more", nearest.neighbours,
                     least);
  }
  if (nearest.queries() == 0) throw InputError("intrinsic dimension: there are no points");
  for (std::size_t q = 0; q < nearest.queries(); ++q) {
    if (!(nearest.of(q).front() > 0)) {
      throw InputError(
          "intrinsic dimension: a point's nearest point is the same as itself;"
          " expected distinct points");
    }
    if (!std::isfinite(nearest.of(q).back())) {
      throw InputError(
          "intrinsic dimension: fewer than {} distinct points; expected more than the"
          " number of neighbours",
          nearest.neighbours + 1);
    }
  }
}

}  // namespace

double likelihood_dimension(const NearestDistances& nearest) {
  check_nearest(nearest, 2);
  double sum = 0;
  for (std::size_t q = 0; q < nearest.queries(); ++q) {
    const auto distances = nearest.of(q);
    for (std::size_t j = 0; j + 1 < distances.size(); ++j) {
      sum += portable_log(distances.back() / distances[j]);
    }
  }
  const auto terms = static_cast<double>(nearest.queries() * (nearest.neighbours - 1));
  return sum > 0 ? terms / sum : std::numeric_limits<double>::infinity();
}

double two_nearest_dimension(const NearestDistances& nearest, double discard) {
  check_nearest(nearest, 2);
  if (!(discard >= 0) || !(discard < 1)) {
    throw InputError(
        "intrinsic dimension: {} of the ratios are to be left out; expected a share of"
        " 0 or more and below 1",
        discard);
  }
  std::vector<double> ratios;
  for (std::size_t q = 0; q < nearest.queries(); ++q) {
    ratios.push_back(nearest.of(q)[1] / nearest.of(q)[0]);
  }
  std::ranges::sort(ratios);
  const auto count = static_cast<double>(ratios.size());
  // The largest ratio has 1 - F = 0 and is left out even with `discard` 0.
  const std::size_t kept =
      std::min(ratios.size() - 1, static_cast<std::size_t>(std::floor(count * (1 - discard))));
  double xx = 0;
  double xy = 0;
  for (std::size_t i = 0; i < kept; ++i) {
    const double x = portable_log(ratios[i]);
    xx += x * x;
    xy -= x * portable_log(1 - static_cast<double>(i + 1) / count);
  }
  if (kept == 0) throw InputError("intrinsic dimension: too few points for two neighbours' ratios");
  return xx > 0 ? xy / xx : std::numeric_limits<double>::infinity();
}

double PrincipalSpectrum::participation_ratio() const {
  double sum = 0;
  double squares = 0;
  for (const double variance : variances) {
    sum += variance;
    squares += variance * variance;
  }
  return squares > 0 ? sum * (sum / squares) : 0;
}

std::size_t PrincipalSpectrum::components(double share) const {
  const double all = std::accumulate(variances.begin(), variances.end(), 0.0);
  double sum = 0;
  for (std::size_t i = 0; i < variances.size(); ++i) {
    if (sum >= share * all) return i;
    sum += variances[i];
  }
  return variances.size();
}

PrincipalSpectrum principal_spectrum(const PointRows& points) {
  const std::size_t n = points.count();
  if (n == 0) throw InputError("principal components: there are no points");
  const bool all = std::min(n, points.width) <= kMostPrincipalRows;
  const std::size_t rows = all ? n : kMostPrincipalRows;
  const auto row = [&](std::size_t i) { return points.row(all ? i : i * n / rows); };
  const auto width = static_cast<Index>(points.width);
  Eigen::VectorXd mean = Eigen::VectorXd::Zero(width);
  for (std::size_t i = 0; i < rows; ++i) {
    mean += Eigen::Map<const Eigen::VectorXd>(row(i), width);
  }
  mean /= static_cast<double>(rows);
  // Of the two products of the centred rows the smaller one: they have the same eigenvalues.
  Eigen::MatrixXd scatter;
  if (points.width <= rows) {
    scatter = Eigen::MatrixXd::Zero(width, width);
    constexpr std::size_t kBlock = 512;
    for (std::size_t begin = 0; begin < rows; begin += kBlock) {
      const std::size_t size = std::min(kBlock, rows - begin);
      Eigen::MatrixXd block(width, static_cast<Index>(size));
      for (std::size_t i = 0; i < size; ++i) {
        block.col(static_cast<Index>(i)) =
            Eigen::Map<const Eigen::VectorXd>(row(begin + i), width) - mean;
      }
      scatter.selfadjointView<Eigen::Lower>().rankUpdate(block);
    }
  } else {
    Eigen::MatrixXd centred(width, static_cast<Index>(rows));
    for (std::size_t i = 0; i < rows; ++i) {
      centred.col(static_cast<Index>(i)) = Eigen::Map<const Eigen::VectorXd>(row(i), width) - mean;
    }
    scatter = Eigen::MatrixXd::Zero(static_cast<Index>(rows), static_cast<Index>(rows));
    scatter.selfadjointView<Eigen::Lower>().rankUpdate(centred.transpose());
  }
  scatter /= static_cast<double>(rows);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(scatter, Eigen::EigenvaluesOnly);
  if (solver.info() != Eigen::Success) {
    throw Error("principal components: the eigenvalues did not converge");
  }
  PrincipalSpectrum spectrum{.variances = {}, .rows = rows};
  for (Index i = scatter.rows(); i-- > 0;) {
    spectrum.variances.push_back(std::max(0.0, solver.eigenvalues()[i]));
  }
  return spectrum;
}

std::vector<std::size_t> distinct_rows(const PointRows& points) {
  std::vector<std::size_t> order(points.count());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto compare = [&](std::size_t a, std::size_t b) {
    return std::lexicographical_compare_three_way(points.row(a), points.row(a) + points.width,
                                                  points.row(b), points.row(b) + points.width);
  };
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    const auto less = compare(a, b);
    return less != 0 ? less < 0 : a < b;
  });
  std::vector<std::size_t> distinct;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || compare(order[i - 1], order[i]) != 0) distinct.push_back(order[i]);
  }
  std::ranges::sort(distinct);
  return distinct;
}

}  // namespace amalgam::scores
