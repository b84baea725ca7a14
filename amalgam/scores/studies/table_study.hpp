#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/scores/studies/table_properties.hpp"

namespace amalgam::scores {

/// What a study of tables looks at.
struct TableStudy {
  std::span<const RelationalTable> tables;
  const TableEmbedder* embedder = nullptr;
  /// For P6, which compares `embedder` with the first one, and all with each other if there are
  /// several; none: P6 is not applicable.
  std::vector<const TableEmbedder*> against;
  std::vector<Renaming> renamings;
  ColumnTypes types;
  CellEntities entities;                ///< for P6; none: equal texts are one entity
  std::vector<std::string> properties;  ///< "P1" to "P8"; empty: all
};

/// "P1, P2, ... P8"; InputError listing them for another text.
void check_property_name(std::string_view name);

/// The properties in their order, each with its measures or a note why it is not applicable.
/// `before` is called with the title of each.
std::vector<TableProperty> study_tables(const TableStudy& study, const TableStudyOptions& options,
                                        const std::function<void(std::string_view)>& before = {});

}  // namespace amalgam::scores
