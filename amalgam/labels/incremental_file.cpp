#include <utility>

#include "amalgam/labels/column_file.hpp"
#include "amalgam/labels/incremental.hpp"
#include "amalgam/labels/models/dawid_skene.hpp"

namespace amalgam::labels {

void IncrementalFit::save(const std::filesystem::path& path) const {
  std::vector<Column> columns;
  add_state_rows(columns, rows_.numbered());
  columns.push_back(make_column("posterior", DType::f64, posterior_,
                                Shape{rows_.task_count(), rows_.label_count()}));
  write_column_file(path, columns, state_metadata({method_, parameters_}));
}

IncrementalFit IncrementalFit::load(const std::filesystem::path& path) {
  const ColumnReader reader(path);
  IncrementalFit fit;
  StateHead head = read_state_head(reader);
  fit.method_ = std::move(head.method);
  fit.parameters_ = std::move(head.parameters);
  fit.set_method();
  const AnnotationTable table = read_state_rows(reader);
  fit.posterior_ = reader.column<double>("posterior", DType::f64);
  reader.check(fit.posterior_.size() == table.task_count() * table.label_count(), "posteriors");
  for (const double p : fit.posterior_) reader.check(p >= 0 && p <= 1 + 1e-9, "posteriors");
  models::check_confusion_size(table);
  fit.set_rows(table);
  fit.recount({});
  return fit;
}

}  // namespace amalgam::labels
