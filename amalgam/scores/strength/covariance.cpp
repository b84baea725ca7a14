#include "amalgam/scores/strength/covariance.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/scores/strength/newton.hpp"
#include "amalgam/scores/strength/plackett_luce.hpp"

namespace amalgam::scores {
namespace {

class PairProducts {
 public:
  PairProducts(std::span<const std::size_t> places, std::size_t ranked, std::size_t parameters,
               const VoteGradients& gradients)
      : places_(places), ranked_(ranked), gradients_(gradients), sums_(parameters) {}

  void add_vote(System first, System second, int outcome, double weight) {
    const std::size_t i = places_[first];
    const std::size_t j = places_[second];
    if (i >= ranked_ || j >= ranked_ || weight == 0.0) return;
    const VoteGradient gradient = gradients_(i, j, outcome);
    sums_.add(i, weight * gradient.first);
    sums_.add(j, weight * gradient.second);
    if (gradient.tie != 0.0) sums_.add(ranked_, weight * gradient.tie);
  }

  void add_ballot(const ScoreTable::Ballot& ballot, double weight, double tie_tolerance) {
    for (std::size_t a = 0; a < ballot.systems.size(); ++a) {
      for (std::size_t b = a + 1; b < ballot.systems.size(); ++b) {
        const double difference = ballot.values[a] - ballot.values[b];
        const int outcome = (difference > tie_tolerance) - (difference < -tie_tolerance);
        add_vote(ballot.systems[a], ballot.systems[b], outcome, weight);
      }
    }
    sums_.finish_cluster();
  }

  void add_comparisons(const Comparisons& comparisons) {
    if (comparisons.clusters.empty()) {
      add_lone_comparisons(comparisons);
      return;
    }
    for_clusters(
        comparisons,
        [&](std::size_t row) {
          add_vote(comparisons.first[row], comparisons.second[row], comparisons.outcomes[row],
                   comparisons.weight(row));
        },
        [&] { sums_.finish_cluster(); });
  }

  const std::vector<double>& products() const { return sums_.products(); }

 private:
  // Comparisons that stand alone matter by the sum of their squared weights per pair and outcome.
  void add_lone_comparisons(const Comparisons& comparisons) {
    PairTable squares(places_.size());
    for (std::size_t row = 0; row < comparisons.size(); ++row) {
      const std::size_t first = comparisons.first[row];
      const std::size_t second = comparisons.second[row];
      const double square = comparisons.weight(row) * comparisons.weight(row);
      const int outcome = comparisons.outcomes[row];
      (outcome == 0 ? squares.ties
                    : squares.wins)[outcome >= 0 ? first * squares.systems + second
                                                 : second * squares.systems + first] += square;
    }
    for (System i = 0; i < squares.systems; ++i) {
      for (System j = 0; j < squares.systems; ++j) {
        add_vote(i, j, 1, std::sqrt(squares.win(i, j)));
        sums_.finish_cluster();
        add_vote(i, j, 0, std::sqrt(squares.tie(i, j)));
        sums_.finish_cluster();
      }
    }
  }

  std::span<const std::size_t> places_;
  std::size_t ranked_;
  const VoteGradients& gradients_;
  GradientProducts sums_;
};

}  // namespace

ErrorKind error_kind_of_name(std::string_view name) {
  if (name == "none") return ErrorKind::none;
  if (name == "fisher") return ErrorKind::fisher;
  if (name == "sandwich") return ErrorKind::sandwich;
  throw InputError("'{}' is no kind of standard errors; expected none, fisher or sandwich", name);
}

void GradientProducts::finish_cluster() {
  for (const std::size_t a : touched_) {
    for (const std::size_t b : touched_) {
      products_[a * parameters_ + b] += gradient_[a] * gradient_[b];
    }
  }
  for (const std::size_t a : touched_) {
    gradient_[a] = 0;
    marks_[a] = 0;
  }
  touched_.clear();
}

void for_clusters(const Comparisons& comparisons, const std::function<void(std::size_t)>& visit,
                  const std::function<void()>& end) {
  if (comparisons.clusters.empty()) {
    for (std::size_t row = 0; row < comparisons.size(); ++row) {
      visit(row);
      end();
    }
    return;
  }
  std::vector<std::size_t> order(comparisons.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t row) { return comparisons.clusters[row]; });
  for (std::size_t at = 0; at < order.size(); ++at) {
    visit(order[at]);
    if (at + 1 == order.size() ||
        comparisons.clusters[order[at + 1]] != comparisons.clusters[order[at]]) {
      end();
    }
  }
}

std::vector<double> pair_gradient_products(const ScoreTable& table, Missing missing,
                                           std::span<const std::size_t> places, std::size_t ranked,
                                           std::size_t parameters, const VoteGradients& gradients,
                                           double tie_tolerance) {
  PairProducts products(places, ranked, parameters, gradients);
  for (std::size_t index = 0; index < table.ballot_count(); ++index) {
    const ScoreTable::Ballot ballot = table.ballot(index);
    if (missing == Missing::drop && ballot.systems.size() < table.system_count()) continue;
    products.add_ballot(ballot, table.ballot_weight(index), tie_tolerance);
  }
  products.add_comparisons(table.comparisons);
  return products.products();
}

std::vector<double> choice_gradient_products(const Choices& choices, const ScoreTable& table,
                                             std::span<const std::size_t> places,
                                             std::span<const double> strengths) {
  const std::size_t systems = choices.systems;
  const std::vector<double> weights = relative_weights(strengths);
  GradientProducts of_ballots(systems);
  std::vector<double> gradient;
  for (std::size_t index = 0; index < choices.ballots(); ++index) {
    ballot_gradient(choices, index, weights, gradient);
    for (std::size_t place = 0; place < gradient.size(); ++place) {
      of_ballots.add(Choices::system_of(choices.ballot(index)[place]), gradient[place]);
    }
    of_ballots.finish_cluster();
  }
  const VoteGradients of_vote = [&](std::size_t i, std::size_t j, int outcome) {
    const double rest = 0.5 * (1 + outcome) - portable_logistic(strengths[i] - strengths[j]);
    return VoteGradient{.first = rest, .second = -rest};
  };
  PairProducts of_comparisons(places, systems, systems, of_vote);
  of_comparisons.add_comparisons(table.comparisons);
  std::vector<double> products = of_ballots.products();
  for (std::size_t i = 0; i < products.size(); ++i) products[i] += of_comparisons.products()[i];
  return products;
}

std::vector<double> sandwich_covariance(std::vector<double> information,
                                        std::span<const double> products, std::size_t parameters,
                                        std::size_t shiftable) {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const std::vector<double> inverse = covariance_of(std::move(information), parameters, shiftable);
  const auto size = static_cast<Eigen::Index>(parameters);
  const Eigen::Map<const Matrix> bread(inverse.data(), size, size);
  const Eigen::Map<const Matrix> filling(products.data(), size, size);
  std::vector<double> covariance(inverse.size());
  const Matrix half = bread * filling;
  Eigen::Map<Matrix>(covariance.data(), size, size).noalias() = half * bread;
  return covariance;
}

std::vector<double> standard_errors(std::span<const double> covariance, std::size_t parameters,
                                    std::size_t count) {
  std::vector<double> errors(count);
  for (std::size_t i = 0; i < count; ++i) {
    errors[i] = std::sqrt(std::max(0.0, covariance[i * parameters + i]));
  }
  return errors;
}

}  // namespace amalgam::scores
