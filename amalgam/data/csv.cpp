#include "amalgam/data/csv.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <memory>
#include <unordered_set>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kFirstBuffer = 1U << 18U;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

CsvReader::CsvReader(Source source, std::string where, CsvOptions options)
    : source_(std::move(source)), where_(std::move(where)), options_(options) {
  buffer_.resize(std::min(kFirstBuffer, options_.longest_record) + 1);
  refill();
  const std::string_view contents(buffer_.data(), filled_);
  if (contents.starts_with(kByteOrderMark)) after_ = kByteOrderMark.size();
}

CsvReader CsvReader::open(const std::filesystem::path& path, CsvOptions options) {
  std::error_code ignored;
  auto file = std::make_shared<std::ifstream>(path, std::ios::binary);
  if (!*file || std::filesystem::is_directory(path, ignored)) {
    throw InputError("{}: cannot be opened for reading; expected a file of comma-separated values",
                     path.string());
  }
  if (path.extension() == ".tsv" || path.extension() == ".tab") options.separator = '\t';
  const auto read = [file, where = path.string()](std::span<char> out) -> std::size_t {
    file->read(out.data(), static_cast<std::streamsize>(out.size()));
    if (file->bad()) throw Error("{}: cannot be read to its end", where);
    return static_cast<std::size_t>(file->gcount());
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
  make_fields();
  return true;
}

// Moves the record to the buffer's front and reads more behind it; if it fills the buffer, that is
// made twice as long, so that scanning it again costs no more than scanning it once.
void CsvReader::refill() {
  const std::size_t kept = filled_ - record_;
  if (record_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + record_, kept);
  } else if (kept + 1 == buffer_.size()) {
    if (kept >= options_.longest_record) {
      throw InputError("{}:{}: a record of more than {} bytes; is a quote not closed?", where_,
                       line_, options_.longest_record);
    }
    buffer_.resize(std::min(2 * kept, options_.longest_record) + 1);
  }
  record_ = 0;
  filled_ = kept;
  while (!ended_ && filled_ + 1 < buffer_.size()) {
    const std::size_t got =
        source_(std::span(buffer_).subspan(filled_, buffer_.size() - 1 - filled_));
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
  raw_.clear();
  buffer_[filled_] = '\n';  // no field without quotes goes beyond it
  const char* const data = buffer_.data();
  const char separator = options_.separator;
  std::size_t at = record_;
  while (true) {
    if (raw_.size() == options_.most_fields) {
      throw InputError("{}: more than {} fields", place_at(at), options_.most_fields);
    }
    RawField& field = raw_.emplace_back();
    field.begin = at;
    if (at < filled_ && data[at] == '"') {
      if (!scan_quoted(field, at)) return false;
    } else {
      while (data[at] != separator && data[at] != '\n') ++at;
      field.end = at;
    }
    if (at < filled_ && data[at] == separator) {
      ++at;
      continue;
    }
    if (at == filled_ && !ended_) return false;
    if (!field.quoted && field.end > field.begin && data[field.end - 1] == '\r') --field.end;
    after_ = std::min(at + 1, filled_);
    next_line_ = line_ + 1;
    for (const RawField& one : raw_) {
      if (!one.quoted) continue;
      next_line_ += static_cast<std::uint64_t>(std::count(data + one.begin, data + one.end, '\n'));
    }
    return true;
  }
}

// Scans the quoted field that begins at `at`, and moves `at` to what ends it: a separator, a line
// feed or the end. False if the buffer ends before that is known.
bool CsvReader::scan_quoted(RawField& field, std::size_t& at) {
  const char* const data = buffer_.data();
  field.quoted = true;
  std::size_t from = field.begin + 1;
  while (true) {
    const void* found = std::memchr(data + from, '"', filled_ - from);
    if (found == nullptr) {
      if (!ended_) return false;
      throw InputError("{}: a quoted field begins here and is not closed", place_at(field.begin));
    }
    at = static_cast<std::size_t>(static_cast<const char*>(found) - data) + 1;
    if (at == filled_) break;
    if (data[at] != '"') break;
    field.doubled = true;
    from = at + 1;
  }
  field.end = at;
  if (at < filled_ && data[at] == '\r' && (at + 1 == filled_ || data[at + 1] == '\n')) ++at;
  if (at == filled_) return ended_;
  if (data[at] == options_.separator || data[at] == '\n') return true;
  throw InputError(
      "{}: '{}' after the closing quote of a field; expected a separator or the line's end, or the"
      " quote doubled if it belongs to the text",
      place_at(at), printable(std::string_view(data + at, 1)));
}

void CsvReader::make_fields() {
  fields_.clear();
  unescaped_.clear();
  const char* const data = buffer_.data();
  for (const RawField& field : raw_) {
    if (!field.quoted) {
      fields_.emplace_back(data + field.begin, field.end - field.begin);
      continue;
    }
    const std::string_view inside(data + field.begin + 1, field.end - field.begin - 2);
    if (!field.doubled) {
      fields_.push_back(inside);
      continue;
    }
    // All of the record fits, so that the text never moves.
    unescaped_.reserve(after_ - record_);
    const std::size_t begin = unescaped_.size();
    for (std::size_t i = 0; i < inside.size(); ++i) {
      unescaped_ += inside[i];
      if (inside[i] == '"') ++i;
    }
    fields_.emplace_back(unescaped_.data() + begin, unescaped_.size() - begin);
  }
}

std::string CsvReader::place(std::size_t field) const {
  return place_at(field < raw_.size() ? raw_[field].begin : record_);
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
