#include "amalgam/weights/learned/matching.hpp"

#include <cmath>
#include <set>
#include <utility>

#include "amalgam/core/assignment.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/weights/learned/unit_moments.hpp"

namespace amalgam::learned {
namespace {

constexpr double kProgress = 1e-12;  // of the objective

Assignment best_partners(const torch::Tensor& similarity) {
  const torch::Tensor whole = similarity.contiguous();
  return linear_assignment(
      std::span(whole.data_ptr<double>(), static_cast<std::size_t>(whole.numel())),
      static_cast<std::size_t>(whole.size(0)), Goal::maximise);
}

double sum_at(const torch::Tensor& similarity, const std::vector<std::int64_t>& partners) {
  const auto entries = similarity.accessor<double, 2>();
  double sum = 0;
  for (std::size_t i = 0; i < partners.size(); ++i) {
    sum += entries[static_cast<std::int64_t>(i)][partners[i]];
  }
  return sum;
}

// [units, everything else] of the tensor's entries.
torch::Tensor unit_rows(const torch::Tensor& tensor, const UnitAxis& axis, std::int64_t units) {
  torch::Tensor front = tensor.movedim(axis.axis, 0);
  return front.reshape({units, -1});
}

// Coordinate ascent on <A, P(B)>, all in double.
class WeightMatcher {
 public:
  WeightMatcher(const PermutationSpec& spec, const Network& left, const Network& right)
      : spec_(spec), partners_(identity_permutations(spec)) {
    for (const auto& [name, tensor] : learning::state_of(left)) {
      left_.emplace_back(name, tensor.detach().to(torch::kDouble));
    }
    for (const auto& [name, tensor] : learning::state_of(right)) {
      right_.emplace_back(name, tensor.detach().to(torch::kDouble));
    }
  }

  // Inner products of units, all other groups of the second network being in their present order.
  torch::Tensor similarity(std::size_t group) const {
    Permutations others = partners_;
    others[group] = identity_permutations(spec_)[group];
    const NamedTensors right = permuted(spec_, right_, others);
    const std::int64_t units = spec_.groups[group].units;
    torch::Tensor sum = torch::zeros({units, units}, torch::kDouble);
    for (const UnitAxis& axis : spec_.groups[group].axes) {
      sum +=
          unit_rows(tensor_named(left_, axis.tensor, "first network"), axis, units)
              .mm(unit_rows(tensor_named(right, axis.tensor, "second network"), axis, units).t());
    }
    return sum;
  }

  // Whether the group got a better permutation.
  bool improve(std::size_t group) {
    const torch::Tensor products = similarity(group);
    Assignment best = best_partners(products);
    const double before = sum_at(products, partners_[group]);
    if (!(best.value > before + kProgress * (1 + std::abs(before)))) return false;
    partners_[group] = std::move(best.columns);
    return true;
  }

  double objective() const {
    std::set<std::string> names;
    for (const PermutationGroup& group : spec_.groups) {
      for (const UnitAxis& axis : group.axes) names.insert(axis.tensor);
    }
    const NamedTensors right = permuted(spec_, right_, partners_);
    double sum = 0;
    for (const std::string& name : names) {
      sum +=
          (tensor_named(left_, name, "first network") * tensor_named(right, name, "second network"))
              .sum()
              .item<double>();
    }
    return sum;
  }

  const Permutations& partners() const { return partners_; }

