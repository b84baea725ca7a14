#include "amalgam/data/csv.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <unordered_set>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/input_file.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kFirstBuffer = 1U << 18U;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Behind the buffer's contents: a sentinel and what a word that begins there reaches over.
constexpr std::size_t kPadding = sizeof(std::uint64_t);

// The first separator or line feed from `at` on; there is one, and a word's bytes behind it.
const char* find_field_end(const char* at, char separator) {
  if constexpr (std::endian::native == std::endian::little) {
    // Eight bytes at a time: x - 1 has the high bit where x is 0 and lower bytes are not (Mycroft);
    // the lowest such bit is exact.
    constexpr std::uint64_t kOnes = 0x0101010101010101;
    constexpr std::uint64_t kHighs = 0x8080808080808080;
    const std::uint64_t separators = kOnes * static_cast<unsigned char>(separator);
    while (true) {
      std::uint64_t word = 0;
      std::memcpy(&word, at, sizeof word);
      const std::uint64_t a = word ^ separators;
      const std::uint64_t b = word ^ (kOnes * '\n');
      const std::uint64_t found = (((a - kOnes) & ~a) | ((b - kOnes) & ~b)) & kHighs;
      if (found != 0) return at + std::countr_zero(found) / 8;
      at += sizeof word;
    }
  }
  while (*at != separator && *at != '\n') ++at;
  return at;
}

}  // namespace

CsvReader::CsvReader(Source source, std::string where, CsvOptions options)
    : source_(std::move(source)), where_(std::move(where)), options_(options) {
  buffer_.resize(std::min(kFirstBuffer, options_.longest_record) + kPadding);
  refill();
  const std::string_view contents(buffer_.data(), filled_);
  if (contents.starts_with(kByteOrderMark)) after_ = kByteOrderMark.size();
}

CsvReader CsvReader::open(const std::filesystem::path& path, CsvOptions options,
                          const std::function<void(std::uint64_t)>& on_bytes) {
  auto file =
      std::make_shared<std::ifstream>(open_for_reading(path, "a file of comma-separated values"));
  if (path.extension() == ".tsv" || path.extension() == ".tab") options.separator = '\t';
  const auto read = [file, on_bytes, path](std::span<char> out) -> std::size_t {
    const std::size_t got = read_some(*file, out, path);
    if (on_bytes) on_bytes(got);
    return got;
  };
  return {read, path.string(), options};
}

bool CsvReader::next() {
  line_ = next_line_;
  record_ = after_;
  while (!scan_record()) {
    if (record_ == filled_ && ended_) return false;
    refill();
  }
  undouble_quotes();
  return true;
}

// Moves the record to the buffer's front and reads more behind it; if it fills the buffer, that is
// made twice as long, so that scanning it again costs no more than scanning it once.
void CsvReader::refill() {
  const std::size_t kept = filled_ - record_;
  if (record_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + record_, kept);
  } else if (kept + kPadding == buffer_.size()) {
    if (kept >= options_.longest_record) {
      throw InputError("{}:{}: a record of more than {} bytes; is a quote not closed?", where_,
                       line_, options_.longest_record);
    }
    buffer_.resize(std::min(2 * kept, options_.longest_record) + kPadding);
  }
  record_ = 0;
  filled_ = kept;
  while (!ended_ && filled_ + kPadding < buffer_.size()) {
    const std::size_t got =
        source_(std::span(buffer_).subspan(filled_, buffer_.size() - kPadding - filled_));
    filled_ += got;
    ended_ = got == 0;
  }
}

void CsvReader::skip_empty_lines() {
  while (record_ < filled_) {
    std::size_t length = buffer_[record_] == '\r' ? 1 : 0;
    const std::size_t end = record_ + length;
    const bool line_feed = end < filled_ && buffer_[end] == '\n';
    const bool last = end == filled_ && ended_;
    if (!line_feed && !last) return;
    if (line_feed) ++length;
    record_ += length;
    ++line_;
  }
}

