#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace amalgam::bench {

/// What moving the bytes of a merge costs without computing anything: `threads` threads read every
/// input once with plain buffered reads of 8 MiB, and write `output_bytes` once into a file whose
/// space is reserved first and which is fsynced at the end. Returns seconds. The file is removed.
double seconds_of_floor(const std::vector<std::filesystem::path>& inputs,
                        const std::filesystem::path& output, std::uint64_t output_bytes,
                        std::size_t threads);

/// Seconds that `threads` threads need to copy `bytes` between two buffers much larger than the
/// caches, `repeats` times.
double seconds_of_memcpy(std::uint64_t bytes, std::size_t repeats, std::size_t threads);

}  // namespace amalgam::bench
