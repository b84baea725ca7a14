#!/usr/bin/env python3
"""Prints the tables of amalgam/tensor/iq_grids.cpp: the code words of GGUF's IQ types, from the Python package `gguf`.

python3 scripts/make_iq_grids.py > amalgam/tensor/iq_grids.cpp
"""

import numpy
from gguf import quants

HEAD = """// Made by scripts/make_iq_grids.py.

#include "amalgam/tensor/iq_grids.hpp"

#include <cstddef>

namespace amalgam {
namespace {

// Code words in as many bits as they need: element j is the symbol in bits j * kBits and up.
template <std::size_t kElements, int kBits, std::size_t kCount, std::size_t kSymbols>
constexpr IqGrid<kElements, kCount> expand(const std::array<std::uint16_t, kCount>& words,
                                           const std::array<std::int8_t, kSymbols>& symbols) {
  static_assert(kSymbols <= std::size_t{1} << kBits);
  IqGrid<kElements, kCount> grid{};
  for (std::size_t i = 0; i < kCount; ++i) {
    for (std::size_t j = 0; j < kElements; ++j) {
      grid.at(i).at(j) = symbols.at((words.at(i) >> (kBits * j)) & ((1U << kBits) - 1));
    }
  }
  return grid;
}
"""

GRIDS = [("Iq1", quants.IQ1_S), ("Iq2Xxs", quants.IQ2_XXS), ("Iq2Xs", quants.IQ2_XS), ("Iq2S", quants.IQ2_S),
         ("Iq3Xxs", quants.IQ3_XXS), ("Iq3S", quants.IQ3_S)]


def words(kind):
    """The code words of one type, packed, and the bits of an element."""
    kind.init_grid()
    symbols = {value: number for number, value in enumerate(kind.grid_map)}
    bits = max(1, (len(symbols) - 1).bit_length())
    grid = numpy.asarray(kind.grid).reshape(kind.grid_shape)
    return [sum(symbols[int(value)] << (bits * place) for place, value in enumerate(row)) for row in grid], bits


def table(name, kind):
    numbers, _ = words(kind)
    print(f"\nconstexpr std::array<std::uint16_t, {len(numbers)}> k{name}Words = {{")
    for first in range(0, len(numbers), 12):
        print("    " + " ".join(f"0x{number:04X}," for number in numbers[first:first + 12]))
    print("};")


def main():
    print(HEAD, end="")
    for name, kind in GRIDS:
        table(name, kind)
    print("\n}  // namespace\n")
    for name, kind in GRIDS:
        numbers, bits = words(kind)
        elements = kind.grid_shape[1]
        symbols = ", ".join(str(value) for value in kind.grid_map)
        print(f"constinit const IqGrid<{elements}, {len(numbers)}> k{name}Grid =\n    expand<{elements}, {bits}>("
              f"k{name}Words, std::array<std::int8_t, {len(kind.grid_map)}>{{{symbols}}});")
    print("\n}  // namespace amalgam")


if __name__ == "__main__":
    main()
