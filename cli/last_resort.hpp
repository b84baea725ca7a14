#pragma once

namespace amalgam::cli {

/// The sentence for a lack of memory on stderr, made without any.
void say_out_of_memory() noexcept;

/// From now on, a lack of memory that nothing can catch ends the process with the same sentence and
/// exit code 1 instead of an abort. Destructors and functions that promise not to throw allocate
/// too: those of JSON values flatten what they hold, and listing a folder copies its path. What
/// such an end leaves is what a crash would leave, which a later run deletes or goes on with. Any
/// other exception that nothing catches is a mistake of the program and aborts it as usual.
void end_without_memory_in_one_sentence();

}  // namespace amalgam::cli