 private:
  const PermutationSpec& spec_;
  NamedTensors left_;
  NamedTensors right_;
  Permutations partners_;
};

// Where in a layer's input columns the entries of units are: of a convolution's patches the middle,
// which runs over every pixel once.
torch::Tensor unit_columns(const PermutationGroup& group, const PairGram& gram) {
  const std::int64_t entries = (gram.left.size(0) - 1) / gram.taps;
  return torch::arange(entries, torch::kLong).view({group.units, -1}) * gram.taps + gram.taps / 2;
}

UnitSums unit_sums(const PermutationGroup& group, const PairGram& gram) {
  const torch::Tensor columns = unit_columns(group, gram);  // [units, block]
  const std::int64_t one = gram.left.size(0) - 1;
  UnitSums sums;
  sums.left_squares = gram.left.diagonal().take(columns).sum(1);
  sums.right_squares = gram.right.diagonal().take(columns).sum(1);
  sums.left_sums = gram.left.select(1, one).take(columns).sum(1);
  sums.right_sums = gram.right.select(1, one).take(columns).sum(1);
  sums.products = torch::zeros({group.units, group.units}, torch::kDouble);
  for (std::int64_t b = 0; b < columns.size(1); ++b) {
    const torch::Tensor at = columns.select(1, b);
    sums.products += gram.cross.index_select(0, at).index_select(1, at);
  }
  sums.rows = static_cast<double>(gram.rows) * static_cast<double>(columns.size(1));
  return sums;
}

torch::Tensor squared_distance(const UnitSums& sums) {
  return sums.left_squares.unsqueeze(1) + sums.right_squares.unsqueeze(0) - 2 * sums.products;
}

}  // namespace

std::vector<double> Matching::scores(std::size_t group) const {
  const auto entries = similarity[group].accessor<double, 2>();
  std::vector<double> scores(partners[group].size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    scores[i] = entries[static_cast<std::int64_t>(i)][partners[group][i]];
  }
  return scores;
}

double Matching::matched(std::size_t group) const {
  return sum_at(similarity[group], partners[group]);
}

double Matching::unmatched(std::size_t group) const {
  return similarity[group].trace().item<double>();
}

Matching match_weights(const PermutationSpec& spec, const Network& left, const Network& right,
                       const WeightMatchingOptions& options) {
  check_pair(left, right, spec.own_outputs);
  const torch::NoGradGuard no_grad;
  WeightMatcher matcher(spec, left, right);
  Matching matching;
  matching.objective.push_back(matcher.objective());
  const auto groups = static_cast<std::int64_t>(spec.groups.size());
  bool progress = true;
  for (int sweep = 0; progress && sweep < options.sweeps; ++sweep) {
    progress = false;
    for (const std::int64_t group :
         random_permutation(groups, options.seed, "weight matching " + std::to_string(sweep))) {
      check_interrupt();
      progress = matcher.improve(static_cast<std::size_t>(group)) || progress;
    }
    matching.objective.push_back(matcher.objective());
  }
  matching.partners = matcher.partners();
  for (std::size_t g = 0; g < spec.groups.size(); ++g) {
    matching.similarity.push_back(matcher.similarity(g));
  }
  return matching;
}

Matching match_activations(const PermutationSpec& spec, const PairGrams& grams,
                           ActivationSimilarity kind) {
  const torch::NoGradGuard no_grad;
  Matching matching;
  for (const PermutationGroup& group : spec.groups) {
    torch::Tensor similarity = torch::zeros({group.units, group.units}, torch::kDouble);
    for (const std::string& consumer : group.consumers) {
      const auto found = grams.find(consumer);
      if (found == grams.end()) throw InputError("no Gram sums of layer '{}'", consumer);
      if ((found->second.left.size(0) - 1) % (group.units * found->second.taps) != 0) {
        throw InputError("Gram sums of layer '{}' are not of {} units", consumer, group.units);
      }
      const UnitSums sums = unit_sums(group, found->second);
      similarity += kind == ActivationSimilarity::squared_distance ? -squared_distance(sums)
                                                                   : correlation(sums);
    }
    matching.partners.push_back(best_partners(similarity).columns);
    matching.similarity.push_back(similarity);
  }
  return matching;
}

Matching without_permutation(Matching matching) {
  for (std::vector<std::int64_t>& partners : matching.partners) {
    for (std::size_t i = 0; i < partners.size(); ++i) partners[i] = static_cast<std::int64_t>(i);
  }
  return matching;
}

}  // namespace amalgam::learned
