#include "amalgam/labels/masks/mask.hpp"

#include <fmt/format.h>

#include <charconv>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
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

}  // namespace

Mask parse_mask(std::string_view text, std::string_view place) {
  const std::size_t colon = text.find(':');
  const std::size_t cross = text.find('x');
  if (colon == std::string_view::npos || cross == std::string_view::npos || cross > colon) {
    throw InputError("{}: the mask is '{}'; expected ROWSxCOLUMNS:RUNS, such as 2x3:1,2,3", place,
                     printable(text, 40));
  }
  Mask mask;
  mask.rows = whole_number(text.substr(0, cross), place);
  mask.columns = whole_number(text.substr(cross + 1, colon - cross - 1), place);
  check_size(mask.rows, mask.columns, place);
  const std::uint64_t pixels = mask.rows * mask.columns;
  std::vector<std::uint64_t> runs;
  std::uint64_t left = pixels;
  for (const std::string& run : split(text.substr(colon + 1), ',')) {
    runs.push_back(whole_number(run, place));
    if (runs.back() > left) {
      throw InputError("{}: the mask's runs are longer than its {} pixels", place, pixels);
    }
    left -= runs.back();
  }
  if (left > 0) {
    throw InputError("{}: the mask's runs have {} pixels; expected {} times {}", place,
                     pixels - left, mask.rows, mask.columns);
  }
  mask.pixels.reserve(pixels);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    mask.pixels.insert(mask.pixels.end(), runs[i], static_cast<std::uint8_t>(i % 2));
  }
  return mask;
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
