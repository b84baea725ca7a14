#include "amalgam/data/text_output.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>

#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/system_failure.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 20U;

// strerror is only unsafe for unknown numbers.
std::string reason() { return std::strerror(errno); }  // NOLINT(concurrency-mt-unsafe)

[[noreturn]] void fail_to_open(const std::filesystem::path& path) {
  const int error = errno;
  throw_system_error(error, fmt::format("{}: cannot be written: {}", path.string(), reason()));
}

}  // namespace

TextOutput::TextOutput(const std::filesystem::path& path) : path_(path) {
  if (path == "-") {
    in_place_ = true;
    descriptor_ = STDOUT_FILENO;
    return;
  }
  std::error_code ignored;
  if (path.filename().empty() || names_folder(path)) {
    throw InputError("{}: it is a folder; expected the name of a file to write", path.string());
  }
  if (path_exists(path) && !names_file(path)) {
    // A pipe or a device is written to, not replaced.
    descriptor_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail_to_open(path);
    in_place_ = true;
    return;
  }
  // What a link leads to is replaced, not the link.
  if (std::filesystem::is_symlink(path, ignored)) path_ = std::filesystem::canonical(path);
  partial_ =
      path_.parent_path() / fmt::format(".{}.{}.partial", path_.filename().string(), getpid());
  descriptor_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_to_open(path);
}

TextOutput::~TextOutput() {
  if (descriptor_ < 0 || descriptor_ == STDOUT_FILENO) return;
  ::close(descriptor_);
  if (!in_place_) ::unlink(partial_.c_str());
}

void TextOutput::write(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() >= kBuffer) flush();
}

void TextOutput::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw Error("{}: cannot be written: {}", path_.string(), reason());
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  buffer_.clear();
}

void TextOutput::commit() {
  flush();
  if (in_place_) return;
  const bool synced = ::fsync(descriptor_) == 0;
  const std::string sync_reason = synced ? std::string() : reason();
  ::close(descriptor_);
  descriptor_ = -1;
  if (!synced) {
    ::unlink(partial_.c_str());
    throw Error("{}: cannot be written: {}", path_.string(), sync_reason);
  }
  if (::rename(partial_.c_str(), path_.c_str()) != 0) {
    const std::string rename_reason = reason();
    ::unlink(partial_.c_str());
    throw Error("{}: cannot be written: {}", path_.string(), rename_reason);
  }
}

void append_csv_field(std::string& line, std::string_view field, char separator) {
  const bool plain = field.empty() || (field.front() != ' ' && field.back() != ' ' &&
                                       field.find(separator) == std::string_view::npos &&
                                       field.find_first_of("\"\n\r") == std::string_view::npos);
  if (plain) {
    line += field;
    return;
  }
  line += '"';
  for (const char c : field) {
    if (c == '"') line += '"';
    line += c;
  }
  line += '"';
}

void append_number(std::string& line, double value) {
  fmt::format_to(std::back_inserter(line), "{}", value);
}

}  // namespace amalgam
