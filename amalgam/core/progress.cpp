#include "amalgam/core/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>

#include "amalgam/core/text.hpp"

namespace amalgam {

Progress::Progress(std::string label, std::uint64_t total, Unit unit, Mode mode)
    : label_(std::move(label)),
      total_(total),
      unit_(unit),
      shown_(mode == Mode::always || (mode == Mode::automatic && isatty(STDERR_FILENO) != 0)) {
  if (!shown_) return;
  try {
    ticker_ = std::thread([this] {
      std::unique_lock lock(mutex_);
      while (!wake_.wait_for(lock, std::chrono::milliseconds(200), [this] { return finished_; })) {
        draw();
      }
    });
  } catch (const std::exception&) {
    shown_ = false;  // the work goes on without a bar
  }
}

Progress::~Progress() { finish(); }

void Progress::describe(std::string what) {
  const std::scoped_lock lock(mutex_);
  what_ = std::move(what);
}

double Progress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void Progress::finish() {
  {
    const std::scoped_lock lock(mutex_);
    if (finished_) return;
    finished_ = true;
  }
  if (!shown_) return;
  wake_.notify_all();
  ticker_.join();
  const std::scoped_lock lock(mutex_);
  what_.clear();
  draw();
  std::fputc('\n', stderr);
}

// What cannot be drawn for want of memory is no failure of the work.
void Progress::draw() try {
  constexpr std::uint64_t kWidth = 24;
  const std::uint64_t done = done_.load(std::memory_order_relaxed);
  const double elapsed = seconds();
  const double rate = elapsed > 0 ? static_cast<double>(done) / elapsed : 0;
  std::string line = "\r" + label_;
  if (total_ > 0) {
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
    const auto filled = static_cast<std::uint64_t>(share * static_cast<double>(kWidth));
    line += fmt::format(" [{}{}] {:3.0f}%", std::string(filled, '#'),
                        std::string(kWidth - filled, '.'), share * 100);
  }
  line += unit_ == Unit::bytes ? fmt::format(" {} {}/s", format_bytes(done),
                                             format_bytes(static_cast<std::uint64_t>(rate)))
                               : fmt::format(" {} ({:.1f}/s)", done, rate);
  if (total_ > done && rate > 0) {
    line += fmt::format(" {} left", format_seconds(static_cast<double>(total_ - done) / rate));
  }
  if (!what_.empty()) line += " " + what_;
  fmt::print(stderr, "{}\x1b[K", line);
  std::fflush(stderr);
} catch (const std::exception&) {
  return;
}

}  // namespace amalgam
