#pragma once

#include <string>

namespace amalgam {

/// Loads a shared library that comes with the program and is not linked, because what it needs
/// would slow every start: from `../lib` beside the folder of the running program, which is right
/// for build trees and installations, from that folder itself, or else from where the system looks.
/// A null pointer if it, or a library that it needs, is not there, and which in `reason`; Error if
/// it cannot be loaded otherwise, as for lack of memory. It is never unloaded.
void* open_companion_library(const std::string& name, std::string& reason);

}  // namespace amalgam
