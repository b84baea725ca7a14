#include "amalgam/scores/studies/decision_counts.hpp"

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/studies/randomness_tests.hpp"

namespace amalgam::scores {

void SegmentCounts::count_latest(std::size_t length) {
  const std::size_t pattern = latest_ & ((std::uint32_t{1} << length) - 1);
  ++patterns_[(std::size_t{1} << length) - 2 + pattern];
}

void SegmentCounts::add(bool yes) {
  const bool same = size_ > 0 && ((latest_ & 1U) != 0) == yes;
  last_run_ = same ? last_run_ + 1 : 1;
  if (last_run_ == size_ + 1) first_run_ = last_run_;
  longest_run_ = std::max(longest_run_, last_run_);
  if (size_ < kHighestOrder) head_[size_] = yes;
  latest_ = (latest_ << 1U) | (yes ? 1U : 0U);
  ++size_;
  for (std::size_t length = 1; length <= kHighestOrder + 1 && length <= size_; ++length) {
    count_latest(length);
  }
}

void SegmentCounts::combine(const SegmentCounts& right) {
  if (right.size_ == 0) return;
  if (size_ == 0) {
    *this = right;
    return;
  }
  // The answers at the beginning of the right one complete patterns that began in the left one.
  SegmentCounts bridge = *this;
  const std::span<const bool> head = right.head();
  for (std::size_t i = 0; i < head.size(); ++i) {
    bridge.latest_ = (bridge.latest_ << 1U) | (head[i] ? 1U : 0U);
    ++bridge.size_;
    for (std::size_t length = i + 2; length <= kHighestOrder + 1 && length <= bridge.size_;
         ++length) {
      bridge.count_latest(length);
    }
  }
  for (std::size_t i = 0; i < kPatterns; ++i)
    patterns_[i] = bridge.patterns_[i] + right.patterns_[i];

  const bool joined = ((latest_ & 1U) != 0) == head[0];
  const std::uint64_t across = joined ? last_run_ + right.first_run_ : 0;
  longest_run_ = std::max({longest_run_, right.longest_run_, across});
  if (joined && first_run_ == size_) first_run_ += right.first_run_;
  last_run_ = joined && right.last_run_ == right.size_ ? last_run_ + right.size_ : right.last_run_;
  for (std::size_t i = 0; i < head.size() && size_ + i < kHighestOrder; ++i) {
    head_[size_ + i] = head[i];
  }
  latest_ = right.size_ >= 32 ? right.latest_
                              : (latest_ << static_cast<unsigned>(right.size_)) | right.latest_;
  size_ += right.size_;
}

std::vector<std::uint64_t> SegmentCounts::cyclic(std::size_t length) const {
  std::vector<std::uint64_t> counts(std::size_t{1} << length);
  for (std::size_t pattern = 0; pattern < counts.size(); ++pattern) {
    counts[pattern] = count(length, pattern);
  }
  std::uint32_t latest = latest_;
  for (std::size_t i = 0; i + 1 < length; ++i) {
    latest = (latest << 1U) | (head_[i] ? 1U : 0U);
    ++counts[latest & (counts.size() - 1)];
  }
  return counts;
}

namespace {

// Adds, of the runs of a segment, how they went on. A run of exactly l answers is the pattern of
// one other answer and l equal ones, or l equal ones at the beginning.
void add_repeats(const SegmentCounts& segment, std::array<Repeats, 2>& repeats) {
  for (std::size_t symbol = 0; symbol < 2; ++symbol) {
    Repeats& sums = repeats[symbol];
    for (std::size_t run = 1; run <= sums.after.size(); ++run) {
      const std::size_t equal = symbol == 1 ? (std::size_t{1} << run) - 1 : 0;
      const std::size_t context = ((1 - symbol) << run) | equal;
      const std::uint64_t same = segment.count(run + 2, (context << 1U) | symbol);
      const std::uint64_t other = segment.count(run + 2, (context << 1U) | (1 - symbol));
      sums.after[run - 1] += same + other;
      sums.repeats[run - 1] += same;
    }
  }
  const std::span<const bool> head = segment.head();
  Repeats& sums = repeats[head[0] ? 1 : 0];
  for (std::size_t run = 1; run < head.size() && head[run - 1] == head[0]; ++run) {
    ++sums.after[run - 1];
    sums.repeats[run - 1] += head[run] == head[0] ? 1 : 0;
  }
}

}  // namespace

void DecisionCounts::add_segment(const SegmentCounts& segment) {
  if (segment.size() == 0) return;
  segments_.push_back({segment.size(), segment.yes(), segment.switches(), segment.longest_run()});
  for (std::size_t length = 1; length <= kHighestOrder + 1; ++length) {
    for (std::size_t pattern = 0; pattern < std::size_t{1} << length; ++pattern) {
      patterns_[(std::size_t{1} << length) - 2 + pattern] += segment.count(length, pattern);
    }
  }
  add_repeats(segment, repeats_);
  if (segment.size() < kFewestCyclic) return;
  ++cyclic_segments_;
  for (std::size_t length = 1; length < psi_squared_.size(); ++length) {
    psi_squared_[length] += amalgam::scores::psi_squared(segment.cyclic(length));
  }
  for (std::size_t length = 2; length < entropy_.size(); ++length) {
    entropy_[length] +=
        approximate_entropy(segment.cyclic(length), segment.cyclic(length + 1)).statistic;
  }
}

void DecisionCounts::add_series(std::span<const std::int8_t> answers) {
  for (const std::int8_t answer : answers) {
    if (answer < kInvalid || answer > kYes) {
      throw InputError("an answer is {}; expected 1 (yes), 0 (no) or -1 (invalid)", int{answer});
    }
  }
  SeriesTally tally{.first = answers.empty() ? kInvalid : answers.front()};
  SegmentCounts segment;
  const bool tells_of_order = answers.size() >= kFewestInSeries;
  for (const std::int8_t answer : answers) {
    if (answer == kInvalid) {
      ++tally.invalid;
      if (tells_of_order) add_segment(segment);
      segment = {};
      continue;
    }
    ++tally.valid;
    tally.yes += answer == kYes ? 1 : 0;
    segment.add(answer == kYes);
  }
  if (tells_of_order) add_segment(segment);
  valid_ += tally.valid;
  yes_ += tally.yes;
  invalid_ += tally.invalid;
  series_.push_back(tally);
}

void DecisionCounts::combine(const DecisionCounts& other) {
  valid_ += other.valid_;
  yes_ += other.yes_;
  invalid_ += other.invalid_;
  series_.insert(series_.end(), other.series_.begin(), other.series_.end());
  segments_.insert(segments_.end(), other.segments_.begin(), other.segments_.end());
  for (std::size_t i = 0; i < patterns_.size(); ++i) patterns_[i] += other.patterns_[i];
  for (std::size_t symbol = 0; symbol < 2; ++symbol) {
    for (std::size_t run = 0; run < repeats_[symbol].after.size(); ++run) {
      repeats_[symbol].after[run] += other.repeats_[symbol].after[run];
      repeats_[symbol].repeats[run] += other.repeats_[symbol].repeats[run];
    }
  }
  cyclic_segments_ += other.cyclic_segments_;
  for (std::size_t i = 0; i < psi_squared_.size(); ++i) {
    psi_squared_[i] += other.psi_squared_[i];
    entropy_[i] += other.entropy_[i];
  }
}

std::uint64_t DecisionCounts::positions(std::size_t order) const {
  std::uint64_t sum = 0;
  for (std::size_t pattern = 0; pattern < std::size_t{2} << order; ++pattern) {
    sum += count(order + 1, pattern);
  }
  return sum;
}

}  // namespace amalgam::scores
