#include "amalgam/data/image_transforms.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"

namespace amalgam {
namespace {

constexpr int kMostShift = 1000;
constexpr double kMostNoise = 10;

template <class T>
T parse_in_range(const std::string& name, const std::string& text, T low, T high) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() ||
      !(value >= low && value <= high)) {
    throw InputError("corruption '{}={}': expected a number from {} to {}", name, text, low, high);
  }
  return value;
}

}  // namespace

void flip_image(std::span<float> image, const ImageSize& size) {
  for (std::size_t row = 0; row < size.channels * size.rows; ++row) {
    const auto line = image.subspan(row * size.columns, size.columns);
    std::reverse(line.begin(), line.end());
  }
}

void shift_image(std::span<float> image, const ImageSize& size, int rows, int columns) {
  const auto height = static_cast<std::ptrdiff_t>(size.rows);
  const auto width = static_cast<std::ptrdiff_t>(size.columns);
  std::vector<float> plane(size.rows * size.columns);
  for (std::size_t channel = 0; channel < size.channels; ++channel) {
    const auto target = image.subspan(channel * plane.size(), plane.size());
    std::copy(target.begin(), target.end(), plane.begin());
    for (std::ptrdiff_t row = 0; row < height; ++row) {
      for (std::ptrdiff_t column = 0; column < width; ++column) {
        const std::ptrdiff_t from_row = row - rows;
        const std::ptrdiff_t from_column = column - columns;
        const bool inside =
            from_row >= 0 && from_row < height && from_column >= 0 && from_column < width;
        target[static_cast<std::size_t>(row * width + column)] =
            inside ? plane[static_cast<std::size_t>(from_row * width + from_column)] : 0.0F;
      }
    }
  }
}

void add_noise(std::span<float> image, double deviation, RandomStream& random) {
  for (float& value : image) {
    value = std::clamp(static_cast<float>(value + deviation * random.normal()), 0.0F, 1.0F);
  }
}

void augment_image(std::span<float> image, const ImageSize& size, const Augmentation& augmentation,
                   RandomStream& random) {
  if (augmentation.flip && random.below(2) == 1) flip_image(image, size);
  if (augmentation.shift > 0) {
    const auto draw = [&] {
      return static_cast<int>(random.below(2 * std::uint64_t{augmentation.shift} + 1)) -
             static_cast<int>(augmentation.shift);
    };
    const int rows = draw();
    const int columns = draw();
    shift_image(image, size, rows, columns);
  }
  if (augmentation.noise > 0) add_noise(image, augmentation.noise, random);
}

Corruption parse_corruption(std::string_view text) {
  Corruption corruption;
  for (const std::string& part : split(text, ',')) {
    const std::size_t equals = part.find('=');
    const std::string name = part.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : part.substr(equals + 1);
    if (name == "shift") {
      corruption.shift_rows = parse_in_range(name, value, -kMostShift, kMostShift);
      corruption.shift_columns = corruption.shift_rows;
    } else if (name == "noise") {
      corruption.noise = parse_in_range(name, value, 0.0, kMostNoise);
    } else {
      const std::vector<std::string> names{"shift", "noise"};
      throw InputError("no corruption '{}'{}; expected shift=PIXELS and noise=DEVIATION", name,
                       did_you_mean(name, names));
    }
  }
  return corruption;
}

void corrupt_image(std::span<float> image, const ImageSize& size, const Corruption& corruption,
                   std::uint64_t seed, std::size_t index) {
  if (corruption.shift_rows != 0 || corruption.shift_columns != 0) {
    shift_image(image, size, corruption.shift_rows, corruption.shift_columns);
  }
  if (corruption.noise > 0) {
    RandomStream random(seed, fmt::format("corrupt {}", index));
    add_noise(image, corruption.noise, random);
  }
}

}  // namespace amalgam
