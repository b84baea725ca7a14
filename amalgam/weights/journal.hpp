#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <tuple>
#include <vector>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/sink.hpp"
#include "amalgam/weights/leaves.hpp"

namespace amalgam {

/// What the journals of an unfinished merge say. Every process of a merge has a journal of its own,
/// `journal.RANK` in the partial folder:
///
///     "AMALGAMJ", 1 as u32, length of the identity as u32, the identity (JSON),
///     checksum of all these bytes as u64
///     records of 32 bytes: stage u32, tensor u32, leaf u64, checksum of the leaf's bytes u64,
///     checksum of these 24 bytes u64
///
/// Numbers are little-endian, checksums XXH3 (checkpoint/checksum.hpp). A record is written when
/// its leaf's bytes have been; nothing is flushed: what a power failure loses of either is found
/// when the leaf is read again, which is done before it counts as made.
class FinishedWork {
 public:
  /// Reads all journals in `folder`. A record that is torn or damaged, as the last one may be, is
  /// left out, as is a journal without a whole beginning. Nothing if no journal has one, or none is
  /// there. InputError naming journals of different merges.
  static std::optional<FinishedWork> read(const std::filesystem::path& folder);

  /// The identity of the merge, as its journal was given it.
  const nlohmann::ordered_json& identity() const;
  /// Leaves recorded, of all stages.
  std::uint64_t size() const { return checksums_.size(); }
  /// The checksum recorded for a leaf; nothing if it is not recorded.
  std::optional<std::uint64_t> find(std::uint32_t stage, const OutputLeaf& leaf) const;

 private:
  friend class MergeJournal;
  struct Record {
    std::uint32_t stage = 0;
    std::uint32_t tensor = 0;
    std::uint64_t leaf = 0;
    std::uint64_t checksum = 0;
    auto key() const { return std::tie(stage, tensor, leaf); }
  };
  std::shared_ptr<const nlohmann::ordered_json> identity_;
  std::vector<Record> checksums_;  // sorted by key, the last of equal ones counts
};

/// The journal that a process writes. Thread-safe.
class MergeJournal {
 public:
  /// Begins `journal.RANK` in `folder`, or goes on with what is there (whose identity is the same).
  MergeJournal(const std::filesystem::path& folder, std::size_t rank,
               const nlohmann::ordered_json& identity);

  /// Records a leaf of a stage whose bytes have been written.
  void record(std::uint32_t stage, const OutputLeaf& leaf, std::uint64_t checksum);

 private:
  File file_;
  std::atomic<std::uint64_t> end_;
};

/// The journals in a folder.
std::vector<std::filesystem::path> journal_files(const std::filesystem::path& folder);

/// Leaves that an unfinished run made are left out if their bytes in `sink` still have the recorded
/// checksum; those that are made are recorded.
class JournalLog final : public LeafLog {
 public:
  /// `finished` may be null. All of them outlive this.
  JournalLog(MergeJournal& journal, const FinishedWork* finished, std::uint32_t stage,
             const FileSink& sink)
      : journal_(journal), finished_(finished), stage_(stage), sink_(sink) {}

  bool wants(const OutputLeaf& leaf) override;
  void made(const OutputLeaf& leaf, std::uint64_t checksum) override;

  std::uint64_t bytes_kept() const { return bytes_kept_; }

 private:
  MergeJournal& journal_;
  const FinishedWork* finished_;
  const std::uint32_t stage_;
  const FileSink& sink_;
  std::atomic<std::uint64_t> bytes_kept_{0};
};

}  // namespace amalgam