// Finds the fields of the record. False if the buffer ends before the record does.
bool CsvReader::scan_record() {
  skip_empty_lines();
  if (record_ == filled_) return false;
  fields_.clear();
  quoted_.clear();
  buffer_[filled_] = '\n';  // no field without quotes goes beyond it
  const char* const data = buffer_.data();
  const char separator = options_.separator;
  std::size_t at = record_;
  while (true) {
    if (fields_.size() == options_.most_fields) {
      throw InputError("{}: more than {} fields", place_at(at), options_.most_fields);
    }
    if (data[at] == '"') {
      if (!scan_quoted(at)) return false;
    } else {
      const char* const begin = data + at;
      const char* const end = find_field_end(begin, separator);
      fields_.emplace_back(begin, static_cast<std::size_t>(end - begin));
      at = static_cast<std::size_t>(end - data);
    }
    if (data[at] != separator) break;
    ++at;
  }
  if (at == filled_ && !ended_) return false;
  std::string_view& last = fields_.back();
  const bool is_quoted = !quoted_.empty() && quoted_.back().field + 1 == fields_.size();
  if (!is_quoted && last.ends_with('\r')) last.remove_suffix(1);
  after_ = std::min(at + 1, filled_);
  next_line_ = line_ + 1;
  for (const Quoted& one : quoted_) {
    next_line_ += static_cast<std::uint64_t>(std::count(data + one.begin, data + one.end, '\n'));
  }
  return true;
}

// Scans the quoted field that begins at `at`, and moves `at` to what ends it: a separator, a line
// feed or the end. False if the buffer ends before that is known.
bool CsvReader::scan_quoted(std::size_t& at) {
  const char* const data = buffer_.data();
  Quoted& field = quoted_.emplace_back();
  field.field = fields_.size();
  field.begin = at;
  std::size_t from = at + 1;
  while (true) {
    const void* found = std::memchr(data + from, '"', filled_ - from);
    if (found == nullptr) {
      if (!ended_) return false;
      throw InputError("{}: a quoted field begins here and is not closed", place_at(field.begin));
    }
    at = static_cast<std::size_t>(static_cast<const char*>(found) - data) + 1;
    if (data[at] != '"') break;  // at the end that is the sentinel
    field.doubled = true;
    from = at + 1;
  }
  field.end = at;
  fields_.emplace_back(data + field.begin + 1, field.end - field.begin - 2);
  if (data[at] == '\r' && data[at + 1] == '\n') ++at;
  if (at == filled_) return ended_;
  if (data[at] == options_.separator || data[at] == '\n') return true;
  throw InputError(
      "{}: '{}' after the closing quote of a field; expected a separator or the line's end, or the"
      " quote doubled if it belongs to the text",
      place_at(at), printable(std::string_view(data + at, 1)));
}

void CsvReader::undouble_quotes() {
  unescaped_.clear();
  for (const Quoted& field : quoted_) {
    if (!field.doubled) continue;
    // All of the record fits, so that the text never moves.
    unescaped_.reserve(after_ - record_);
    const std::string_view inside = fields_[field.field];
    const std::size_t begin = unescaped_.size();
    for (std::size_t i = 0; i < inside.size(); ++i) {
      unescaped_ += inside[i];
      if (inside[i] == '"') ++i;
    }
    fields_[field.field] = std::string_view(unescaped_).substr(begin);
  }
}

std::string CsvReader::place(std::size_t field) const {
  for (const Quoted& one : quoted_) {
    if (one.field == field) return place_at(one.begin);
  }
  if (field >= fields_.size()) return place_at(record_);
  return place_at(static_cast<std::size_t>(fields_[field].data() - buffer_.data()));
}

std::string CsvReader::place_at(std::size_t offset) const {
  const std::string_view before(buffer_.data() + record_, offset - record_);
  const auto breaks = static_cast<std::uint64_t>(std::count(before.begin(), before.end(), '\n'));
  const std::size_t last = before.rfind('\n');
  const std::size_t column =
      last == std::string_view::npos ? before.size() : before.size() - last - 1;
  return fmt::format("{}:{}:{}", where_, line_ + breaks, column + 1);
}

std::vector<std::string> read_csv_header(CsvReader& reader) {
  if (!reader.next()) {
    throw InputError("{}: empty; expected a first line with the names of the columns",
                     reader.where());
  }
  std::vector<std::string> names;
  std::unordered_set<std::string> known;
  for (std::size_t i = 0; i < reader.fields().size(); ++i) {
    std::string name(reader.fields()[i]);
    if (name.empty() || !is_utf8(name)) {
      throw InputError("{}: column {} has {}; expected the names of the columns on the first line",
                       reader.place(i), i + 1,
                       name.empty() ? "no name" : "a name that is not UTF-8");
    }
    if (!known.insert(name).second) {
      throw InputError("{}: a second column '{}'; expected different names", reader.place(i),
                       printable(name));
    }
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace amalgam
