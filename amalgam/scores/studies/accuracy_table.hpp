#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace amalgam::scores {

/// Accuracies of models on data sets whose inputs were degraded to several resolutions (or by
/// anything else that has levels), as shares in [0, 1]; NaN: not measured.
struct AccuracyTable {
  std::vector<std::string> models;
  std::vector<std::string> datasets;
  std::vector<std::string> resolutions;  ///< without the native one; numbers from high to low
  std::vector<double> accuracies;        ///< [models, datasets, resolutions]
  std::vector<double> native;            ///< [models, datasets], at the native resolution
  std::vector<double> chance;            ///< [datasets], what guessing gets

  double accuracy(std::size_t model, std::size_t dataset, std::size_t resolution) const {
    return accuracies[(model * datasets.size() + dataset) * resolutions.size() + resolution];
  }
  double native_accuracy(std::size_t model, std::size_t dataset) const {
    return native[model * datasets.size() + dataset];
  }
};

/// InputError unless sizes fit, accuracies are shares or NaN, and chance levels are between 0
/// and 1.
void check_accuracies(const AccuracyTable& table);

/// How a file of accuracies is read.
struct AccuracyFormat {
  std::string model = "model";
  std::string dataset = "dataset";
  std::string resolution = "resolution";
  std::string accuracy = "accuracy";
  std::string correct = "correct";  ///< with `total`, in place of accuracies: rows add up
  std::string total = "total";
  std::string classes = "classes";  ///< of a data set, in each of its rows; may be absent
  bool percent = false;             ///< accuracies are from 0 to 100
  /// Which resolution is the native one; empty: "HR", "native", "original" or "clean" (in any case)
  /// if there is one, or else the largest number of each model.
  std::string native;
  /// Classes by data set, and chance levels (shares) where guessing does not get 1 / classes.
  std::map<std::string, double> class_counts;
  std::map<std::string, double> chance;
};

/// Reads a CSV file with a row per model, data set and resolution, in any order. An empty accuracy
/// is one that was not measured. InputError naming file and place: no such column, a share outside
/// [0, 1] (a hint at `percent` where it looks so), a cell twice, no native resolution, a data set
/// without a class count, fewer than 2 classes, or with several counts; more than 10^7 cells.
AccuracyTable read_accuracies(const std::filesystem::path& path, const AccuracyFormat& format = {});

}  // namespace amalgam::scores
