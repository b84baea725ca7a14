#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <functional>
#include <vector>

namespace amalgam::bench {

/// Seconds of processors that all threads of this process have used, so that what else the machine
/// does counts little.
inline double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// The same of `work` alone.
inline double processor_seconds(const std::function<void()>& work) {
  const double start = processor_seconds();
  work();
  return processor_seconds() - start;
}

/// The upper one of two in the middle. `values` must not be empty.
inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace amalgam::bench
