#include "amalgam/labels/bags/losses.hpp"

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam::labels {

double point_loss(PointLoss loss, double response, double prediction) {
  if (loss == PointLoss::squared) return (response - prediction) * (response - prediction);
  return -(response * portable_log_logistic(prediction) +
           (1 - response) * portable_log_logistic(-prediction));
}

BagLosses bag_losses(const Bags& bags, std::span<const double> responses,
                     std::span<const double> predictions, PointLoss loss) {
  if (responses.size() != bags.count() || predictions.size() != bags.row_count()) {
    throw InputError(
        "{} responses and {} predictions for {} bags of {} rows; expected one for each",
        responses.size(), predictions.size(), bags.count(), bags.row_count());
  }
  BagLosses losses;
  for (std::size_t bag = 0; bag < bags.count(); ++bag) {
    const auto size = static_cast<double>(bags.size(bag));
    double mean = 0;
    for (const std::size_t row : bags.rows_of(bag)) mean += predictions[row] / size;
    losses.bag += size * point_loss(loss, responses[bag], mean);
    for (const std::size_t row : bags.rows_of(bag)) {
      losses.instance += point_loss(loss, responses[bag], predictions[row]);
      losses.spread += (predictions[row] - mean) * (predictions[row] - mean);
    }
  }
  const auto rows = static_cast<double>(bags.row_count());
  losses.bag /= rows;
  losses.instance /= rows;
  losses.spread /= rows;
  return losses;
}

}  // namespace amalgam::labels
