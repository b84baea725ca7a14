#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace amalgam::scores {

/// An answer to a yes-or-no question, as sequences hold it.
inline constexpr std::int8_t kYes = 1;
inline constexpr std::int8_t kNo = 0;
inline constexpr std::int8_t kInvalid = -1;  ///< refused, or not an answer

/// The highest order of dependence that counts are kept for: contexts of up to 6 answers.
inline constexpr std::size_t kHighestOrder = 6;

/// How often each pattern of 1 to 7 answers occurs in an uninterrupted run of valid answers. The
/// counts of two adjacent segments of one run make those of the whole exactly: the patterns across
/// the border are in the last answers of the one and the first of the other.
class SegmentCounts {
 public:
  /// Appends yes (true) or no.
  void add(bool yes);
  /// Appends what was counted of the answers that directly follow.
  void combine(const SegmentCounts& right);

  std::uint64_t size() const { return size_; }
  std::uint64_t yes() const { return count(1, 1); }
  /// How often the last `length` (1 to 7) answers were `pattern`: a number whose lowest bit is the
  /// latest answer.
  std::uint64_t count(std::size_t length, std::size_t pattern) const {
    return patterns_[(std::size_t{1} << length) - 2 + pattern];
  }
  std::uint64_t switches() const { return count(2, 0b01) + count(2, 0b10); }
  /// Of equal answers in a row.
  std::uint64_t longest_run() const { return longest_run_; }
  bool first() const { return head_[0]; }
  /// The first 6 answers, or all of them if there are fewer.
  std::span<const bool> head() const { return {head_.data(), head_size()}; }
  /// The counts of `length` answers when the end is joined to the beginning: [2^length]. The
  /// segment must have at least `length` answers.
  std::vector<std::uint64_t> cyclic(std::size_t length) const;

  bool operator==(const SegmentCounts&) const = default;

 private:
  static constexpr std::size_t kPatterns = (std::size_t{1} << (kHighestOrder + 2)) - 2;

  std::size_t head_size() const {
    return size_ < kHighestOrder ? static_cast<std::size_t>(size_) : kHighestOrder;
  }
  void count_latest(std::size_t length);

  std::uint64_t size_ = 0;
  std::array<std::uint64_t, kPatterns> patterns_{};  // of length 1, then 2, ...
  std::array<bool, kHighestOrder> head_{};           // the first answers
  std::uint32_t latest_ = 0;                         // the last answers, the latest lowest
  std::uint64_t first_run_ = 0;                      // equal answers at the beginning
  std::uint64_t last_run_ = 0;                       // and at the end
  std::uint64_t longest_run_ = 0;
};

/// What is remembered of one uninterrupted segment.
struct SegmentTally {
  std::uint64_t size = 0;
  std::uint64_t yes = 0;
  std::uint64_t switches = 0;
  std::uint64_t longest_run = 0;

  bool operator==(const SegmentTally&) const = default;
};

/// What is remembered of one series.
struct SeriesTally {
  std::uint64_t valid = 0;
  std::uint64_t yes = 0;
  std::uint64_t invalid = 0;
  std::int8_t first = kInvalid;  ///< the first answer

  bool operator==(const SeriesTally&) const = default;
};

/// Equal answers after a run of equal ones that is exactly so long.
struct Repeats {
  std::array<std::uint64_t, 5> after{};    ///< [run length - 1]: answers that followed
  std::array<std::uint64_t, 5> repeats{};  ///< how many of them were the same again

  bool operator==(const Repeats&) const = default;
};

/// Everything that the tests of a group of series need: a sum over its series, in which no pattern
/// reaches from one series into another, nor across an invalid answer.
class DecisionCounts {
 public:
  /// Replies with fewer answers, valid or not, say nothing of transitions: only how often yes was
  /// said is counted.
  static constexpr std::size_t kFewestInSeries = 5;
  /// Segments with fewer answers are left out of the tests on cyclic counts.
  static constexpr std::size_t kFewestCyclic = 8;

  /// Adds a series of 1, 0 and -1. InputError for another value.
  void add_series(std::span<const std::int8_t> answers);
  /// Adds what was counted of other series.
  void combine(const DecisionCounts& other);

  std::uint64_t valid() const { return valid_; }
  std::uint64_t yes() const { return yes_; }
  std::uint64_t invalid() const { return invalid_; }
  const std::vector<SeriesTally>& series() const { return series_; }
  /// Those that transitions are counted in.
  const std::vector<SegmentTally>& segments() const { return segments_; }
  /// As SegmentCounts::count, summed over segments().
  std::uint64_t count(std::size_t length, std::size_t pattern) const {
    return patterns_[(std::size_t{1} << length) - 2 + pattern];
  }
  /// Answers with at least `order` (0 to 6) answers before them in their segment.
  std::uint64_t positions(std::size_t order) const;
  /// Repeats of no [0] and yes [1].
  const std::array<Repeats, 2>& repeats() const { return repeats_; }

  /// Segments of at least kFewestCyclic answers: how many, and the sums of their psi-squared
  /// statistics of 1 to 3 answers [length] and of their statistics of approximate entropy of 2 and
  /// 3 answers [length].
  std::uint64_t cyclic_segments() const { return cyclic_segments_; }
  double psi_squared(std::size_t length) const { return psi_squared_[length]; }
  double entropy_statistic(std::size_t length) const { return entropy_[length]; }

  bool operator==(const DecisionCounts&) const = default;

 private:
  void add_segment(const SegmentCounts& segment);

  std::uint64_t valid_ = 0;
  std::uint64_t yes_ = 0;
  std::uint64_t invalid_ = 0;
  std::vector<SeriesTally> series_;
  std::vector<SegmentTally> segments_;
  std::array<std::uint64_t, (std::size_t{1} << (kHighestOrder + 2)) - 2> patterns_{};
  std::array<Repeats, 2> repeats_{};
  std::uint64_t cyclic_segments_ = 0;
  std::array<double, 4> psi_squared_{};
  std::array<double, 4> entropy_{};
};

}  // namespace amalgam::scores
