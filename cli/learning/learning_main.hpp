#pragma once

/// The one entry point of libamalgam_learning.so: carries out a whole command line (its first word
/// being the program's name) and returns the exit code. No exception passes.
extern "C" __attribute__((visibility("default"))) int amalgam_learning_main(
    int argc, const char* const* argv);
