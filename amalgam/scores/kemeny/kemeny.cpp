#include "amalgam/scores/kemeny/kemeny.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "amalgam/scores/kemeny/cost_bounds.hpp"
#include "amalgam/scores/kemeny/dynamic_programme.hpp"
#include "amalgam/scores/kemeny/first_optimum.hpp"
#include "amalgam/scores/kemeny/integer_programme.hpp"
#include "amalgam/scores/kemeny/local_search.hpp"

namespace amalgam::scores::kemeny {
namespace {

enum class Optima {
  one,
  several,  // and the order is the first of them by numbers
  unknown,
};

// What is known of some of the systems.
struct Solution {
  Order order;
  std::int64_t cost = 0;
  std::int64_t bound = 0;  // no order costs less
  Optima optima = Optima::unknown;
};

// While bounds may still become better, the dynamic programme only gets what takes little time.
constexpr std::size_t kFewStates = std::size_t{1} << 15U;
// Units of rounded leads that the solver's own tolerance may amount to.
constexpr std::int64_t kInexact = 4096;

Solution proven(Optimum optimum) {
  return {.order = std::move(optimum.order),
          .cost = optimum.cost,
          .bound = optimum.cost,
          .optima = optimum.unique ? Optima::one : Optima::several};
}

// Of two systems with the same leads over all others, neither better than the other, the one with
// the smaller number is first in the first order of least cost. Whether there are any.
bool order_twins(const Leads& leads, Precedence& known) {
  bool any = false;
  const std::size_t n = leads.systems;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i + 1; j < n; ++j) {
      const auto row = leads.values.begin() + static_cast<std::ptrdiff_t>(i * n);
      const auto other = leads.values.begin() + static_cast<std::ptrdiff_t>(j * n);
      if (!std::equal(row, row + static_cast<std::ptrdiff_t>(n), other)) continue;
      known.add(i, j);
      any = true;
    }
  }
  if (any) known.close();
  return any;
}

bool free_pairs_are_even(const Leads& leads, const Precedence& known) {
  for (std::size_t i = 0; i < leads.systems; ++i) {
    for (std::size_t j = i + 1; j < leads.systems; ++j) {
      if (leads.lead(i, j) != 0 && known.is_free(i, j)) return false;
    }
  }
  return true;
}

// The first order of least cost, if what is known leaves few enough states.
std::optional<Optimum> settle(const Leads& leads, Precedence known, std::size_t most_states) {
  const bool twins = order_twins(leads, known);
  std::optional<Optimum> optimum;
  if (free_pairs_are_even(leads, known)) {
    FirstOrder first = first_order(known);
    const std::int64_t cost = leads.cost(first.order);
    optimum = {.order = std::move(first.order), .cost = cost, .unique = first.only};
  } else {
    optimum = precedence_optimum(leads, known, most_states);
  }
  if (optimum && twins) optimum->unique = false;
  return optimum;
}

class Solver {
 public:
  explicit Solver(const KemenyOptions& options) : options_(options) {}

  // Of systems that majorities may separate.
  Solution solve(const Leads& leads) {
    const std::vector<std::vector<System>> parts = majority_components(leads);
    result.components = parts.size();
    for (const std::vector<System>& part : parts) {
      result.largest_component = std::max(result.largest_component, part.size());
    }
    return solve_parts(leads, parts);
  }

  // Figures and warnings; the order is empty.
  KemenyOrder result;

 private:
  double seconds_left() const {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
    return options_.seconds - spent.count();
  }

  void warn(const std::string& text) {
    if (std::ranges::find(result.warnings, text) == result.warnings.end()) {
      result.warnings.push_back(text);
    }
  }

  // Parts one after the other, which every order of least cost has in this order.
  Solution solve_parts(const Leads& leads, const std::vector<std::vector<System>>& parts) {
    Solution whole{.optima = Optima::one};
    std::int64_t within = 0;
    std::int64_t bound = 0;
    for (const std::vector<System>& members : parts) {
      const Solution part = solve_part(leads.part(members));
      for (const System system : part.order) whole.order.push_back(members[system]);
      within += part.cost;
      bound += part.bound;
      if (part.optima == Optima::unknown || whole.optima == Optima::unknown) {
        whole.optima = Optima::unknown;
      } else if (part.optima == Optima::several) {
        whole.optima = Optima::several;
      }
    }
    whole.cost = leads.cost(whole.order);
    whole.bound = whole.cost - within + bound;
    return whole;
  }

  Solution solve_part(const Leads& leads) {
    if (leads.systems <= std::min(options_.dense_systems, kMostDense)) {
      return proven(subset_optimum(leads));
    }
    return solve_large(leads);
  }

  // By better and better bounds, until what they leave open can be settled.
  Solution solve_large(const Leads& leads) {
    Solution best;
    best.order = local_optimum(leads, restarts(leads.systems), 0);
    best.cost = leads.cost(best.order);

    CostBounds bounds = cycle_bounds(leads);
    if (auto solved = use_bounds(leads, bounds, best, kFewStates)) return *solved;
    bool settled_what_can_be = false;
    for (const ProgrammeDepth depth :
         {ProgrammeDepth::relaxation, ProgrammeDepth::branch_and_cut}) {
      if (!improve_bounds(leads, depth, bounds, best)) break;
      // Less where branch and cut is still to come, unless only other orders of the same cost are
      // not known.
      const bool all = depth == ProgrammeDepth::branch_and_cut || bounds.bound >= best.cost;
      const std::size_t states = all ? options_.most_states : options_.most_states / 8;
      if (auto solved = use_bounds(leads, bounds, best, states)) return *solved;
      settled_what_can_be = all;
      if (bounds.bound >= best.cost) break;
    }
    if (!settled_what_can_be) {
      if (auto solved = use_bounds(leads, bounds, best, options_.most_states)) return *solved;
    }
    if (best.cost - best.bound > leads.tolerance) {
      if (!trouble_.empty()) warn(trouble_);
      return best;
    }
    std::optional<Optimum> first =
        first_optimum(leads, known_pairs(leads, bounds, best.cost), best.order,
                      [&](const Precedence& pairs) { return probe(leads, pairs, best.cost); });
    return first ? proven(std::move(*first)) : best;
  }

