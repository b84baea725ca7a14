#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

// The code words of GGUF's IQ types: groups of 4 or 8 magnitudes (IQ1: values) of which a block
// stores the number. They are facts of the format. Internal to amalgam/tensor.

namespace amalgam {

template <std::size_t kElements, std::size_t kCount>
using IqGrid = std::array<std::array<std::int8_t, kElements>, kCount>;

extern const IqGrid<8, 2048> kIq1Grid;  ///< IQ1_S and IQ1_M
extern const IqGrid<8, 256> kIq2XxsGrid;
extern const IqGrid<8, 512> kIq2XsGrid;
extern const IqGrid<8, 1024> kIq2SGrid;
extern const IqGrid<4, 256> kIq3XxsGrid;
extern const IqGrid<4, 512> kIq3SGrid;

}  // namespace amalgam
