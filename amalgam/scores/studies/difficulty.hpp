#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

/// How hard a task is to generalise on, whatever learns it: the bits of inductive bias that make a
/// hypothesis that fits the training set also generalise (Boopathy, Liu, Hwang, Ge, Mohammedsaleh
/// and Fiete, "Model-agnostic Measure of Generalization Difficulty", ICML 2023). Figures grow
/// beyond what a double holds, so everything is computed as logarithms, natural unless the name
/// says otherwise, and in the same bits on every processor.
namespace amalgam::scores {

/// The most dimensions that are taken.
inline constexpr double kMostDimensions = 1e6;

/// The constants of a task whose inputs lie on a sphere, one for each combination of discrete
/// features.
struct SphereTask {
  double log_examples = 0;  ///< ln n, n >= 1 training examples
  double dimension = 1;     ///< m, of the sphere: from 1 to kMostDimensions, not only whole
  double radius = 1;        ///< R > 0, the largest norm of an input
  double resolution = 1;    ///< delta > 0, the smallest distance that makes a difference
  double combinations = 1;  ///< of the discrete features, such as the number of classes; >= 1
  double log_outputs = 0;   ///< ln D, D >= 1 dimensions of the output
  double bound = 1;         ///< b > 0, the largest absolute value of a hypothesis
};

/// The constants of a task of control: inputs are scaled to [0, 2 pi] and lie on a flat torus.
struct TorusTask {
  double log_examples = 0;
  double dimension = 1;
  double resolution = 1;
  double outputs = 1;  ///< D >= 1
};

/// The bits of a task at a desired error, and what they are made of: bits = consistent dimensions *
/// log2(size of the space / radius in which hypotheses generalise).
struct Difficulty {
  double error = 0;                 ///< the desired error (over the Lipschitz constant of the loss)
  double bits = 0;                  ///< infinity above 1e300
  double log10_bits = 0;            ///< -infinity for 0 bits
  double frequency = 0;             ///< M, the highest one of a hypothesis
  double degree = 0;                ///< K, of spherical harmonics; of a torus: M
  double log_functions = 0;         ///< ln E, how many eigenfunctions there are up to M
  double log_dimensions = 0;        ///< ln dim of the hypothesis space
  double log_consistent = 0;        ///< ln dim of what fits the training set; -infinity for none
  double log_distance = 0;          ///< ln W, from training set to distribution; of a torus: NaN
  double log2_ratio = 0;            ///< bits of each dimension
  bool over_determined = false;     ///< the training set leaves no freedom: 0 bits
  bool everything_general = false;  ///< the error allows every hypothesis: 0 bits
};

/// A classification task: the outputs are one fewer than the classes, bounded by 1.
SphereTask classification_task(double examples, double dimension, double radius, double resolution,
                               double classes);

/// Two tasks shown together, each example being one of either: what it takes to solve `task` while
/// `other` is there too. Resolution, outputs and bound are those of `task`.
SphereTask shown_together(const SphereTask& task, const SphereTask& other);

/// Few-shot classification: an input is one image of each of several classes.
struct FewShotTask {
  double log_examples = 0;      ///< ln of the number of inputs, see few_shot_log_examples()
  double ways = 20;             ///< classes to tell apart, >= 2
  double dimension_within = 1;  ///< m0, of images of one family (an alphabet)
  double dimension_across = 1;  ///< m1, of all images
  double radius = 1;            ///< of one image
  double resolution = 1;
};
/// An input has m1 + (ways - 1) m0 dimensions and norm R sqrt(ways); an output is a classifier of
/// images of one family. InputError as difficulty(), and for fewer than 2 ways.
SphereTask sphere_task(const FewShotTask& task);
/// ln of the sum over families of (choices of `ways` of its classes, at least one) *
/// images_per_class^ways. InputError if there is no family.
double few_shot_log_examples(std::span<const std::uint64_t> classes_per_family, std::uint64_t ways,
                             double images_per_class);

/// The bits at a desired error in (0, 1). With a model's test error in its place: the bits of bias
/// that the model supplied. InputError naming a constant that is out of range.
Difficulty difficulty(const SphereTask& task, double error);
Difficulty difficulty(const TorusTask& task, double error);

/// ln of the number of spherical harmonics on the sphere of `dimension` up to `degree` >= 0, which
/// need not be whole: C(m + K, m) + C(m + K - 1, m).
double log_harmonics(double dimension, double degree);
/// K >= 0 with K (K + m - 1) = frequency^2.
double harmonic_degree(double dimension, double frequency);

}  // namespace amalgam::scores
