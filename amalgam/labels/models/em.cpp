#include "amalgam/labels/models/em.hpp"

#include "amalgam/core/interrupt.hpp"

namespace amalgam::labels::models {

void share_posterior(const AnnotationTable& table, std::size_t counts_bytes,
                     const FitContext& context, SoftLabels& posterior) {
  if (context.cluster == nullptr || context.cluster->size() == 1) return;
  const std::size_t leaves = leaves_for(table, counts_bytes);
  std::vector<std::size_t> parts(context.cluster->size());
  for (std::size_t rank = 0; rank < parts.size(); ++rank) {
    const auto [first, last] = share_of(rank, parts.size(), leaves);
    if (first == last) continue;
    const Task begin = leaf_range(table, first, leaves).begin;
    const Task end = leaf_range(table, last - 1, leaves).end;
    parts[rank] = std::size_t{end - begin} * posterior.classes;
  }
  context.cluster->gather(posterior.values, parts);
}

Convergence::Convergence(const AnnotationTable& table, const FitContext& context, LabelFit& fit)
    : context_(context),
      fit_(fit),
      limit_(static_cast<std::size_t>(context.parameters.number("iterations"))),
      tolerance_(context.parameters.number("tolerance")),
      annotations_(static_cast<double>(table.rows())) {
  fit_.trace.clear();
  fit_.iterations = 0;
  fit_.converged = false;
}

bool Convergence::is_small_rise(double objective) const {
  return !fit_.trace.empty() && (objective - fit_.trace.back()) / annotations_ < tolerance_;
}

bool Convergence::done(double objective, bool has_leapt) {
  check_interrupt();
  fit_.converged = !has_leapt && is_small_rise(objective);
  fit_.trace.push_back(objective);
  ++fit_.iterations;
  if (context_.on_iteration) context_.on_iteration(fit_.iterations, objective);
  return fit_.converged || fit_.iterations >= limit_;
}

ParameterInfo iterations_parameter(double default_value) {
  return {.name = "iterations",
          .kind = ParameterInfo::Kind::integer,
          .doc = "most iterations (--max-iter)",
          .default_value = default_value,
          .low = 1,
          .high = 1e6};
}

ParameterInfo tolerance_parameter(double default_value) {
  return {.name = "tolerance",
          .doc =
              "ends when the objective rises by less than this per annotation (--tolerance); "
              "negative: never",
          .default_value = default_value};
}

std::vector<double> log_of(std::span<const double> probabilities, double floor) {
  std::vector<double> logs(probabilities.size());
  for (std::size_t i = 0; i < logs.size(); ++i) {
    logs[i] = portable_log(std::max(probabilities[i], floor));
  }
  return logs;
}

}  // namespace amalgam::labels::models
