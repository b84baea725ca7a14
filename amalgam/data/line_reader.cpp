#include "amalgam/data/line_reader.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "amalgam/core/error.hpp"

namespace amalgam {

LineReader::LineReader(const std::filesystem::path& path, std::size_t longest_line)
    : path_(path), longest_(longest_line), file_(path, std::ios::binary), buffer_(1U << 16U) {
  std::error_code ignored;
  if (!file_ || std::filesystem::is_directory(path, ignored)) {
    throw InputError("{}: cannot be opened for reading; expected a text file", path.string());
  }
}

bool LineReader::next() {
  line_.clear();
  bool any = false;
  while (true) {
    if (at_ == filled_) {
      file_.read(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
      filled_ = static_cast<std::size_t>(file_.gcount());
      at_ = 0;
      if (filled_ == 0) {
        if (any) ++number_;
        break;
      }
    }
    any = true;
    const char* const begin = buffer_.data() + at_;
    const char* const end = buffer_.data() + filled_;
    const char* const feed = std::find(begin, end, '\n');
    line_.append(begin, feed);
    at_ += static_cast<std::size_t>(feed - begin);
    if (line_.size() > longest_) {
      throw InputError("{}:{}: the line is longer than {} bytes", path_.string(), number_ + 1,
                       longest_);
    }
    if (feed == end) continue;
    ++at_;
    ++number_;
    break;
  }
  if (!line_.empty() && line_.back() == '\r') line_.pop_back();
  return any;
}

std::string LineReader::place() const { return fmt::format("{}:{}", path_.string(), number_); }

}  // namespace amalgam
