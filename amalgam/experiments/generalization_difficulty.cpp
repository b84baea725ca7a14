#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/data/images.hpp"
#include "amalgam/data/shared_data.hpp"
#include "amalgam/data/shuffle.hpp"
#include "amalgam/experiments/catalogue.hpp"
#include "amalgam/experiments/workshop.hpp"
#include "amalgam/scores/studies/intrinsic_dimension.hpp"
#include "amalgam/scores/studies/task_constants.hpp"

namespace amalgam::experiments {
namespace {

using scores::LabelledPoints;
using scores::SphereTask;
using scores::TaskConstants;

constexpr double kError = 0.01;
constexpr double kNoise = 0.3;

LabelledPoints digits() {
  LabelledPoints points =
      scores::read_point_table(shared_data("tabular/digits.csv"), {.label = "class"});
  for (double& value : points.values) value /= 16;
  return points;
}

// Random training images.
LabelledPoints fashion(std::size_t count, std::uint64_t seed) {
  const LabelledImages all = load_images("fashion-mnist", Split::train);
  std::vector<std::size_t> order = shuffled_indices(all.count(), seed, "images whose difficulty");
  order.resize(count);
  const LabelledImages chosen = select_images(all, order);
  LabelledPoints points;
  points.source = chosen.source;
  points.width = chosen.image_size();
  for (const std::uint8_t pixel : chosen.pixels) points.values.push_back(pixel / 255.0);
  points.labels.assign(chosen.labels.begin(), chosen.labels.end());
  points.class_names = chosen.class_names;
  return points;
}

LabelledPoints noisy(LabelledPoints points, std::uint64_t seed) {
  RandomStream random(seed, "noise of inputs");
  for (double& value : points.values) value += kNoise * random.normal();
  return points;
}

TaskConstants measured(const LabelledPoints& points, std::uint64_t seed) {
  const scores::SeparationOptions separation;  // all pairs
  return measure_task(points, {.queries = 1000, .separation = &separation, .seed = seed},
                      {1, Runner::sequential});
}

SphereTask task_of(const TaskConstants& found) {
  return scores::classification_task(static_cast<double>(found.examples),
                                     std::round(found.likelihood_dimension), found.radius,
                                     found.separation.distance, static_cast<double>(found.classes));
}

void add_data(Figures& figures, const std::string& name, const LabelledPoints& points,
              std::uint64_t seed) {
  const TaskConstants clean = measured(points, seed);
  const TaskConstants noise = measured(noisy(points, seed), seed);
  const auto add = [&](const std::string& what, const TaskConstants& found) {
    figures[name + what + ": dimension"] = found.likelihood_dimension;
    figures[name + what + ": radius"] = found.radius;
    figures[name + what + ": resolution"] = found.separation.distance;
    figures[name + what + ": log10 bits"] = difficulty(task_of(found), kError).log10_bits;
  };
  add("", clean);
  add(" with noise", noise);
  figures[name + ": two-nearest dimension"] = clean.two_nearest_dimension;
  figures[name + ": participation ratio"] = clean.participation_ratio;
  SphereTask fixed = task_of(clean);
  fixed.dimension = std::round(noise.likelihood_dimension);
  figures[name + " with noise, radius and resolution of the clean: log10 bits"] =
      difficulty(fixed, kError).log10_bits;
}

SphereTask mnist() { return scores::classification_task(60000, 14, 17.179046, 2.398708, 10); }
SphereTask cifar() { return scores::classification_task(50000, 27, 54.915679, 2.750641, 10); }

// log2 of how many times the bits grow when the resolution is halved.
double resolution_slope(SphereTask task) {
  const double before = difficulty(task, 0.001).log10_bits;
  task.resolution /= 2;
  return (difficulty(task, 0.001).log10_bits - before) * std::numbers::ln10 / std::numbers::ln2;
}

void add_laws(Figures& figures) {
  SphereTask task = mnist();
  double least = 1e300;
  for (int m = 10; m <= 20; ++m) {
    task.dimension = m;
    const double before = difficulty(task, 0.001).log10_bits;
    task.dimension = m + 1;
    const double ratio = std::pow(10.0, difficulty(task, 0.001).log10_bits - before);
    least = std::min(least, ratio);
    if (m == 10) figures["bits per dimension more, at 10"] = ratio;
    if (m == 20) figures["bits per dimension more, at 20"] = ratio;
  }
  figures["bits per dimension more, least of 10 to 20"] = least;
  figures["power of 1/resolution at dimension 14"] = resolution_slope(mnist());
  task.dimension = 27;
  figures["power of 1/resolution at dimension 27"] = resolution_slope(task);
  SphereTask twice = mnist();
  twice.log_examples += std::numbers::ln2;
  figures["change of bits by twice the examples"] =
      difficulty(twice, 0.001).bits / difficulty(mnist(), 0.001).bits - 1;
}

std::vector<double> uniform(std::size_t count, RandomStream& random) {
  std::vector<double> values(count);
  for (double& value : values) value = random.uniform();
  return values;
}

double dimension_of(const std::vector<double>& values, std::size_t width) {
  std::vector<std::size_t> all(values.size() / width);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  return likelihood_dimension(
      scores::nearest_distances({values, width}, all, 5, {1, Runner::sequential}));
}

void add_known_dimensions(Figures& figures, std::uint64_t seed) {
  RandomStream random(seed, "points of known dimension");
  figures["dimension of a cube"] = dimension_of(uniform(2000 * 3, random), 3);
  const std::vector<double> flat = uniform(2000 * 2, random);
  std::vector<double> plane;
  for (std::size_t i = 0; i < flat.size(); i += 2) {
    const double u = flat[i];
    const double v = flat[i + 1];
    for (const double x : {.5 * (u + v), .5 * (u - v), .5 * (u + v), .5 * (u - v)}) {
      plane.push_back(x);
    }
  }
  figures["dimension of a plane in 4-D"] = dimension_of(plane, 4);
}

void add_known_tasks(Figures& figures) {
  const auto log10_bits = [](const SphereTask& task, double error) {
    return difficulty(task, error).log10_bits;
  };
  figures["authors' constants: MNIST: log10 bits"] = log10_bits(mnist(), 0.001);
  figures["authors' constants: CIFAR10: log10 bits"] = log10_bits(cifar(), 0.01);
  figures["authors' constants: ImageNet: log10 bits"] =
      log10_bits(scores::classification_task(1280901, 48, 943.5923, 65, 1000), 0.1);
  figures["authors' constants: Omniglot: log10 bits"] =
      log10_bits(scores::sphere_task({.log_examples = std::log(7e40),
                                      .ways = 20,
                                      .dimension_within = 22,
                                      .dimension_across = 29,
                                      .radius = 49.4065,
                                      .resolution = 5.477226}),
                 0.01);
}

Figures run(Workshop& workshop, std::uint64_t seed) {
  Figures figures;
  add_data(figures, "digits", digits(), seed);
  add_data(figures, "Fashion-MNIST", fashion(workshop.size(10'000, 5'000), seed), seed);
  add_laws(figures);
  add_known_dimensions(figures, seed);
  add_known_tasks(figures);
  return figures;
}

std::vector<std::string> rows() {
  std::vector<std::string> names;
  for (const std::string name : {"digits", "Fashion-MNIST"}) {
    for (const char* what : {"", " with noise"}) {
      for (const char* figure : {"dimension", "radius", "resolution", "log10 bits"}) {
        names.push_back(name + what + ": " + figure);
      }
    }
    names.push_back(name + " with noise, radius and resolution of the clean: log10 bits");
    names.push_back(name + ": two-nearest dimension");
    names.push_back(name + ": participation ratio");
  }
  for (const char* name :
       {"bits per dimension more, at 10", "bits per dimension more, at 20",
        "bits per dimension more, least of 10 to 20", "power of 1/resolution at dimension 14",
        "power of 1/resolution at dimension 27", "change of bits by twice the examples",
        "dimension of a cube", "dimension of a plane in 4-D",
        "authors' constants: MNIST: log10 bits", "authors' constants: CIFAR10: log10 bits",
        "authors' constants: ImageNet: log10 bits", "authors' constants: Omniglot: log10 bits"}) {
    names.emplace_back(name);
  }
  return names;
}

// That a figure is within `reach` of `target` with every seed.
Claim near(std::string text, const std::string& name, double target, double reach) {
  return {
      .text = std::move(text),
      .kind = Claim::Kind::always,
      .difference = [=](const Figures& figures) { return -std::abs(figures.at(name) - target); },
      .margin = -reach};
}

std::vector<Claim> claims() {
  using Kind = Claim::Kind;
  return {
      {.text = "Fashion-MNIST is harder than digits by 5 decades of bits or more",
       .difference = difference("Fashion-MNIST: log10 bits", "digits: log10 bits"),
       .margin = 5},
      near("digits have a dimension of 8.13 to within .6", "digits: dimension", 8.13, .6),
      near("Fashion-MNIST has a dimension of 13.72 to within .6", "Fashion-MNIST: dimension", 13.72,
           .6),
      {.text = "exponential in the dimension: one more is twice the bits or more, from 10 to 20",
       .kind = Kind::always,
       .difference = figure("bits per dimension more, least of 10 to 20"),
       .margin = 2},
      near("polynomial in 1/resolution: power 13.86 at dimension 14 to within .05",
           "power of 1/resolution at dimension 14", 13.86, .05),
      near("and 26.08 at dimension 27 to within .05", "power of 1/resolution at dimension 27",
           26.08, .05),
      near("twice the examples change bits by less than .5 %",
           "change of bits by twice the examples", 0, .005),
      near("a cube has a dimension from 2.6 to 3.1", "dimension of a cube", 2.85, .25),
      near("a plane in 4-D has 2 to within .1", "dimension of a plane in 4-D", 2, .1),
      {.text = "MNIST, CIFAR10, ImageNet, few-shot Omniglot are in this order, each harder",
       .kind = Kind::always,
       .difference =
           [](const Figures& figures) {
             const auto bits = [&](const char* task) {
               return figures.at(fmt::format("authors' constants: {}: log10 bits", task));
             };
             return std::min({bits("CIFAR10") - bits("MNIST"), bits("ImageNet") - bits("CIFAR10"),
                              bits("Omniglot") - bits("ImageNet")});
           }},
      {.text = "noise makes digits harder by a decade or more at the radius and resolution of the"
               " clean ones",
       .difference = difference("digits with noise, radius and resolution of the clean: log10 bits",
                                "digits: log10 bits"),
       .margin = 1,
       .primary = false},
      {.text = "noise makes Fashion-MNIST harder by a decade or more at the radius and resolution"
               " of the clean one",
       .difference =
           difference("Fashion-MNIST with noise, radius and resolution of the clean: log10 bits",
                      "Fashion-MNIST: log10 bits"),
       .margin = 1,
       .primary = false},
      {.text = "noise makes digits harder with the radius and resolution measured in noise too",
       .difference = difference("digits with noise: log10 bits", "digits: log10 bits"),
       .primary = false},
      {.text = "noise makes Fashion-MNIST harder with the radius and resolution measured in noise"
               " too",
       .difference =
           difference("Fashion-MNIST with noise: log10 bits", "Fashion-MNIST: log10 bits"),
       .primary = false}};
}

}  // namespace

const Experiment& generalization_difficulty() {
  static const Experiment kExperiment{
      .slug = "generalization-difficulty",
      .title = "Model-agnostic Measure of Generalization Difficulty",
      .paper = "Boopathy, Liu, Hwang, Ge, Mohammedsaleh and Fiete 2023, ICML",
      .question =
          "A task has a difficulty of its own, the bits of inductive bias that generalising on it"
          " takes. It is exponential in the intrinsic dimension of the inputs, polynomial in their"
          " resolution, and hardly falls with more data.",
      .setting =
          "Digits (1797 images of 8 x 8, values in [0, 1]) and 10 000 random training images of"
          " Fashion-MNIST; dimension by maximum likelihood from 1000 random points with 5"
          " neighbours each, resolution the closest of all pairs of different classes, error .01."
          " Noise is normal with deviation .3. Scaling laws at the constants that the authors give"
          " for MNIST, error .001. Nothing is trained.",
      .rows = rows(),
      .unit = "bits as decimal logarithms",
      .claims = claims(),
      .not_reproduced =
          "The constants of SVHN, CIFAR10, ImageNet and Omniglot are the authors', not measured"
          " here.",
      .sabotage =
          "Each point's own dimension averaged, in place of their inverses: digits 11.1,"
          " Fashion-MNIST 22.4, a cube 3.9, a plane 2.6, and four claims fail. The number of"
          " features as the dimension: three fail. Both not shown.",
      .run = run};
  return kExperiment;
}

}  // namespace amalgam::experiments
