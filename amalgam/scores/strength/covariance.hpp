#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "amalgam/scores/pair_table.hpp"
#include "amalgam/scores/score_table.hpp"
#include "amalgam/scores/strength/choices.hpp"

namespace amalgam::scores {

/// How standard errors of strengths are computed.
enum class ErrorKind {
  none,
  /// From Fisher's information: as if every vote were independent of all others.
  fisher,
  /// Robust to dependent votes: what is in one cluster (a ballot, or comparisons of one cluster) is
  /// taken together (Huber 1967; Liang and Zeger 1986).
  sandwich,
};
ErrorKind error_kind_of_name(std::string_view name);

/// How the logarithm of the probability of an outcome changes with what it depends on.
struct VoteGradient {
  double first = 0;   ///< by the log-strength of the first system
  double second = 0;  ///< by that of the second
  double tie = 0;     ///< by the logarithm of a tie parameter
};

/// The gradient of a vote between systems i and j (numbers among those that are ranked): outcome 1,
/// -1 or 0 as in Comparisons.
using VoteGradients = std::function<VoteGradient(std::size_t i, std::size_t j, int outcome)>;

/// Sum over clusters of the outer product of the cluster's gradient with itself.
class GradientProducts {
 public:
  explicit GradientProducts(std::size_t parameters)
      : parameters_(parameters),
        gradient_(parameters),
        marks_(parameters),
        products_(parameters * parameters) {}

  /// Adds to the gradient of the cluster at hand.
  void add(std::size_t parameter, double value) {
    if (marks_[parameter] == 0) touched_.push_back(parameter);
    marks_[parameter] = 1;
    gradient_[parameter] += value;
  }
  /// The next cluster begins.
  void finish_cluster();
  /// [parameters, parameters]
  const std::vector<double>& products() const { return products_; }

 private:
  std::size_t parameters_;
  std::vector<double> gradient_;
  std::vector<char> marks_;  // 1: in touched_
  std::vector<std::size_t> touched_;
  std::vector<double> products_;
};

/// The products of a model of votes on pairs. `places`: [systems of the table] numbers of those
/// that are ranked, and at least `ranked` for others, whose votes do not count. `parameters`:
/// `ranked`, and one more if there is a tie parameter. With Missing::drop incomplete ballots do not
/// count; Missing::complete is not possible. Values that differ by at most `tie_tolerance` tie.
std::vector<double> pair_gradient_products(const ScoreTable& table, Missing missing,
                                           std::span<const std::size_t> places, std::size_t ranked,
                                           std::size_t parameters, const VoteGradients& gradients,
                                           double tie_tolerance = 0);

/// The products of choices, each ballot a cluster; comparisons as by pair_gradient_products.
std::vector<double> choice_gradient_products(const Choices& choices, const ScoreTable& table,
                                             std::span<const std::size_t> places,
                                             std::span<const double> strengths);

/// Calls visit(row) for all comparisons, those of one cluster one after another, and end() after
/// each cluster.
void for_clusters(const Comparisons& comparisons, const std::function<void(std::size_t)>& visit,
                  const std::function<void()>& end);

/// H+ B H+ with H+ the inverse of `information` as by covariance_of, B = `products`.
std::vector<double> sandwich_covariance(std::vector<double> information,
                                        std::span<const double> products, std::size_t parameters,
                                        std::size_t shiftable);

/// Square roots of the first `count` entries of the diagonal.
std::vector<double> standard_errors(std::span<const double> covariance, std::size_t parameters,
                                    std::size_t count);

}  // namespace amalgam::scores
