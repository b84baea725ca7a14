#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "amalgam/weights/learned/pair_gram.hpp"
#include "amalgam/weights/learned/unit_split.hpp"

namespace amalgam::learned {

/// What least squares need to know of a layer's inputs x (with a constant) and targets y.
struct NormalEquations {
  torch::Tensor gram;    ///< sum x x^T, double
  torch::Tensor moment;  ///< sum y x^T
  double energy = 0;     ///< sum |y|^2
  double rows = 0;
};

/// The mean over the rows of |W x - y|^2.
double mean_residual(const torch::Tensor& weight, const NormalEquations& normal);

/// One layer of two networks whose units are merged or stay apart. Weights are double [outputs,
/// inputs + 1] with the bias last; the result's columns are [merged, bias | the first's own | the
/// second's own], its rows [merged | the first's own | the second's own].
class LayerPair {
 public:
  LayerPair(const torch::Tensor& left, const torch::Tensor& right, const UnitSplit& outputs,
            const UnitSplit& inputs, std::int64_t columns_per_unit)
      : left_(left),
        right_(right),
        rows_(outputs, 1),
        columns_(inputs, columns_per_unit, /*constant=*/true) {}

  /// Means of merged units, each network's own by themselves, 0 from one's own to the other's.
  torch::Tensor partly_merged() const;

  /// What goes into the result's layer and what should come out, row by row.
  struct Examples {
    torch::Tensor inputs;   ///< [rows, columns]
    torch::Tensor targets;  ///< [rows, outputs]
  };
  /// From the rows (with the constant) that go into the layer of either network for the same data:
  /// x is the mean of what goes in, y of what comes out.
  Examples averaged(const torch::Tensor& left_rows, const torch::Tensor& right_rows) const;
  /// Each network's inputs and outputs as examples of their own, the other's own units being 0.
  Examples stacked(const torch::Tensor& left_rows, const torch::Tensor& right_rows) const;

  /// The sums over these examples, from the sums over the networks' inputs.
  NormalEquations averaged(const PairGram& sums) const;
  NormalEquations stacked(const PairGram& sums) const;

  /// The weights without the zero blocks that make the mean of |W x - y|^2 plus `ridge` * mean
  /// diagonal * |W - start|^2 least: three regressions that share the Gram matrix. InputError
  /// naming the layer if it is singular and the ridge 0.
  torch::Tensor solve(const NormalEquations& normal, const torch::Tensor& start, double ridge,
                      const std::string& name) const;

  /// 1 where a weight may be anything, 0 from one network's own units to the other's.
  torch::Tensor free_weights() const;

  /// The result's weight (inputs in their order, flattened) and bias.
  std::pair<torch::Tensor, torch::Tensor> parts(const torch::Tensor& weight) const;

 private:
  torch::Tensor left_;
  torch::Tensor right_;
  SplitIndex rows_;
  SplitIndex columns_;
};

}  // namespace amalgam::learned
