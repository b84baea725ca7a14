#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace amalgam {

/// Reports how far a long job is. On a terminal: a bar on stderr with rate and time left, redrawn a
/// few times a second by a thread of its own; elsewhere: nothing but what finish() logs.
/// Thread-safe.
class Progress {
 public:
  enum class Unit { bytes, items };
  enum class Mode { automatic, always, never };

  /// `total`: the amount that makes 100 %; 0 when unknown.
  Progress(std::string label, std::uint64_t total, Unit unit = Unit::bytes,
           Mode mode = Mode::automatic);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(std::uint64_t amount) { done_.fetch_add(amount, std::memory_order_relaxed); }
  /// What is being worked on now, shown beside the bar.
  void describe(std::string what);
  /// Draws the last state and ends the line. Called by the destructor too.
  void finish();

  std::uint64_t done() const { return done_.load(std::memory_order_relaxed); }
  double seconds() const;

 private:
  void draw();

  const std::string label_;
  const std::uint64_t total_;
  const Unit unit_;
  bool shown_;
  std::atomic<std::uint64_t> done_{0};
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::mutex mutex_;
  std::condition_variable wake_;
  std::string what_;
  bool finished_ = false;
  std::thread ticker_;
};

}  // namespace amalgam
