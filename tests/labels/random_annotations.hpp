#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/labels/annotation_table.hpp"

namespace amalgam::labels {

/// Annotations by workers whose probability of being right is between 0.5 and 0.95, wrong ones
/// being any label; every `votes` of a task by different draws of workers.
struct RandomAnnotations {
  std::size_t tasks = 200;
  std::size_t workers = 20;
  std::size_t classes = 3;
  std::size_t votes = 5;
  std::uint64_t seed = 1;
  std::size_t first_task = 0;    ///< tasks [first_task, first_task + tasks)
  std::size_t first_worker = 0;  ///< workers [first_worker, first_worker + workers)
  std::string_view what = "annotations";

  std::size_t truth(std::size_t task) const { return (task * 7 + task / 3) % classes; }

  AnnotationBuilder builder() const {
    RandomStream random(seed, what);
    AnnotationBuilder builder;
    for (std::size_t k = 0; k < classes; ++k) builder.label(fmt::to_string(k));
    for (std::size_t t = first_task; t < first_task + tasks; ++t) {
      const Task task = builder.task(fmt::format("task{:06}", t));
      for (std::size_t vote = 0; vote < votes; ++vote) {
        const std::size_t w = first_worker + random.below(workers);
        const double skill = 0.5 + 0.45 * static_cast<double>(w % 10) / 9;
        const std::size_t said = random.uniform() < skill ? truth(t) : random.below(classes);
        const Worker worker = builder.worker(fmt::format("worker{:04}", w));
        builder.add(task, worker, builder.label(fmt::to_string(said)));
      }
    }
    return builder;
  }
  AnnotationTable table() const { return builder().finish("annotations"); }
};

}  // namespace amalgam::labels
