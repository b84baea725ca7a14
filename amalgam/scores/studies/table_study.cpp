#include "amalgam/scores/studies/table_study.hpp"

#include <algorithm>
#include <array>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam::scores {
namespace {

struct Property {
  const char* id;
  const char* title;
  bool needs_columns;
  bool needs_cells;
  TableProperty (*run)(const TableStudy&, const TableStudyOptions&);
};

constexpr std::array<Property, 8> kProperties{{
    {"P1", "row order", false, false,
     [](const TableStudy& s, const TableStudyOptions& o) {
       return row_order_property(*s.embedder, s.tables, o);
     }},
    {"P2", "column order", false, false,
     [](const TableStudy& s, const TableStudyOptions& o) {
       return column_order_property(*s.embedder, s.tables, o);
     }},
    {"P3", "join relationship", true, false,
     [](const TableStudy& s, const TableStudyOptions& o) {
       return join_property(*s.embedder, s.tables, o);
     }},
    {"P4", "functional dependencies", false, true,
     [](const TableStudy& s, const TableStudyOptions& o) {
       return dependency_property(*s.embedder, s.tables, o);
     }},
    {"P5", "sample fidelity", true, false,
     [](const TableStudy& s, const TableStudyOptions& o) {
       return sample_property(*s.embedder, s.tables, o);
     }},
    {"P6", "entity stability", false, true,
     [](const TableStudy& s, const TableStudyOptions& o) {
       TableProperty found =
           entity_property(*s.embedder, *s.against.front(), s.tables, o, s.entities);
       if (s.against.size() > 1) {
         std::vector<const TableEmbedder*> all{s.embedder};
         all.insert(all.end(), s.against.begin(), s.against.end());
         found.pairs = entity_pairs(all, s.tables, o, s.entities);
       }
       return found;
     }},
    {"P7", "perturbation robustness", true, false,
     [](const TableStudy& s, const TableStudyOptions& o) {
       return renaming_property(*s.embedder, s.tables, s.renamings, o);
     }},
    {"P8", "heterogeneous context", true, false,
     [](const TableStudy& s, const TableStudyOptions& o) {
       return context_property(*s.embedder, s.tables, s.types, o);
     }},
}};

const char* why_not(const Property& property, const TableStudy& study) {
  const TableLevels has = study.embedder->levels();
  if (property.needs_columns && !has.columns) return "there are no vectors of columns";
  if (property.needs_cells && !has.cells) return "there are no vectors of cells";
  if (property.run == kProperties[5].run) {
    if (study.against.empty()) return "there is no second embedder to compare with";
    for (const TableEmbedder* other : study.against) {
      if (!other->levels().cells) return "the second embedder has no vectors of cells";
    }
  }
  if (property.run == kProperties[6].run && study.renamings.empty()) {
    return "there are no renamings";
  }
  return nullptr;
}

}  // namespace

void check_property_name(std::string_view name) {
  if (std::ranges::none_of(kProperties, [&](const Property& one) { return one.id == name; })) {
    throw InputError("no property '{}'; there are P1 to P8", printable(name));
  }
}

std::vector<TableProperty> study_tables(const TableStudy& study, const TableStudyOptions& options,
                                        const std::function<void(std::string_view)>& before) {
  check_study_options(options);
  for (const RelationalTable& table : study.tables) check_table(table);
  for (const std::string& name : study.properties) check_property_name(name);
  std::vector<TableProperty> found;
  for (const Property& property : kProperties) {
    if (!study.properties.empty() && std::ranges::count(study.properties, property.id) == 0) {
      continue;
    }
    if (before) before(property.title);
    if (const char* const why = why_not(property, study); why != nullptr) {
      found.push_back({.id = property.id, .title = property.title});
      found.back().notes.emplace_back(why);
    } else {
      found.push_back(property.run(study, options));
    }
  }
  return found;
}

}  // namespace amalgam::scores
