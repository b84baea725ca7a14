#include <fmt/format.h>

int main() { fmt::print("amalgam {}\n", AMALGAM_VERSION); }
