#include "amalgam/data/corruption.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/data/jpeg.hpp"

namespace amalgam {
namespace {

using Kind = CorruptionStep::Kind;

struct KnownStep {
  std::string_view name;
  Kind kind;
  bool takes_amount;
  double low = 0;
  double high = 0;
  bool whole = false;
};
constexpr std::array kSteps{
    KnownStep{"shift", Kind::shift, true, -1000, 1000, true},
    KnownStep{"noise", Kind::noise, true, 0, 10},
    KnownStep{"impulse", Kind::impulse, true, 0, 1},
    KnownStep{"rotate", Kind::rotate, true, -360, 360},
    KnownStep{"blur", Kind::blur, true, 0.01, 100},
    KnownStep{"motion", Kind::motion, true, 1, 1000, true},
    KnownStep{"pixelate", Kind::pixelate, true, 1, 1000, true},
    KnownStep{"jpeg", Kind::jpeg, true, 1, 100, true},
    KnownStep{"spatter", Kind::spatter, true, 0, 1},
    KnownStep{"contrast", Kind::contrast, true, 0, 100},
    KnownStep{"invert", Kind::invert, false},
    KnownStep{"transpose", Kind::transpose, false},
    KnownStep{"swap", Kind::swap, false},
    KnownStep{"keep", Kind::keep, true},
    KnownStep{"pool", Kind::pool, true, 1, 1000, true},
};

CorruptionStep parse_step(std::string_view part) {
  const std::size_t equals = part.find('=');
  const std::string_view name = part.substr(0, equals);
  const auto known = std::ranges::find(kSteps, name, &KnownStep::name);
  if (known == kSteps.end()) {
    std::vector<std::string> names;
    names.reserve(kSteps.size());
    for (const KnownStep& step : kSteps) names.emplace_back(step.name);
    throw InputError("no corruption '{}'{}; expected some of {}", name, did_you_mean(name, names),
                     join(names, ", "));
  }
  if ((equals != std::string_view::npos) != known->takes_amount) {
    throw InputError(
        "corruption '{}': expected {}", part,
        known->takes_amount ? fmt::format("{}=VALUE", name) : fmt::format("'{}' alone", name));
  }
  if (!known->takes_amount) return {known->kind, 0};
  const std::string_view text = part.substr(equals + 1);
  if (known->kind == Kind::keep) {
    if (text == "left") return {known->kind, 0};
    if (text == "right") return {known->kind, 1};
    throw InputError("corruption '{}': expected left or right", part);
  }
  double amount = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), amount);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  const bool fits = is_number && amount >= known->low && amount <= known->high &&
                    (!known->whole || amount == static_cast<double>(static_cast<int>(amount)));
  if (!fits) {
    throw InputError("corruption '{}': expected a {}number from {} to {}", part,
                     known->whole ? "whole " : "", known->low, known->high);
  }
  return {known->kind, amount};
}

ImageSize size_after(ImageSize size, const CorruptionStep& step) {
  if (step.kind == Kind::transpose && size.rows != size.columns) {
    throw InputError("corruption 'transpose': images of {} x {} are not square", size.rows,
                     size.columns);
  }
  if (step.kind == Kind::jpeg) check_jpeg_size(size);
  if (step.kind != Kind::pool) return size;
  const auto width = static_cast<std::size_t>(step.amount);
  size.rows /= width;
  size.columns /= width;
  if (size.values() == 0) {
    throw InputError("corruption 'pool={}': nothing is left of the images", width);
  }
  return size;
}

void add_impulses(std::span<float> image, double share, RandomStream& random) {
  for (float& value : image) {
    const double drawn = random.uniform();
    if (drawn < share) value = drawn < share / 2 ? 0.0F : 1.0F;
  }
}

// The mean over `length` columns about each pixel, one more on the left if that is even.
void blur_by_motion(std::span<float> image, const ImageSize& size, std::size_t length) {
  std::vector<double> sums(size.columns + 1);
  for (std::size_t r = 0; r < size.channels * size.rows; ++r) {
    const std::span<float> row = image.subspan(r * size.columns, size.columns);
    for (std::size_t c = 0; c < row.size(); ++c) {
      sums[c + 1] = sums[c] + static_cast<double>(row[c]);
    }
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::size_t first = c - std::min(c, length / 2);
      const std::size_t last = std::min(row.size(), c + (length - length / 2));
      row[c] = static_cast<float>((sums[last] - sums[first]) / static_cast<double>(last - first));
    }
  }
}

void pixelate(std::span<float> image, const ImageSize& size, std::size_t width) {
  for (std::size_t channel = 0; channel < size.channels; ++channel) {
    const auto plane = image.subspan(channel * size.rows * size.columns, size.rows * size.columns);
    for (std::size_t row = 0; row < size.rows; row += width) {
      for (std::size_t column = 0; column < size.columns; column += width) {
        const std::size_t bottom = std::min(size.rows, row + width);
        const std::size_t right = std::min(size.columns, column + width);
        double sum = 0;
        for (std::size_t r = row; r < bottom; ++r) {
          for (std::size_t c = column; c < right; ++c) {
            sum += static_cast<double>(plane[r * size.columns + c]);
          }
        }
        const auto mean =
            static_cast<float>(sum / static_cast<double>((bottom - row) * (right - column)));
        for (std::size_t r = row; r < bottom; ++r) {
          for (std::size_t c = column; c < right; ++c) plane[r * size.columns + c] = mean;
        }
      }
    }
  }
}

