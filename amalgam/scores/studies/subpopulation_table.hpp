#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "amalgam/scores/studies/subpopulation_gap.hpp"

namespace amalgam::scores {

/// How well each of many models does on two subpopulations. What the majority is, is the user's
/// word.
struct SubpopulationTable {
  std::string source;  ///< what errors call it
  std::vector<std::string> models;
  std::vector<double> majority;       ///< [models], accuracy from 0 to 1
  std::vector<double> minority;       ///< [models]
  std::vector<double> majority_size;  ///< [models], test examples (sum of weights); 0: not known
  std::vector<double> minority_size;  ///< [models]
  std::vector<std::string> tag_names;
  std::vector<std::vector<std::string>> tags;  ///< [tag_names][models]
  /// [models] on majority and minority, or empty.
  std::vector<GroupConfusion> majority_confusion;
  std::vector<GroupConfusion> minority_confusion;

  std::size_t count() const { return models.size(); }
  /// The tag's values [models]; InputError with the nearest name if there is no such tag.
  const std::vector<std::string>& tag(const std::string& name) const;
};

/// Where the figures of a table with one row per model are.
struct SubpopulationColumns {
  std::string model;  ///< empty: the first column
  std::string majority = "majority";
  std::string minority = "minority";
  bool counts = false;   ///< the two columns count right answers
  bool percent = false;  ///< they are from 0 to 100
  /// A column, or a number that holds for all models; empty: not known. Needed for counts.
  std::string majority_total;
  std::string minority_total;
  std::vector<std::string> tags;
  /// Instead of accuracies: the columns <prefix>_tp, _fn, _tn and _fp of both subpopulations hold
  /// counts.
  std::string majority_confusion;
  std::string minority_confusion;
};

/// InputError naming the place: no such column, a cell that is missing or no number, an accuracy
/// beyond [0, 1] (asking whether it is in percent), more right answers than examples, an empty
/// subpopulation, a model that is there twice, no rows.
SubpopulationTable read_subpopulation_table(const std::filesystem::path& path,
                                            const SubpopulationColumns& columns);

/// Where the predictions of many models are, one row for each model and example.
struct PredictionColumns {
  std::string model = "model";
  std::string truth = "label";
  std::string prediction = "prediction";
  std::string group = "group";
  std::string weight;                 ///< empty: 1 each
  std::vector<std::string> majority;  ///< the groups that make up the majority
};

/// Counts right predictions, row by row. With two labels, confusion counts too; the positive label
/// is the later one by its bytes. InputError naming the place: a weight that is negative or not
/// finite, a missing cell; no model, or one without examples of the majority or of the others.
SubpopulationTable read_predictions(const std::filesystem::path& path,
                                    const PredictionColumns& columns);

/// The accuracy on a mixture with `share` of the majority.
double mixture_accuracy(double majority, double minority, double share);

}  // namespace amalgam::scores
