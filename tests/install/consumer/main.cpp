// A program of someone else's that uses the installed library.
#include <amalgam/checkpoint/memory.hpp>
#include <amalgam/core/error.hpp>
#include <amalgam/weights/rule.hpp>
#include <iostream>

int main() {
  const amalgam::MemorySource source("mine", {amalgam::make_tensor("w", {2}, {1.5, 2.5})});
  std::cout << amalgam::find_merge_rule("linear").info().name << " "
            << amalgam::values_of(source, "w")[1] << "\n";
  try {
    amalgam::find_merge_rule("no such rule");
  } catch (const amalgam::InputError&) {
    return 0;
  }
  return 1;
}
