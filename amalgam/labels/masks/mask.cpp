#include "amalgam/labels/masks/mask.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/npy.hpp"

namespace amalgam::labels {
namespace {

constexpr std::uint64_t kMostPixels = std::uint64_t{1} << 28U;

std::uint64_t whole_number(std::string_view text, std::string_view place) {
  std::uint64_t value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (text.empty() || error != std::errc{} || end != last || value > kMostPixels) {
    throw InputError("{}: '{}' in a mask; expected a whole number of at most {}", place,
                     printable(text), kMostPixels);
  }
  return value;
}

void check_size(std::uint64_t rows, std::uint64_t columns, std::string_view place) {
  if (rows == 0 || columns == 0 || rows > kMostPixels / columns) {
    throw InputError("{}: a mask of {} times {} pixels; expected between 1 and {} in all", place,
                     rows, columns, kMostPixels);
  }
}

// Reads a mask's size, and calls run(pixels) for each run.
template <class Run>
MaskSize read_runs(std::string_view text, std::string_view place, const Run& run) {
  const std::size_t colon = text.find(':');
  const std::size_t cross = text.find('x');
  if (colon == std::string_view::npos || cross == std::string_view::npos || cross > colon) {
    throw InputError("{}: the mask is '{}'; expected ROWSxCOLUMNS:RUNS, such as 2x3:1,2,3", place,
                     printable(text, 40));
  }
  MaskSize size;
  size.rows = whole_number(text.substr(0, cross), place);
  size.columns = whole_number(text.substr(cross + 1, colon - cross - 1), place);
  check_size(size.rows, size.columns, place);
  const std::uint64_t pixels = size.rows * size.columns;
  std::uint64_t left = pixels;
  for (std::size_t begin = colon + 1, end = colon; end != text.size(); begin = end + 1) {
    end = std::min(text.find(',', begin), text.size());
    const std::uint64_t length = whole_number(text.substr(begin, end - begin), place);
    if (length > left) {
      throw InputError("{}: the mask's runs are longer than its {} pixels", place, pixels);
    }
    left -= length;
    run(length);
  }
  if (left > 0) {
    throw InputError("{}: the mask's runs have {} pixels; expected {} times {}", place,
                     pixels - left, size.rows, size.columns);
  }
  return size;
}

}  // namespace

Mask parse_mask(std::string_view text, std::string_view place) {
  std::vector<std::uint64_t> runs;
  const MaskSize size =
      read_runs(text, place, [&](std::uint64_t length) { runs.push_back(length); });
  Mask mask{size.rows, size.columns, {}};
  mask.pixels.reserve(size.rows * size.columns);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    mask.pixels.insert(mask.pixels.end(), runs[i], static_cast<std::uint8_t>(i % 2));
  }
  return mask;
}

MaskSize mask_size(std::string_view text, std::string_view place) {
  return read_runs(text, place, [](std::uint64_t /*length*/) {});
}

std::string mask_text(const Mask& mask) {
  std::string text = fmt::format("{}x{}:", mask.rows, mask.columns);
  std::uint8_t value = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= mask.pixels.size(); ++i) {
    if (i < mask.pixels.size() && mask.pixels[i] == value) continue;
    if (text.back() != ':') text += ',';
    text += fmt::to_string(i - begin);
    begin = i;
    value = value == 0 ? 1 : 0;
  }
  return text;
}

Mask read_npy_mask(const std::filesystem::path& path) {
  NpyReader reader = NpyReader::open(path);
  const NpyHeader& header = reader.header();
  if (header.shape.size() != 2) {
    throw InputError("{}: an array of {} dimensions; expected rows and columns", path.string(),
                     header.shape.size());
  }
  check_size(header.shape[0], header.shape[1], path.string());
  Mask mask{header.shape[0], header.shape[1], {}};
  mask.pixels.resize(mask.rows * mask.columns);
  std::vector<double> values(65'536);
  std::size_t at = 0;
  while (const std::size_t count = reader.read(values)) {
    for (std::size_t i = 0; i < count; ++i, ++at) {
      if (values[i] != 0 && values[i] != 1) {
        throw InputError("{}: element {} is {}; expected 0 or 1", path.string(), at, values[i]);
      }
      const std::size_t pixel =
          header.column_major ? at % mask.rows * mask.columns + at / mask.rows : at;
      mask.pixels[pixel] = values[i] != 0 ? 1 : 0;
    }
  }
  return mask;
}

}  // namespace amalgam::labels
