#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "amalgam/labels/label_model.hpp"

/// What is written of labels: comma-separated values (tabs if the name ends in .tsv or .tab) with a
/// header; "-" is the standard output. A file is whole or not there (see TextOutput). Numbers read
/// back as the same doubles. Tasks are in the order in which they came, labels in theirs.
namespace amalgam::labels {

/// task,label
void write_hard_labels(const std::filesystem::path& path, const AnnotationTable& table,
                       std::span<const Label> labels);

/// task and a column of probabilities for each label.
void write_soft_labels(const std::filesystem::path& path, const AnnotationTable& table,
                       const SoftLabels& soft);

/// worker,annotations,skill (if the method has one), the method's own columns,
/// label_accuracy: the share of the worker's annotations (each as its weight) that are the label
/// that was found, which is no proof where he helped to find it; and gold_annotations,
/// gold_accuracy with gold. Workers in their canonical order; cells are empty where there is
/// nothing to judge by.
void write_workers(const std::filesystem::path& path, const AnnotationTable& table,
                   const LabelFit& fit, const GoldLabels* gold = nullptr);

/// worker,true,observed,probability. InputError if the fit has no confusion matrices.
void write_confusion(const std::filesystem::path& path, const AnnotationTable& table,
                     const LabelFit& fit);

/// task,annotations,probability,entropy,tied and the method's own columns of tasks: how many
/// annotations (of weight above 0) there are; the probability of the label; the entropy of the
/// probabilities in bits; 1 if several labels are equally probable, else 0.
void write_task_columns(const std::filesystem::path& path, const AnnotationTable& table,
                        const LabelFit& fit);

}  // namespace amalgam::labels
