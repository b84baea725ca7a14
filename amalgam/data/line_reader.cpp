#include "amalgam/data/line_reader.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/data/input_file.hpp"

namespace amalgam {

LineReader::LineReader(const std::filesystem::path& path, std::size_t longest_line)
    : path_(path),
      longest_(longest_line),
      file_(open_for_reading(path, "a text file")),
      buffer_(1U << 16U) {}

bool LineReader::next() {
  line_.clear();
  bool any = false;
  while (true) {
    if (at_ == filled_) {
      filled_ = read_some(file_, buffer_, path_);
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