// The share of the pixels where blurred noise is highest gets the colour of mud, with soft rims.
void spatter(std::span<float> image, const ImageSize& size, double share, RandomStream& random) {
  constexpr std::array kMud{63.0F / 255, 42.0F / 255, 20.0F / 255};
  constexpr float kGreyMud = 0.299F * kMud[0] + 0.587F * kMud[1] + 0.114F * kMud[2];
  constexpr double kRim = 0.5;
  const ImageSize plane{1, size.rows, size.columns};
  std::vector<float> wet(plane.values());
  for (float& value : wet) value = static_cast<float>(random.normal());
  blur_image(wet, plane, static_cast<double>(std::min(size.rows, size.columns)) / 16);
  std::vector<float> sorted = wet;
  std::ranges::sort(sorted, std::greater<>());
  const auto covered =
      static_cast<std::size_t>(std::llround(share * static_cast<double>(wet.size())));
  for (float& value : wet) value = covered > 0 && value >= sorted[covered - 1] ? 1.0F : 0.0F;
  blur_image(wet, plane, kRim);
  for (std::size_t i = 0; i < image.size(); ++i) {
    const float mud = size.channels == kMud.size() ? kMud[i / wet.size()] : kGreyMud;
    const float cover = wet[i % wet.size()];
    image[i] = (1.0F - cover) * image[i] + cover * mud;
  }
}

void adjust_contrast(std::span<float> image, double factor) {
  double mean = 0;
  for (const float value : image) mean += static_cast<double>(value);
  mean /= static_cast<double>(image.size());
  for (float& value : image) {
    value = std::clamp(static_cast<float>(mean + factor * (value - mean)), 0.0F, 1.0F);
  }
}

void transpose_image(std::span<float> image, const ImageSize& size) {
  for (std::size_t channel = 0; channel < size.channels; ++channel) {
    const auto plane = image.subspan(channel * size.rows * size.columns, size.rows * size.columns);
    for (std::size_t row = 0; row < size.rows; ++row) {
      for (std::size_t column = 0; column < row; ++column) {
        std::swap(plane[row * size.columns + column], plane[column * size.columns + row]);
      }
    }
  }
}

// Calls change(row, half) for every row, `half` being the columns of one half.
template <class Change>
void for_rows(std::span<float> image, const ImageSize& size, const Change& change) {
  for (std::size_t row = 0; row < size.channels * size.rows; ++row) {
    change(image.subspan(row * size.columns, size.columns), size.columns / 2);
  }
}

std::vector<float> pooled(std::span<const float> image, const ImageSize& size, std::size_t width) {
  const std::size_t rows = size.rows / width;
  const std::size_t columns = size.columns / width;
  std::vector<float> out(size.channels * rows * columns);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t channel = i / (rows * columns);
    const std::size_t row = i / columns % rows;
    const std::size_t column = i % columns;
    double sum = 0;
    for (std::size_t r = 0; r < width; ++r) {
      for (std::size_t c = 0; c < width; ++c) {
        sum += static_cast<double>(
            image[(channel * size.rows + row * width + r) * size.columns + column * width + c]);
      }
    }
    out[i] = static_cast<float>(sum / static_cast<double>(width * width));
  }
  return out;
}

}  // namespace

Corruption parse_corruption(std::string_view text) {
  Corruption corruption;
  for (const std::string& part : split(text, ',')) corruption.push_back(parse_step(part));
  return corruption;
}

ImageSize corrupted_size(ImageSize size, const Corruption& corruption) {
  for (const CorruptionStep& step : corruption) size = size_after(size, step);
  return size;
}

void corrupt_image(std::span<const float> image, const ImageSize& size,
                   const Corruption& corruption, std::uint64_t seed, std::size_t index,
                   std::span<float> out) {
  ImageSize now = size;
  std::vector<float> work(image.begin(), image.end());
  std::optional<RandomStream> made;
  const auto random = [&]() -> RandomStream& {
    if (!made) made.emplace(seed, fmt::format("corrupt {}", index));
    return *made;
  };
  for (const CorruptionStep& step : corruption) {
    switch (step.kind) {
      case Kind::shift:
        shift_image(work, now, static_cast<int>(step.amount), static_cast<int>(step.amount));
        break;
      case Kind::noise:
        add_noise(work, step.amount, random());
        break;
      case Kind::impulse:
        add_impulses(work, step.amount, random());
        break;
      case Kind::rotate:
        rotate_image(work, now, step.amount);
        break;
      case Kind::blur:
        blur_image(work, now, step.amount);
        break;
      case Kind::motion:
        blur_by_motion(work, now, static_cast<std::size_t>(step.amount));
        break;
      case Kind::pixelate:
        pixelate(work, now, static_cast<std::size_t>(step.amount));
        break;
      case Kind::jpeg:
        compress_as_jpeg(work, now, static_cast<int>(step.amount));
        break;
      case Kind::spatter:
        spatter(work, now, step.amount, random());
        break;
      case Kind::contrast:
        adjust_contrast(work, step.amount);
        break;
      case Kind::invert:
        for (float& value : work) value = 1.0F - value;
        break;
      case Kind::transpose:
        transpose_image(work, now);
        break;
      case Kind::swap:
        for_rows(work, now, [](std::span<float> row, std::size_t half) {
          std::swap_ranges(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(half),
                           row.end() - static_cast<std::ptrdiff_t>(half));
        });
        break;
      case Kind::keep:
        for_rows(work, now, [&](std::span<float> row, std::size_t half) {
          const std::size_t rest = row.size() - half;
          std::ranges::fill(step.amount == 0 ? row.last(rest) : row.first(rest), 0.0F);
        });
        break;
      case Kind::pool:
        work = pooled(work, now, static_cast<std::size_t>(step.amount));
        break;
    }
    now = size_after(now, step);
  }
  std::ranges::copy(work, out.begin());
}

}  // namespace amalgam
