#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "amalgam/checkpoint/checksum.hpp"
#include "amalgam/checkpoint/quantisation_error.hpp"
#include "amalgam/weights/engine.hpp"
#include "amalgam/weights/leaves.hpp"

namespace amalgam {

/// Where the bytes that a merge makes go, and what is counted of them. Thread-safe.
class MergeOutput {
 public:
  /// All outlive this.
  MergeOutput(TensorSink& sink, const EngineOptions& options, QuantisationMeter meter)
      : sink_(sink), options_(options), meter_(std::move(meter)) {}

  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) {
    sink_.write(tensor, offset, bytes);
    bytes_written_ += bytes.size();
    if (options_.progress != nullptr) options_.progress->advance(bytes.size());
  }

  QuantisationMeter& meter() { return meter_; }
  const EngineOptions& options() const { return options_; }
  std::uint64_t bytes_written() const { return bytes_written_; }

 private:
  TensorSink& sink_;
  const EngineOptions& options_;
  QuantisationMeter meter_;
  std::atomic<std::uint64_t> bytes_written_{0};
};

/// Hears what is written of one leaf, for the log.
class LeafRecord {
 public:
  explicit LeafRecord(LeafLog* log) : log_(log) {}
  void wrote(std::span<const std::byte> bytes) {
    if (log_ != nullptr) checksum_.add(bytes);
  }
  void done(const OutputLeaf& leaf) const {
    if (log_ != nullptr) log_->made(leaf, checksum_.value());
  }

 private:
  LeafLog* log_;
  Checksum checksum_;
};

}  // namespace amalgam
