#include "cli/quantisation_report.hpp"

#include <fmt/format.h>

namespace amalgam::cli {
namespace {

std::string percent(double share) { return fmt::format("{:.3g} %", 100 * share); }

}  // namespace

Json quantisation_as_json(const std::vector<QuantisationError>& errors) {
  const QuantisationError total = total_error(errors);
  Json tensors = Json::array();
  for (const QuantisationError& one : errors) {
    tensors.push_back({{"tensor", one.tensor},
                       {"dtype", dtype_name(one.dtype)},
                       {"elements", one.elements},
                       {"rmse", one.rmse()},
                       {"relative", one.relative()}});
  }
  return {{"rmse", total.rmse()}, {"relative", total.relative()}, {"tensors", tensors}};
}

std::string quantisation_table(const std::vector<QuantisationError>& errors) {
  using Align = Table::Align;
  Table table({{"tensor"},
               {"type"},
               {"elements", Align::right},
               {"rmse", Align::right},
               {"relative", Align::right}});
  const auto add = [&](const std::string& name, std::string_view type,
                       const QuantisationError& one) {
    table.add_row({name, std::string(type), std::to_string(one.elements), format_number(one.rmse()),
                   percent(one.relative())});
  };
  for (const QuantisationError& one : errors) add(one.tensor, dtype_name(one.dtype), one);
  add("all", "", total_error(errors));
  return table.text();
}

std::string quantisation_summary(const std::vector<QuantisationError>& errors) {
  if (errors.empty()) return {};
  return fmt::format("{} {} quantised, {} off", errors.size(),
                     errors.size() == 1 ? "tensor" : "tensors",
                     percent(total_error(errors).relative()));
}

}  // namespace amalgam::cli
