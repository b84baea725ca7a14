#include <utility>

#include "amalgam/labels/column_file.hpp"
#include "amalgam/labels/incremental.hpp"
#include "amalgam/labels/models/dawid_skene.hpp"

namespace amalgam::labels {

ColumnSet IncrementalFit::columns() const {
  ColumnSet set{.columns = {}, .metadata = state_metadata({method_, parameters_})};
  add_state_rows(set.columns, rows_.numbered());
  set.columns.push_back(make_column("posterior", DType::f64, posterior_,
                                    Shape{rows_.task_count(), rows_.label_count()}));
  return set;
}

IncrementalFit::IncrementalFit(const ColumnReader& reader) {
  StateHead head = read_state_head(reader);
  method_ = std::move(head.method);
  parameters_ = std::move(head.parameters);
  set_method();
  const AnnotationTable table = read_state_rows(reader);
  posterior_ = reader.column<double>("posterior", DType::f64);
  reader.check(posterior_.size() == table.task_count() * table.label_count(), "posteriors");
  for (const double p : posterior_) reader.check(p >= 0 && p <= 1 + 1e-9, "posteriors");
  models::check_confusion_size(table);
  set_rows(table);
  recount({});
}

}  // namespace amalgam::labels
