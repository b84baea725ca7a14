#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/network.hpp"

namespace amalgam::learned {

/// What decides between values of a merge's parameters.
enum class SearchFigure {
  accuracy,  ///< the higher the better
  nll        ///< mean of -log p(label) in nats, the lower the better
};

/// One point of the search.
struct SearchTrial {
  std::vector<std::string> parameters;  ///< as for -p, e.g. "weight=0.3,0.7"
  double accuracy = 0;                  ///< means over the tasks
  double nll = 0;
};

struct ParameterSearch {
  std::vector<SearchTrial> trials;  ///< in the order of the points
  std::size_t best = 0;             ///< of equally good ones the first
};

/// The network that a merge with these parameters gives.
using MergeWith =
    std::function<std::shared_ptr<learning::Network>(const std::vector<std::string>& parameters)>;

/// Chooses parameters of a merge by held-out data, as Fisher merging chooses its shares (Matena and
/// Raffel 2021) and task arithmetic its scaling: merges at every point (see search_grid in
/// weights/search_grid.hpp) and evaluates on every task; what is best on the mean over the tasks
/// wins. `on_trial` is called after each. A figure that is NaN never wins. InputError if there are
/// no points or tasks, a task does not fit the network, or no point has a figure.
ParameterSearch search_parameters(const std::vector<std::vector<std::string>>& points,
                                  const MergeWith& merge,
                                  const std::vector<learning::Dataset>& tasks,
                                  SearchFigure figure = SearchFigure::accuracy,
                                  const std::function<void(const SearchTrial&)>& on_trial = {});

}  // namespace amalgam::learned
