#pragma once

#include "amalgam/labels/state_rows.hpp"

namespace amalgam::labels {

/// The state of a method that counts votes (majority-vote, standard, softmax, weighted-majority,
/// wawa, zero-based-skill): the annotations themselves. Taking in more of them appends them, and a
/// result counts all: it is the fit of everything at once, to the bit.
class CountingState final : public LabelState {
 public:
  /// Whether `method` is one of them.
  static bool is_method(std::string_view method);

  /// InputError as fit_labels, for parameters that need gold labels, and for another method.
  CountingState(const AnnotationTable& table, std::string method,
                std::span<const std::string> parameters, const FitContext& context);
  explicit CountingState(const ColumnReader& reader);

  AbsorbReport absorb(const AnnotationTable& added, const AbsorbOptions& options = {}) override;
  RefineReport refine(double tolerance, std::size_t max_sweeps, const Parallel& parallel) override;
  Result result(bool keep_evidence = false) const override;
  const std::string& method() const override { return head_.method; }
  std::size_t task_count() const override { return rows_.task_count(); }
  std::size_t worker_count() const override { return rows_.worker_count(); }
  std::uint64_t annotations() const override { return rows_.annotations(); }
  void save(const std::filesystem::path& path) const override;

 private:
  void check() const;

  StateHead head_;
  KeptRows rows_;
  Parallel parallel_;
};

}  // namespace amalgam::labels
