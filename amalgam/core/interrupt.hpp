#pragma once

namespace amalgam {

/// From now on SIGINT and SIGTERM set a flag instead of ending the process at once; a second signal
/// ends it the usual way. Called by the command line, never by the library.
void catch_interrupts();

/// Whether a signal has come. Long loops ask and throw Interrupted.
bool interrupt_requested();

/// Throws Interrupted if a signal has come.
void check_interrupt();

/// Sets or clears the flag (for tests and for embedding programs).
void set_interrupt(bool on);

}  // namespace amalgam
