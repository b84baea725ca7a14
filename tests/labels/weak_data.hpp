#pragma once

#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/labels/weak/features.hpp"

namespace amalgam::labels {

/// Rows of four numbers: noise, and in column k of class k `distance` is added. A function of the
/// seed.
struct WeakData {
  Features labelled;
  std::vector<Label> labels;
  Features unlabelled;
  std::vector<Label> truth;  ///< of the unlabelled rows
  std::size_t classes;

  WeakData(std::size_t class_count, std::size_t labelled_rows, std::size_t unlabelled_rows,
           std::uint64_t seed, double distance = 4)
      : classes(class_count), distance_(distance) {
    RandomStream random(seed, "weak data");
    labelled = draw(labelled_rows, random, labels);
    unlabelled = draw(unlabelled_rows, random, truth);
  }

  LabelledRows known() const { return {labelled, labels, classes}; }

 private:
  Features draw(std::size_t rows, RandomStream& random, std::vector<Label>& classes_of) const {
    Features features(rows, 4);
    for (std::size_t i = 0; i < rows; ++i) {
      classes_of.push_back(static_cast<Label>(i < classes ? i : random.below(classes)));
      for (std::size_t c = 0; c < 4; ++c) features.row(i)[c] = random.normal();
      features.row(i)[classes_of.back()] += distance_;
    }
    return features;
  }

  double distance_;
};

}  // namespace amalgam::labels
