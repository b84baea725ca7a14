#include "amalgam/scores/studies/order_permutation.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/scores/studies/decision_counts.hpp"
#include "amalgam/scores/studies/markov_order.hpp"

namespace amalgam::scores {
namespace {

constexpr std::size_t kMostContexts = std::size_t{1} << (kHighestOrder - 1);
// G-squared of two orders of the same answers with the same counts differs by rounding alone.
constexpr double kSameStatistic = 1e-9;

// The transitions of a segment from each context of order - 1 answers.
class TransitionGraph {
 public:
  TransitionGraph(const AnswerSegment& segment, std::size_t order)
      : mask_((std::size_t{1} << (order - 1)) - 1) {
    std::size_t context = 0;
    for (std::size_t t = 0; t < segment.size(); ++t) {
      const std::size_t answer = segment[t] ? 1 : 0;
      if (t + 1 >= order) ++left_[context][answer];
      context = next(context, answer);
    }
    end_ = context;
  }

  // Draws by which transition each context is left for the last time: a tree into the context of
  // the end, drawn with the number of transitions as weights. A transition from a context to itself
  // cannot be in a tree.
  void draw_last_exits(RandomStream& random) {
    do {
      for (std::size_t context = 0; context <= mask_; ++context) {
        if (context != end_) draw_last_exit(context, random);
      }
    } while (!all_reach_end());
    for (std::size_t context = 0; context <= mask_; ++context) {
      if (context != end_ && is_visited(context)) --left_[context][last_exit_[context]];
    }
  }

  // The answer after `context`: any of the transitions that are left, and then the last exit.
  std::size_t take(std::size_t context, RandomStream& random) {
    auto& left = left_[context];
    if (left[0] + left[1] == 0) return last_exit_[context];
    const std::size_t answer = random.below(left[0] + left[1]) < left[0] ? 0 : 1;
    --left[answer];
    return answer;
  }

  std::size_t next(std::size_t context, std::size_t answer) const {
    return (2 * context + answer) & mask_;
  }

 private:
  bool is_visited(std::size_t context) const { return left_[context][0] + left_[context][1] > 0; }

  void draw_last_exit(std::size_t context, RandomStream& random) {
    std::array<std::uint64_t, 2> exits = left_[context];
    for (std::size_t answer = 0; answer < 2; ++answer) {
      if (next(context, answer) == context) exits[answer] = 0;
    }
    const std::uint64_t all = exits[0] + exits[1];
    if (all > 0) last_exit_[context] = random.below(all) < exits[0] ? 0 : 1;
  }

  bool all_reach_end() const {
    for (std::size_t context = 0; context <= mask_; ++context) {
      if (!is_visited(context)) continue;
      std::size_t at = context;
      for (std::size_t step = 0; at != end_; ++step) {
        if (step > mask_) return false;
        at = next(at, last_exit_[at]);
      }
    }
    return true;
  }

  std::size_t mask_;
  std::size_t end_ = 0;
  std::array<std::array<std::uint64_t, 2>, kMostContexts> left_{};
  std::array<std::size_t, kMostContexts> last_exit_{};
};

void count_patterns(const AnswerSegment& segment, std::size_t length,
                    std::vector<std::uint64_t>& counts) {
  std::size_t pattern = 0;
  for (std::size_t t = 0; t < segment.size(); ++t) {
    pattern = (2 * pattern + (segment[t] ? 1 : 0)) & (counts.size() - 1);
    if (t + 1 >= length) ++counts[pattern];
  }
}

TestResult statistic_of(std::span<const AnswerSegment> segments, std::size_t order) {
  std::vector<std::uint64_t> counts(std::size_t{2} << order);
  for (const AnswerSegment& segment : segments) count_patterns(segment, order + 1, counts);
  return order_test(counts).g_squared;
}

}  // namespace

void append_segments(std::span<const std::int8_t> answers, std::vector<AnswerSegment>& segments) {
  if (answers.size() < DecisionCounts::kFewestInSeries) return;
  AnswerSegment segment;
  for (const std::int8_t answer : answers) {
    if (answer != kInvalid) {
      segment.push_back(answer == kYes);
    } else if (!segment.empty()) {
      segments.push_back(std::exchange(segment, {}));
    }
  }
  if (!segment.empty()) segments.push_back(std::move(segment));
}

void shuffle_keeping_patterns(AnswerSegment& segment, std::size_t order, RandomStream& random) {
  if (segment.size() <= order) return;
  TransitionGraph graph(segment, order);
  graph.draw_last_exits(random);
  std::size_t context = 0;
  for (std::size_t t = 0; t < segment.size(); ++t) {
    std::size_t answer = segment[t] ? 1 : 0;
    if (t + 1 >= order) answer = graph.take(context, random);
    segment[t] = answer == 1;
    context = graph.next(context, answer);
  }
}

TestResult order_permutation_test(std::span<const AnswerSegment> segments, std::size_t order,
                                  std::string_view what, const PermutationOptions& options) {
  TestResult result = statistic_of(segments, order);
  if (!result.defined()) return result;
  RandomStream random(options.seed, fmt::format("{}/{}", what, order));
  std::vector<AnswerSegment> shuffled(segments.begin(), segments.end());
  std::erase_if(shuffled, [](const AnswerSegment& segment) { return segment.empty(); });
  // The first answer is called no: the same draws whichever word is which.
  if (shuffled.front().front()) {
    for (AnswerSegment& segment : shuffled) segment.flip();
  }
  std::size_t as_large = 0;
  for (std::size_t draw = 0; draw < options.permutations; ++draw) {
    check_interrupt();
    for (AnswerSegment& segment : shuffled) shuffle_keeping_patterns(segment, order, random);
    if (statistic_of(shuffled, order).statistic >= result.statistic - kSameStatistic) ++as_large;
  }
  result.p = static_cast<double>(1 + as_large) / (1 + static_cast<double>(options.permutations));
  result.exact = true;
  return result;
}

}  // namespace amalgam::scores
