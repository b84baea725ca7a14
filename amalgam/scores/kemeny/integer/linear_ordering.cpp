#include "amalgam/scores/kemeny/integer/linear_ordering.hpp"

#include <CbcEventHandler.hpp>
#include <CbcModel.hpp>
#include <CglCutGenerator.hpp>
#include <CoinError.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <numeric>

#include "amalgam/scores/kemeny/integer/relaxation.hpp"

namespace amalgam::scores::kemeny::integer {
namespace {

// Separates violated 3-cycles at every node of the search tree.
class ThreeCycles final : public CglCutGenerator {
 public:
  explicit ThreeCycles(const Columns& columns) : columns_(columns) {}
  CglCutGenerator* clone() const override { return new ThreeCycles(*this); }
  void generateCuts(const OsiSolverInterface& solver, OsiCuts& cuts,
                    const CglTreeInfo /*info*/) override {
    const auto most = static_cast<std::size_t>(4 * columns_.systems());
    for (const Triple& triple : violated_triples(columns_, solver.getColSolution(), most)) {
      OsiRowCut cut;
      cut.setRow(columns_.row(triple));
      cut.setLb(0);
      cut.setUb(1);
      cuts.insert(cut);
    }
  }

 private:
  Columns columns_;
};

class StopWhenAsked final : public CbcEventHandler {
 public:
  explicit StopWhenAsked(int (*stop)()) : stop_(stop) {}
  CbcEventHandler* clone() const override { return new StopWhenAsked(*this); }
  CbcAction event(CbcEvent /*what*/) override {
    return stop_ != nullptr && stop_() != 0 ? stop : noAction;
  }

 private:
  int (*stop_)();
};

// Best first, by the number of systems that each is before: `x` is integral and without 3-cycles.
void order_of(const Columns& columns, const double* x, int* order) {
  const int n = columns.systems();
  std::vector<int> before(n, 0);
  for (int i = 0; i < n; ++i) {
    for (int j = i + 1; j < n; ++j) ++before[x[columns.of(i, j)] > 0.5 ? i : j];
  }
  std::iota(order, order + n, 0);
  std::stable_sort(order, order + n, [&](int a, int b) { return before[a] > before[b]; });
}

// Searches until the best integral solution has no violated 3-cycle: what the tree's own cuts
// missed becomes rows of the programme, and the search starts again.
void branch_and_cut(AmalgamLinearOrdering& work, Relaxation& relaxation, const Budget& budget) {
  const double cutoff = work.upper - (work.step > 0 ? 0.5 * work.step : 1e-6);
  while (!budget.is_spent()) {
    CbcModel model(relaxation.solver());
    for (int column = 0; column < relaxation.columns().count(); ++column) {
      model.solver()->setInteger(column);
    }
    model.findIntegers(true);
    model.messageHandler()->setLogLevel(0);
    model.solver()->messageHandler()->setLogLevel(0);
    model.setLogLevel(0);
    ThreeCycles cycles(relaxation.columns());
    model.addCutGenerator(&cycles, 1, "3-cycles");
    StopWhenAsked handler(work.stop);
    model.passInEventHandler(&handler);
    model.setUseElapsedTime(true);
    model.setMaximumSeconds(std::max(0.01, budget.seconds_left()));
    model.setCutoff(cutoff - relaxation.constant());
    model.initialSolve();
    model.branchAndBound();
    work.nodes += model.getNodeCount();
    const bool complete = model.status() == 0;
    const bool solved = model.bestSolution() != nullptr;
    if (complete && !solved) {
      work.optimal = 1;
      work.bound = work.upper;
      return;
    }
    if (!complete) {
      work.bound = std::max(work.bound, std::min(work.upper, model.getBestPossibleObjValue() +
                                                                 relaxation.constant()));
      return;
    }
    const double value = model.getObjValue() + relaxation.constant();
    work.bound = std::max(work.bound, value - 1e-6);
    const std::vector<Triple> violated =
        violated_triples(relaxation.columns(), model.bestSolution(),
                         static_cast<std::size_t>(relaxation.columns().count()));
    if (violated.empty()) {
      order_of(relaxation.columns(), model.bestSolution(), work.order);
      work.found = 1;
      work.optimal = 1;
      return;
    }
    if (relaxation.add(violated) == 0) throw std::runtime_error("a separated 3-cycle came back");
    relaxation.tighten(budget);
  }
}

void solve(AmalgamLinearOrdering& work) {
  const Budget budget(work);
  Relaxation relaxation(work);
  relaxation.tighten(budget);
  work.bound = relaxation.bounds(work.with_pair);
  if (work.integer != 0) branch_and_cut(work, relaxation, budget);
  work.cuts = relaxation.cuts();
}

}  // namespace
}  // namespace amalgam::scores::kemeny::integer

int amalgam_linear_ordering(AmalgamLinearOrdering* work) {
  work->found = work->optimal = work->cuts = work->nodes = 0;
  work->bound = 0;
  work->message[0] = '\0';
  try {
    amalgam::scores::kemeny::integer::solve(*work);
    return 0;
  } catch (const std::exception& error) {
    std::snprintf(work->message, sizeof(work->message), "%s", error.what());
  } catch (const CoinError& error) {
    std::snprintf(work->message, sizeof(work->message), "%s", error.message().c_str());
  }
  return 1;
}
