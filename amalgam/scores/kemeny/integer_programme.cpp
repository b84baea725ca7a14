#include "amalgam/scores/kemeny/integer_programme.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "amalgam/core/companion_library.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/scores/kemeny/integer/linear_ordering.hpp"

namespace amalgam::scores::kemeny {
namespace {

constexpr const char* kLibrary = "libamalgam_integer.so";
constexpr const char* kEntry = "amalgam_linear_ordering";
// The solver's tolerances are absolute; leads are scaled to this at most.
constexpr double kLargestLead = 1000;
// What rounding may have added to a bound of scaled leads.
constexpr double kRounding = 1e-6;

using Entry = decltype(amalgam_linear_ordering);

// Loaded once and kept; nothing if it is not there.
Entry* find_entry(std::string& reason) {
  struct Loaded {
    Entry* entry = nullptr;
    std::string reason;
  };
  static const Loaded kLoaded = [] {
    Loaded loaded;
    void* library = open_companion_library(kLibrary, loaded.reason);
    if (library == nullptr) return loaded;
    loaded.entry = reinterpret_cast<Entry*>(dlsym(library, kEntry));
    if (loaded.entry == nullptr) {
      loaded.reason = std::string(kLibrary) + " has no '" + kEntry + "'";
    }
    return loaded;
  }();
  reason = kLoaded.reason;
  return kLoaded.entry;
}

int asked_to_stop() { return interrupt_requested() ? 1 : 0; }

// The least whole number of units that is certainly a bound.
std::int64_t units(double scaled, double scale) {
  constexpr double kMost = 0x1p60;
  return static_cast<std::int64_t>(std::clamp(std::ceil((scaled - kRounding) * scale), 0.0, kMost));
}

}  // namespace

std::optional<ProgrammeResult> solve_programme(const Leads& leads, const Precedence& known,
                                               std::int64_t upper, ProgrammeDepth depth,
                                               double seconds, std::string& reason) {
  Entry* const entry = find_entry(reason);
  if (entry == nullptr) return std::nullopt;
  const std::size_t n = leads.systems;
  const double largest = static_cast<double>(std::ranges::max(leads.values));
  const double scale = std::max(1.0, largest / kLargestLead);
  std::vector<double> scaled(n * n);
  std::vector<signed char> ordered(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      scaled[i * n + j] = static_cast<double>(leads.lead(i, j)) / scale;
      ordered[i * n + j] = known.before(i, j) ? 1 : 0;
    }
  }
  std::vector<double> with_pair(n * n);
  std::vector<int> order(n);
  AmalgamLinearOrdering work{};
  work.systems = static_cast<int>(n);
  work.leads = scaled.data();
  work.known = ordered.data();
  work.upper = static_cast<double>(upper) / scale;
  work.step = leads.tolerance == 0 ? 1 / scale : 0;
  work.seconds = seconds;
  work.integer = depth == ProgrammeDepth::branch_and_cut ? 1 : 0;
  work.stop = asked_to_stop;
  work.with_pair = with_pair.data();
  work.order = order.data();
  // Nothing says that the solver may run twice at a time.
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  if (entry(&work) != 0) throw Error("{}: {}", kLibrary, work.message);
  check_interrupt();

  ProgrammeResult result{.optimal = work.optimal != 0,
                         .cuts = static_cast<std::size_t>(work.cuts),
                         .nodes = static_cast<std::size_t>(work.nodes)};
  result.bounds.bound = std::min(upper, units(work.bound, scale));
  result.bounds.with_pair.resize(n * n);
  for (std::size_t at = 0; at < n * n; ++at) {
    result.bounds.with_pair[at] = units(with_pair[at], scale);
  }
  if (work.found != 0) result.better = Order(order.begin(), order.end());
  return result;
}

}  // namespace amalgam::scores::kemeny
