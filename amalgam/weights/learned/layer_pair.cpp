#include "amalgam/weights/learned/layer_pair.hpp"

#include <algorithm>
#include <limits>

#include "amalgam/core/error.hpp"

namespace amalgam::learned {
namespace {

torch::Tensor regress(torch::Tensor gram, const torch::Tensor& moment, double ridge,
                      const std::string& name) {
  const double scale = gram.diagonal().mean().item<double>();
  gram = gram + ridge * scale * torch::eye(gram.size(0), gram.options());
  const auto [factor, info] = torch::linalg_cholesky_ex(gram);
  const double smallest = factor.diagonal().square().min().item<double>();
  const double limit = std::numeric_limits<double>::epsilon() * static_cast<double>(gram.size(0)) *
                       gram.diagonal().max().item<double>();
  if (info.item<std::int32_t>() != 0 || !(smallest > limit)) {
    throw InputError(
        "pleas: the Gram matrix of layer '{}' is singular; expected more inputs or"
        " a larger ridge",
        name);
  }
  return torch::cholesky_solve(moment.t(), factor).t();
}

}  // namespace

double mean_residual(const torch::Tensor& weight, const NormalEquations& normal) {
  const double sum = (weight.mm(normal.gram) * weight).sum().item<double>() -
                     2 * (weight * normal.moment).sum().item<double>() + normal.energy;
  return std::max(sum, 0.0) / normal.rows;
}

torch::Tensor LayerPair::partly_merged() const {
  return rows_.mix(columns_.spread_left(left_, 1), columns_.spread_right(right_, 1), 0);
}

LayerPair::Examples LayerPair::averaged(const torch::Tensor& left_rows,
                                        const torch::Tensor& right_rows) const {
  return {columns_.mix(left_rows, right_rows, 1),
          rows_.mix(left_rows.mm(left_.t()), right_rows.mm(right_.t()), 1)};
}

LayerPair::Examples LayerPair::stacked(const torch::Tensor& left_rows,
                                       const torch::Tensor& right_rows) const {
  return {torch::cat({columns_.spread_left(left_rows, 1), columns_.spread_right(right_rows, 1)}),
          torch::cat({rows_.spread_left(left_rows.mm(left_.t()), 1),
                      rows_.spread_right(right_rows.mm(right_.t()), 1)})};
}

NormalEquations LayerPair::averaged(const PairGram& sums) const {
  const torch::Tensor back = sums.cross.t();
  NormalEquations normal;
  normal.gram =
      columns_.mix(columns_.mix(sums.left, sums.cross, 1), columns_.mix(back, sums.right, 1), 0);
  const torch::Tensor left_left = left_.mm(sums.left);
  const torch::Tensor left_right = left_.mm(sums.cross);
  const torch::Tensor right_left = right_.mm(back);
  const torch::Tensor right_right = right_.mm(sums.right);
  normal.moment = rows_.mix(columns_.mix(left_left, left_right, 1),
                            columns_.mix(right_left, right_right, 1), 0);
  const torch::Tensor lt = left_.t();
  const torch::Tensor rt = right_.t();
  normal.energy = rows_
                      .mix(rows_.mix(left_left.mm(lt), left_right.mm(rt), 1),
                           rows_.mix(right_left.mm(lt), right_right.mm(rt), 1), 0)
                      .trace()
                      .item<double>();
  normal.rows = static_cast<double>(sums.rows);
  return normal;
}

NormalEquations LayerPair::stacked(const PairGram& sums) const {
  const auto both = [](const SplitIndex& rows, const SplitIndex& columns, const torch::Tensor& left,
                       const torch::Tensor& right) {
    return rows.spread_left(columns.spread_left(left, 1), 0) +
           rows.spread_right(columns.spread_right(right, 1), 0);
  };
  const torch::Tensor left_moment = left_.mm(sums.left);
  const torch::Tensor right_moment = right_.mm(sums.right);
  NormalEquations normal;
  normal.gram = both(columns_, columns_, sums.left, sums.right);
  normal.moment = both(rows_, columns_, left_moment, right_moment);
  normal.energy = both(rows_, rows_, left_moment.mm(left_.t()), right_moment.mm(right_.t()))
                      .trace()
                      .item<double>();
  normal.rows = 2 * static_cast<double>(sums.rows);
  return normal;
}

torch::Tensor LayerPair::solve(const NormalEquations& normal, const torch::Tensor& start,
                               double ridge, const std::string& name) const {
  const std::int64_t m = columns_.merged();
  const torch::Tensor all = torch::arange(columns_.size(), torch::kLong);
  const torch::Tensor shared = all.narrow(0, 0, m);
  const torch::Tensor own_left = all.narrow(0, 0, m + columns_.left());
  const torch::Tensor own_right =
      torch::cat({shared, all.narrow(0, m + columns_.left(), columns_.right())});
  const torch::Tensor missing = normal.moment - start.mm(normal.gram);
  torch::Tensor correction = torch::zeros_like(start);
  std::int64_t first = 0;
  const auto fit = [&](std::int64_t count, const torch::Tensor& columns) {
    if (count == 0) return;
    const torch::Tensor gram = normal.gram.index_select(0, columns).index_select(1, columns);
    const torch::Tensor moment = missing.narrow(0, first, count).index_select(1, columns);
    correction.narrow(0, first, count).index_copy_(1, columns, regress(gram, moment, ridge, name));
    first += count;
  };
  fit(rows_.merged(), all);
  fit(rows_.left(), own_left);
  fit(rows_.right(), own_right);
  return start + correction;
}

torch::Tensor LayerPair::free_weights() const {
  torch::Tensor free = torch::ones({rows_.size(), columns_.size()}, torch::kDouble);
  const auto block = [&](std::int64_t row, std::int64_t rows, std::int64_t column,
                         std::int64_t columns) {
    return free.narrow(0, row, rows).narrow(1, column, columns);
  };
  const std::int64_t m = columns_.merged();
  block(rows_.merged(), rows_.left(), m + columns_.left(), columns_.right()).zero_();
  block(rows_.merged() + rows_.left(), rows_.right(), m, columns_.left()).zero_();
  return free;
}

std::pair<torch::Tensor, torch::Tensor> LayerPair::parts(const torch::Tensor& weight) const {
  const std::int64_t bias = columns_.merged() - 1;
  return {
      torch::cat({weight.narrow(1, 0, bias), weight.narrow(1, bias + 1, weight.size(1) - bias - 1)},
                 1),
      weight.select(1, bias).clone()};
}

}  // namespace amalgam::learned
