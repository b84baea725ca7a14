#include "bench/merge_floor.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/core/parallel.hpp"

namespace amalgam::bench {
namespace {

constexpr std::uint64_t kChunk = 8 << 20;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Chunk {
  std::size_t file;
  std::uint64_t offset;
  std::uint64_t bytes;
};

void add_chunks(std::size_t file, std::uint64_t bytes, std::vector<Chunk>& chunks) {
  for (std::uint64_t offset = 0; offset < bytes; offset += kChunk) {
    chunks.push_back({file, offset, std::min(kChunk, bytes - offset)});
  }
}

}  // namespace

double seconds_of_floor(const std::vector<std::filesystem::path>& inputs,
                        const std::filesystem::path& output, std::uint64_t output_bytes,
                        std::size_t threads) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<File> files;
  std::vector<Chunk> reads;
  for (const auto& path : inputs) {
    files.push_back(File::open(path));
    add_chunks(files.size() - 1, files.back().size(), reads);
  }
  std::vector<Chunk> writes;
  add_chunks(0, output_bytes, writes);
  std::vector<std::vector<std::byte>> buffers(threads, std::vector<std::byte>(kChunk));
  const Parallel parallel{threads, Runner::std_thread};
  File out = File::create(output);
  out.reserve(output_bytes);
  parallel_for(parallel, reads.size(), [&](std::size_t i, std::size_t worker) {
    const Chunk& chunk = reads[i];
    files[chunk.file].read_exactly(chunk.offset, std::span(buffers[worker]).first(chunk.bytes));
  });
  parallel_for(parallel, writes.size(), [&](std::size_t i, std::size_t worker) {
    const Chunk& chunk = writes[i];
    out.write_exactly(chunk.offset, std::span(buffers[worker]).first(chunk.bytes));
    out.start_write_back(chunk.offset, chunk.bytes);
  });
  out.sync();
  const double seconds = seconds_since(start);
  std::filesystem::remove(output);
  return seconds;
}

double seconds_of_memcpy(std::uint64_t bytes, std::size_t repeats, std::size_t threads) {
  std::vector<std::byte> from(bytes, std::byte{1});
  std::vector<std::byte> to(bytes, std::byte{2});
  const std::uint64_t share = bytes / threads;
  const auto start = std::chrono::steady_clock::now();
  parallel_for({threads, Runner::std_thread}, threads, [&](std::size_t i, std::size_t) {
    for (std::size_t r = 0; r < repeats; ++r) {
      std::memcpy(to.data() + i * share, from.data() + i * share, share);
    }
  });
  return seconds_since(start);
}

}  // namespace amalgam::bench
