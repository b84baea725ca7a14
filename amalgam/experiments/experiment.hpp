#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/statistics.hpp"

// The harness of `amalgam reproduce`: what an experiment is, and how its claims are judged.
namespace amalgam::experiments {

/// What was measured with one seed, by name ("uniform soup").
using Figures = std::map<std::string, double, std::less<>>;

/// What an experiment should show.
struct Claim {
  enum class Kind {
    at_least,  ///< the mean difference is above `margin`: a one-sided paired t-test
    within,    ///< the mean difference is within +-`margin`: two one-sided t-tests
    always,    ///< the difference is at least `margin` with every seed: no statistics
  };
  std::string text;  ///< for people; says what is compared and the margin
  Kind kind = Kind::at_least;
  /// The difference with one seed; a mean over conditions where the claim is about one.
  std::function<double(const Figures&)> difference;
  double margin = 0;
  bool primary = true;  ///< decides the verdict
};

/// `left` - `right` of the figures of these names.
std::function<double(const Figures&)> difference(std::string left, std::string right);
/// The figure of this name.
std::function<double(const Figures&)> figure(std::string name);

class Workshop;

/// One paper's system on real data, with the paper's own baselines.
struct Experiment {
  std::string slug;
  std::string title;
  std::string paper;     ///< authors, year, arXiv
  std::string question;  ///< what the paper claims, in a sentence or two
  std::string setting;   ///< what is trained on what
  /// The figures that are shown, in their order, and what they are ("test accuracy").
  std::vector<std::string> rows;
  std::string unit;
  std::vector<Claim> claims;
  std::string not_reproduced;  ///< what the paper has and this scale does not; may be empty
  std::string sabotage;        ///< which wrong methods were tried, and what became of the verdict
  /// Runs it with one seed. Interrupted on a signal.
  std::function<Figures(Workshop& workshop, std::uint64_t seed)> run;
};

/// All experiments, by slug.
std::span<const Experiment* const> all_experiments();
/// InputError naming the nearest if there is none of this name.
const Experiment& find_experiment(std::string_view slug);

/// A claim against what was measured.
struct JudgedClaim {
  const Claim* claim = nullptr;
  double measured = 0;    ///< mean difference over the seeds
  Interval interval;      ///< 95 %, Student's t; of one seed: the difference itself
  double p = 1;           ///< of `always`: 0 or 1
  double adjusted_p = 1;  ///< Holm over the primary claims of an experiment
  std::size_t seeds_holding = 0;
  bool holds = false;
};

/// Judges claims on the figures of several seeds: significance level 0.05, Holm's correction over
/// the primary ones.
std::vector<JudgedClaim> judge(const std::vector<Claim>& claims, const std::vector<Figures>& seeds);

enum class Verdict { shown, not_shown, quick };
std::string_view verdict_text(Verdict verdict);

struct Result {
  const Experiment* experiment = nullptr;
  std::vector<std::uint64_t> seeds;
  std::vector<Figures> figures;  ///< one per seed
  std::vector<JudgedClaim> claims;
  std::size_t seeds_holding = 0;  ///< seeds with which every primary claim's condition held
  Verdict verdict = Verdict::not_shown;
  double seconds = 0;
};

/// Runs an experiment with seeds 1, 2, ..., `seeds`; `after_seed` is called with each one done.
Result reproduce(const Experiment& experiment, Workshop& workshop, std::size_t seeds,
                 const std::function<void(std::uint64_t seed)>& after_seed = {});

}  // namespace amalgam::experiments
