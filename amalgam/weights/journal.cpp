#include "amalgam/weights/journal.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "amalgam/checkpoint/checksum.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/folder_entries.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr std::string_view kMagic = "AMALGAMJ";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kFixedBytes = 16;  // magic, version, length
constexpr std::size_t kRecordBytes = 32;
constexpr std::uint32_t kLongestIdentity = 64'000'000;
constexpr std::uint64_t kReadBytes = 1 << 18;

template <class T>
void put(std::vector<std::byte>& out, T value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof(T));
}

template <class T>
T number_at(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

std::vector<std::byte> beginning_of(const ordered_json& identity) {
  const std::string text = identity.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  if (text.size() > kLongestIdentity) throw Error("journal: the recipe is too long");
  std::vector<std::byte> bytes;
  const auto magic = std::as_bytes(std::span(kMagic));
  bytes.assign(magic.begin(), magic.end());
  put(bytes, kVersion);
  put(bytes, static_cast<std::uint32_t>(text.size()));
  const auto content = std::as_bytes(std::span(text));
  bytes.insert(bytes.end(), content.begin(), content.end());
  put(bytes, checksum_of(bytes));
  return bytes;
}

// The identity at the beginning of a journal, and where its records start.
struct Beginning {
  ordered_json identity;
  std::uint64_t bytes = 0;
};

std::optional<Beginning> read_beginning(const File& file) {
  std::vector<std::byte> bytes(kFixedBytes);
  if (file.size() < bytes.size()) return std::nullopt;
  file.read_exactly(0, bytes);
  if (std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) return std::nullopt;
  if (number_at<std::uint32_t>(bytes, kMagic.size()) != kVersion) return std::nullopt;
  const auto length = number_at<std::uint32_t>(bytes, kMagic.size() + sizeof(kVersion));
  const std::uint64_t whole = kFixedBytes + length;
  if (length > kLongestIdentity || file.size() < whole + sizeof(std::uint64_t)) return std::nullopt;
  bytes.resize(whole + sizeof(std::uint64_t));
  file.read_exactly(0, bytes);
  const std::span<const std::byte> checked = std::span(bytes).first(whole);
  if (checksum_of(checked) != number_at<std::uint64_t>(bytes, whole)) return std::nullopt;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kFixedBytes, length);
  ordered_json identity = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!identity.is_object()) return std::nullopt;  // made to deceive: the checksum is right
  return Beginning{std::move(identity), bytes.size()};
}

}  // namespace

std::vector<fs::path> journal_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : folder_entries(folder)) {
    if (entry.path().stem() == "journal" && entry.is_regular_file()) files.push_back(entry.path());
  }
  return files;
}

std::optional<FinishedWork> FinishedWork::read(const fs::path& folder) {
  FinishedWork work;
  for (const fs::path& path : journal_files(folder)) {
    const File file = File::open(path);
    const std::optional<Beginning> beginning = read_beginning(file);
    if (!beginning) continue;
    if (work.identity_ != nullptr && *work.identity_ != beginning->identity) {
      throw InputError("{}: is the journal of another merge than the one beside it; delete {}",
                       path.string(), folder.string());
    }
    work.identity_ = std::make_shared<const ordered_json>(beginning->identity);
    std::vector<std::byte> bytes(kReadBytes);
    for (std::uint64_t at = beginning->bytes; at + kRecordBytes <= file.size();) {
      const std::uint64_t whole = (file.size() - at) / kRecordBytes * kRecordBytes;
      const auto part = std::span(bytes).first(std::min<std::uint64_t>(bytes.size(), whole));
      file.read_exactly(at, part);
      at += part.size();
      for (std::size_t i = 0; i < part.size(); i += kRecordBytes) {
        const std::span<const std::byte> record = part.subspan(i, kRecordBytes);
        if (checksum_of(record.first(24)) != number_at<std::uint64_t>(record, 24)) continue;
        work.checksums_.push_back(
            {number_at<std::uint32_t>(record, 0), number_at<std::uint32_t>(record, 4),
             number_at<std::uint64_t>(record, 8), number_at<std::uint64_t>(record, 16)});
      }
    }
  }
  if (work.identity_ == nullptr) return std::nullopt;
  std::stable_sort(work.checksums_.begin(), work.checksums_.end(),
                   [](const Record& a, const Record& b) { return a.key() < b.key(); });
  return work;
}

const ordered_json& FinishedWork::identity() const { return *identity_; }

std::optional<std::uint64_t> FinishedWork::find(std::uint32_t stage, const OutputLeaf& leaf) const {
  const Record wanted{stage, static_cast<std::uint32_t>(leaf.tensor), leaf.number, 0};
  const auto after =
      std::upper_bound(checksums_.begin(), checksums_.end(), wanted,
                       [](const Record& a, const Record& b) { return a.key() < b.key(); });
  if (after == checksums_.begin() || (after - 1)->key() != wanted.key()) return std::nullopt;
  return (after - 1)->checksum;
}

MergeJournal::MergeJournal(const fs::path& folder, std::size_t rank, const ordered_json& identity)
    : file_(File::update(folder / fmt::format("journal.{}", rank))) {
  const std::optional<Beginning> there = read_beginning(file_);
  if (there) {
    end_ = there->bytes + (file_.size() - there->bytes) / kRecordBytes * kRecordBytes;
    return;
  }
  const std::vector<std::byte> beginning = beginning_of(identity);
  file_.reserve(0);
  file_.write_exactly(0, beginning);
  end_ = beginning.size();
}

void MergeJournal::record(std::uint32_t stage, const OutputLeaf& leaf, std::uint64_t checksum) {
  std::vector<std::byte> bytes;
  bytes.reserve(kRecordBytes);
  put(bytes, stage);
  put(bytes, static_cast<std::uint32_t>(leaf.tensor));
  put(bytes, leaf.number);
  put(bytes, checksum);
  put(bytes, checksum_of(bytes));
  file_.write_exactly(end_.fetch_add(kRecordBytes, std::memory_order_relaxed), bytes);
}

bool JournalLog::wants(const OutputLeaf& leaf) {
  if (finished_ == nullptr) return true;
  const std::optional<std::uint64_t> recorded = finished_->find(stage_, leaf);
  if (!recorded) return true;
  Checksum found;
  std::vector<std::byte> bytes(std::min(leaf.bytes, kReadBytes));
  for (std::uint64_t at = 0; at < leaf.bytes; at += bytes.size()) {
    const auto part =
        std::span(bytes).first(std::min<std::uint64_t>(bytes.size(), leaf.bytes - at));
    sink_.read(leaf.tensor, leaf.offset + at, part);
    found.add(part);
  }
  if (found.value() != *recorded) return true;
  bytes_kept_ += leaf.bytes;
  return false;
}

void JournalLog::made(const OutputLeaf& leaf, std::uint64_t checksum) {
  journal_.record(stage_, leaf, checksum);
}

}  // namespace amalgam
