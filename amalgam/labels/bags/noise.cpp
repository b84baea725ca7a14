#include "amalgam/labels/bags/noise.hpp"

#include <sys/random.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "amalgam/core/error.hpp"

namespace amalgam::labels {
namespace {

bool coin(RandomBits& bits) { return (bits.next() >> 63U) != 0; }

// True with probability exp(-numerator / denominator), for 0 <= numerator <= denominator: the
// number of successes in a row of Bernoulli(x / 1), Bernoulli(x / 2), ... is even.
bool exp_of_fraction(std::uint64_t numerator, std::uint64_t denominator, RandomBits& bits) {
  for (std::uint64_t k = 1;; ++k) {
    const bool success = bits.below(denominator) < numerator && bits.below(k) == 0;
    if (!success) return k % 2 == 1;
  }
}

// True with probability exp(-numerator / denominator), for any numerator.
bool exp_of(std::uint64_t numerator, std::uint64_t denominator, RandomBits& bits) {
  for (; numerator > denominator; numerator -= denominator) {
    if (!exp_of_fraction(1, 1, bits)) return false;
  }
  return exp_of_fraction(numerator, denominator, bits);
}

void check_scale(std::int64_t scale, std::int64_t most) {
  if (scale < 1 || scale > most) {
    throw Error("noise of scale {} was asked for; the sampler draws 1 to {}", scale, most);
  }
}

}  // namespace

std::uint64_t RandomBits::below(std::uint64_t bound) {
  // Numbers from the largest multiple of bound on would favour small remainders.
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t rejected = (most % bound + 1) % bound;
  for (;;) {
    const std::uint64_t value = next();
    if (value <= most - rejected) return value % bound;
  }
}

std::uint64_t SecureBits::next() {
  if (used_ == buffer_.size()) {
    char* out = reinterpret_cast<char*>(buffer_.data());
    std::size_t missing = sizeof(buffer_);
    while (missing > 0) {
      const ssize_t got = getrandom(out, missing, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        throw Error("the system gives no random bits (getrandom): {}",
                    std::strerror(errno));  // NOLINT(concurrency-mt-unsafe)
      }
      out += got;
      missing -= static_cast<std::size_t>(got);
    }
    used_ = 0;
  }
  const std::uint64_t value = buffer_[used_];
  buffer_[used_++] = 0;
  return value;
}

std::uint64_t SeededBits::next() {
  const std::uint64_t high = stream_.next();
  return high << 32U | stream_.next();
}

std::int64_t discrete_laplace(std::int64_t scale, RandomBits& bits) {
  check_scale(scale, kMostLaplaceScale);
  const auto unit = static_cast<std::uint64_t>(scale);
  for (;;) {
    const std::uint64_t rest = bits.below(unit);
    if (!exp_of_fraction(rest, unit, bits)) continue;
    std::uint64_t whole = 0;
    while (exp_of_fraction(1, 1, bits)) ++whole;
    const auto magnitude = static_cast<std::int64_t>(rest + unit * whole);
    const bool is_negative = coin(bits);
    if (is_negative && magnitude == 0) continue;  // zero would be drawn twice as often
    return is_negative ? -magnitude : magnitude;
  }
}

std::int64_t discrete_gaussian(std::int64_t deviation, RandomBits& bits) {
  check_scale(deviation, kMostGaussianDeviation);
  const auto unit = static_cast<std::uint64_t>(deviation);
  for (;;) {
    // A Laplace draw is kept with probability exp(-(|z| - deviation)^2 / (2 deviation^2)).
    const std::int64_t draw = discrete_laplace(deviation, bits);
    const auto magnitude = static_cast<std::uint64_t>(draw < 0 ? -draw : draw);
    if (magnitude > 32 * unit) continue;
    const std::uint64_t distance = magnitude > unit ? magnitude - unit : unit - magnitude;
    if (exp_of(distance * distance, 2 * unit * unit, bits)) return draw;
  }
}

}  // namespace amalgam::labels