  // An order that respects `pairs` and costs no more than `least`, which is the least cost.
  Probe probe(const Leads& leads, const Precedence& pairs, std::int64_t least) {
    Probe found;
    const double seconds = seconds_left();
    if (!options_.integer_programmes || seconds <= 0) return found;
    // Less than this is looked for; where costs are not exact the solver is not either.
    const std::int64_t upper = least + leads.tolerance + (leads.tolerance == 0 ? 1 : kInexact);
    std::string reason;
    std::optional<ProgrammeResult> programme =
        solve_programme(leads, pairs, upper, ProgrammeDepth::branch_and_cut, seconds, reason);
    if (!programme) return found;
    result.cuts += programme->cuts;
    result.nodes += programme->nodes;
    if (programme->better) {
      found = {Probe::Outcome::found, std::move(*programme->better)};
    } else if (programme->optimal) {
      found.outcome = Probe::Outcome::none;
    }
    return found;
  }

  // Few for many systems: each costs about the square of their number.
  static std::size_t restarts(std::size_t systems) {
    constexpr std::size_t kWork = 2'000'000;
    return std::clamp<std::size_t>(kWork / (systems * systems), 2, 300);
  }

  // Raises `bounds`, and replaces `best` by what costs less. False if it cannot be done.
  bool improve_bounds(const Leads& leads, ProgrammeDepth depth, CostBounds& bounds,
                      Solution& best) {
    if (!options_.integer_programmes) return false;
    const double seconds = seconds_left();
    if (seconds <= 0) {
      trouble_ = time_is_up();
      return false;
    }
    std::string reason;
    std::optional<ProgrammeResult> programme = solve_programme(
        leads, known_pairs(leads, bounds, best.cost), best.cost, depth, seconds, reason);
    if (!programme) {
      trouble_ = fmt::format(
          "this build has no library for integer programmes, which may prove more ({}); build it "
          "with -DAMALGAM_CBC=ON (Debian: coinor-libcbc-dev)",
          reason);
      return false;
    }
    result.cuts += programme->cuts;
    result.nodes += programme->nodes;
    if (programme->better && leads.cost(*programme->better) < best.cost) {
      best.order = std::move(*programme->better);
      best.cost = leads.cost(best.order);
    }
    bounds.bound = std::max(bounds.bound, programme->bounds.bound);
    if (programme->optimal) bounds.bound = best.cost;
    for (std::size_t at = 0; at < bounds.with_pair.size(); ++at) {
      bounds.with_pair[at] = std::max(bounds.with_pair[at], programme->bounds.with_pair[at]);
    }
    if (depth == ProgrammeDepth::branch_and_cut && !programme->optimal) trouble_ = time_is_up();
    return true;
  }

  std::string time_is_up() const {
    return fmt::format("the {:g} s of parameter 'seconds' were over; more may prove more",
                       options_.seconds);
  }

  // The solution, if the pairs that are left open can be settled; else `best` gets the bound.
  std::optional<Solution> use_bounds(const Leads& leads, const CostBounds& bounds, Solution& best,
                                     std::size_t most_states) {
    best.bound = std::max(best.bound, std::min(bounds.bound, best.cost));
    const Precedence known = known_pairs(leads, bounds, best.cost);
    const auto parts = parts_in_order(leads.systems, [&](std::size_t before, std::size_t after) {
      return !known.before(after, before);
    });
    if (parts.size() > 1) {
      Solution solution = solve_parts(leads, parts);
      if (solution.cost > best.cost) {
        // A part was not solved, and chance favoured the search in the whole.
        best.bound = std::max(best.bound, std::min(solution.bound, best.cost));
        return best;
      }
      solution.bound = std::max(solution.bound, std::min(best.bound, solution.cost));
      return solution;
    }
    std::optional<Optimum> optimum =
        settle(leads, known, std::min(most_states, options_.most_states));
    if (!optimum) return std::nullopt;
    return proven(std::move(*optimum));
  }

  const KemenyOptions& options_;
  std::string trouble_;  // why bounds are not better
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

KemenyOrder kemeny_order(const PairTable& pairs, const KemenyOptions& options) {
  const Leads leads = leads_of(pairs);
  Solver solver(options);
  Solution solution = solver.solve(leads);
  KemenyOrder result = std::move(solver.result);
  result.order = std::move(solution.order);
  Certificate& certificate = result.certificate;
  certificate.objective = order_cost(pairs, result.order);
  certificate.optimal = solution.cost - solution.bound <= leads.tolerance;
  certificate.bound = certificate.optimal
                          ? certificate.objective
                          : certificate.objective -
                                static_cast<double>(solution.cost - solution.bound) * leads.unit;
  certificate.unique = solution.optima == Optima::one;
  if (certificate.optimal && solution.optima == Optima::unknown) {
    result.warnings.emplace_back(
        "whether other orders cost as little is not known: this one need not be the first of them "
        "by name");
  }
  if (!certificate.optimal) {
    result.warnings.push_back(fmt::format(
        "the order is not proven to be of least cost: it has {:g} votes against it, and no order "
        "has fewer than {:g}",
        certificate.objective, certificate.bound));
  }
  return result;
}

}  // namespace amalgam::scores::kemeny
