#include "amalgam/core/interrupt.hpp"

#include <atomic>
#include <csignal>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

std::atomic<bool> requested{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int) { requested.store(true, std::memory_order_relaxed); }

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  // One flag, then the default action again: a second signal ends a process that does not listen.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupt_requested() { return requested.load(std::memory_order_relaxed); }

void check_interrupt() {
  if (interrupt_requested()) throw Interrupted();
}

void set_interrupt(bool on) { requested.store(on, std::memory_order_relaxed); }

}  // namespace amalgam
