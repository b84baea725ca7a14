#include "amalgam/labels/models/class_balance.hpp"

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/labels/models/votes.hpp"

namespace amalgam::labels::models {
namespace {

void divide_by_sum(std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  for (double& value : values) value /= sum;
}

std::vector<double> vote_balance(const AnnotationTable& table) {
  std::vector<double> sums(table.label_count(), 0);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    sums[table.labels[row]] += table.weight(row);
  }
  divide_by_sum(sums);
  // A label without a vote keeps odds that can be computed with.
  for (double& share : sums) share = std::max(share, 1e-10);
  return sums;
}

}  // namespace

ParameterInfo balance_parameter(std::string default_value, std::string more_doc) {
  return {.name = "balance",
          .kind = ParameterInfo::Kind::text,
          .doc =
              "class balance: uniform, votes (shares of the votes), gold, or a number per label "
              "in label order, e.g. 0.7,0.3" +
              more_doc,
          .default_value = std::move(default_value)};
}

std::vector<double> gold_balance(const GoldLabels& gold, std::size_t classes) {
  std::vector<double> balance(classes, 1);
  for (const Label label : gold.labels) {
    if (label != kNoLabel) balance[label] += 1;
  }
  divide_by_sum(balance);
  return balance;
}

std::vector<double> class_balance(std::string_view method, std::string_view text,
                                  const AnnotationTable& table, const FitContext& context) {
  const std::size_t classes = table.label_count();
  if (text == "uniform") return std::vector<double>(classes, 1.0 / static_cast<double>(classes));
  if (text == "votes") return vote_balance(table);
  if (text == "gold") {
    if (context.gold == nullptr) {
      throw InputError("method '{}' with balance=gold needs gold labels (--gold)", method);
    }
    return gold_balance(*context.gold, classes);
  }
  std::vector<double> balance;
  for (const std::string& part : split(text, ',')) {
    const ParameterValue value = parse_parameter_value(part);
    const double* number = std::get_if<double>(&value);
    if (number == nullptr || !(*number > 0)) {
      throw InputError(
          "-p balance={}: '{}' is not a positive number; expected uniform, votes, gold, or a "
          "number per label",
          text, part);
    }
    balance.push_back(*number);
  }
  if (balance.size() != classes) {
    throw InputError("-p balance={}: {} numbers, but the annotations have {} labels", text,
                     balance.size(), classes);
  }
  divide_by_sum(balance);
  return balance;
}

}  // namespace amalgam::labels::models
