#include "amalgam/report/axes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace amalgam::report {
namespace {

constexpr double kCharacter = 6.9;  // mean width of one in the label's size

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }

}  // namespace

void ValueRange::include(double value) {
  if (!std::isfinite(value)) return;
  low = empty ? value : std::min(low, value);
  high = empty ? value : std::max(high, value);
  empty = false;
}

void ValueRange::include(const Estimate& estimate) {
  include(estimate.value);
  include(estimate.interval.low);
  include(estimate.interval.high);
}

ValueRange ValueRange::padded() const {
  const double reach = high > low ? 0.06 * (high - low) : std::max(1e-9, 0.01 * std::abs(low));
  return {low - reach, high + reach, empty};
}

std::string with_tone(const char* what, Tone tone) {
  return what + std::to_string(static_cast<int>(tone));
}

std::string tick_text(double value, double step) {
  const int decimals = std::max(0, static_cast<int>(std::ceil(-std::log10(step) - 1e-9)));
  return fmt::format("{:.{}f}", value, std::min(decimals, 9));
}

double step_of(const std::vector<double>& ticks) {
  return ticks.size() > 1 ? ticks[1] - ticks[0] : 1.0;
}

std::string point_text(double x, double y) { return fmt::format("{:.1f},{:.1f} ", x, y); }

double text_width(const std::string& text) {
  return kCharacter * static_cast<double>(std::ranges::count_if(text, begins_character));
}

std::string shortened(const std::string& text, double width) {
  if (text_width(text) <= width) return text;
  const auto kept = static_cast<std::size_t>(std::max(1.0, width / kCharacter - 1));
  std::size_t end = 0;
  for (std::size_t characters = 0; end < text.size(); ++end) {
    if (begins_character(text[end]) && characters++ == kept) break;
  }
  return text.substr(0, end) + "…";
}

}  // namespace amalgam::report
