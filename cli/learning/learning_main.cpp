#include "cli/learning/learning_main.hpp"

#include <malloc.h>

#include <CLI/CLI.hpp>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/learning/tensor_memory.hpp"
#include "cli/learning/commands.hpp"
#include "cli/run.hpp"

namespace {

// Networks make and drop the same large tensors at every step. By default the C library gives such
// memory back to the system at once and gets it zeroed again, which costs up to a third of the
// time.
void keep_freed_memory() {
  constexpr int kMmapLimit = 32 << 20;  // the highest that glibc takes
  constexpr int kKept = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, kMmapLimit);
  mallopt(M_TRIM_THRESHOLD, kKept);
}

}  // namespace

int amalgam_learning_main(int argc, const char* const* argv) {
  using namespace amalgam::cli;
  CLI::App root("Amalgam: networks, training, and merging by data.", "amalgam");
  root.require_subcommand(1);
  register_train(root);
  register_evaluate(root);
  register_fisher(root);
  register_gram(root);
  register_calibrate(root);
  register_learned_merge(root);
  register_learned_label(root);
  register_learned_moe(root);
  register_learned_verify(root);
  register_reproduce(root);
  register_study(root);
  register_report(root);
  keep_freed_memory();
  amalgam::learning::report_lack_of_tensor_memory();
  // The library has its own copy of the flag that signals set.
  amalgam::catch_interrupts();
  return parse_and_run(root, argc, argv);
}
