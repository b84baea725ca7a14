#include "amalgam/scores/uncertainty/power.hpp"

#include <cmath>
#include <limits>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/tail_probabilities.hpp"

namespace amalgam::scores {
namespace {

double checked(const char* what, double value) {
  if (!(value > 0 && value < 1)) {
    throw InputError("{} {}; expected a number between 0 and 1", what, value);
  }
  return value;
}

double level_quantile(double level) { return normal_quantile(1 - checked("level", level) / 2); }
double power_quantile(double power) { return normal_quantile(checked("power", power)); }

}  // namespace

double mean_power(double count, double deviation, double effect, double level) {
  const double shift = std::abs(effect) * std::sqrt(count) / deviation;
  const double limit = level_quantile(level);
  return normal_below(shift - limit) + normal_below(-shift - limit);
}

double detectable_mean(double count, double deviation, double level, double power) {
  return (level_quantile(level) + power_quantile(power)) * deviation / std::sqrt(count);
}

double pairs_for_mean(double effect, double deviation, double level, double power) {
  const double ratio = (level_quantile(level) + power_quantile(power)) * deviation / effect;
  return std::ceil(ratio * ratio);
}

double mcnemar_power(double count, double discordant, double effect, double level) {
  // Under the alternative a difference has variance discordant - effect^2.
  const double size = std::abs(effect);
  const double spread = std::sqrt(discordant - size * size);
  const double shift = size * std::sqrt(count);
  const double limit = level_quantile(level) * std::sqrt(discordant);
  return normal_below((shift - limit) / spread) + normal_below((-shift - limit) / spread);
}

double detectable_accuracy(double count, double discordant, double level, double power) {
  // effect sqrt(n) = a sqrt(d) + b sqrt(d - effect^2), squared:
  // (n + b^2) effect^2 - 2 a sqrt(n d) effect + (a^2 - b^2) d = 0, the larger root.
  const double a = level_quantile(level);
  const double b = power_quantile(power);
  const double root = a * a * count * discordant - (count + b * b) * (a * a - b * b) * discordant;
  const double effect = (a * std::sqrt(count * discordant) + std::sqrt(root)) / (count + b * b);
  return root >= 0 && effect <= discordant ? effect : std::numeric_limits<double>::quiet_NaN();
}

double pairs_for_accuracy(double effect, double discordant, double level, double power) {
  const double sum = level_quantile(level) * std::sqrt(discordant) +
                     power_quantile(power) * std::sqrt(discordant - effect * effect);
  return std::ceil(sum * sum / (effect * effect));
}

double hoeffding_half_width(double votes, double delta) {
  return std::sqrt(portable_log(2 / checked("delta", delta)) / (2 * votes));
}

double uniform_half_width(std::size_t systems, double votes, double delta) {
  const double events = 4 * static_cast<double>(systems) * votes * votes;
  return std::sqrt(portable_log(events / checked("delta", delta)) / (2 * votes));
}

}  // namespace amalgam::scores
