#include "amalgam/data/jpeg.hpp"

#ifdef AMALGAM_HAVE_JPEG
#include <cstdio>
// jpeglib.h needs what stdio.h declares.
#include <jpeglib.h>

#include <csetjmp>
#include <cstdlib>
#endif

#include <algorithm>
#include <cmath>
#include <vector>

#include "amalgam/core/error.hpp"

namespace amalgam {

#ifdef AMALGAM_HAVE_JPEG
namespace {

// The library reports errors by a call that must not return.
struct ErrorJump {
  jpeg_error_mgr base;
  std::jmp_buf back;
};

void jump_back(j_common_ptr codec) {
  std::longjmp(reinterpret_cast<ErrorJump*>(codec->err)->back, 1);
}

void be_silent(j_common_ptr /*codec*/) {}

jpeg_error_mgr* prepare(ErrorJump& errors) {
  jpeg_std_error(&errors.base);
  errors.base.error_exit = jump_back;
  errors.base.output_message = be_silent;
  return &errors.base;
}

// Memory that the library allocates.
struct Compressed {
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  Compressed() = default;
  Compressed(const Compressed&) = delete;
  Compressed& operator=(const Compressed&) = delete;
  ~Compressed() { std::free(bytes); }
};

// Nothing in these two has a destructor that a jump would leave out.
bool compress(const unsigned char* pixels, const ImageSize& size, int quality, Compressed& out) {
  jpeg_compress_struct codec{};
  ErrorJump errors{};
  codec.err = prepare(errors);
  if (setjmp(errors.back) != 0) {
    jpeg_destroy_compress(&codec);
    // May be freed already: the library replaces its buffer as it grows, and says so at the end.
    out.bytes = nullptr;
    return false;
  }
  jpeg_create_compress(&codec);
  jpeg_mem_dest(&codec, &out.bytes, &out.size);
  codec.image_width = static_cast<JDIMENSION>(size.columns);
  codec.image_height = static_cast<JDIMENSION>(size.rows);
  codec.input_components = static_cast<int>(size.channels);
  codec.in_color_space = size.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&codec);
  codec.dct_method = JDCT_ISLOW;
  jpeg_set_quality(&codec, quality, TRUE);
  jpeg_start_compress(&codec, TRUE);
  while (codec.next_scanline < codec.image_height) {
    auto* row = const_cast<unsigned char*>(pixels) +
                std::size_t{codec.next_scanline} * size.columns * size.channels;
    jpeg_write_scanlines(&codec, &row, 1);
  }
  jpeg_finish_compress(&codec);
  jpeg_destroy_compress(&codec);
  return true;
}

bool decompress(const Compressed& in, const ImageSize& size, unsigned char* pixels) {
  jpeg_decompress_struct codec{};
  ErrorJump errors{};
  codec.err = prepare(errors);
  if (setjmp(errors.back) != 0) {
    jpeg_destroy_decompress(&codec);
    return false;
  }
  jpeg_create_decompress(&codec);
  jpeg_mem_src(&codec, in.bytes, in.size);
  jpeg_read_header(&codec, TRUE);
  codec.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&codec);
  while (codec.output_scanline < codec.output_height) {
    unsigned char* row = pixels + std::size_t{codec.output_scanline} * size.columns * size.channels;
    jpeg_read_scanlines(&codec, &row, 1);
  }
  jpeg_finish_decompress(&codec);
  jpeg_destroy_decompress(&codec);
  return true;
}

}  // namespace

bool has_jpeg() { return true; }

void check_jpeg_size(const ImageSize& size) {
  if (size.channels != 1 && size.channels != 3) {
    throw InputError("corruption 'jpeg': images of {} channels; expected 1 or 3", size.channels);
  }
  if (size.rows > JPEG_MAX_DIMENSION || size.columns > JPEG_MAX_DIMENSION) {
    throw InputError("corruption 'jpeg': images of {} x {}; expected at most {} rows and columns",
                     size.rows, size.columns, JPEG_MAX_DIMENSION);
  }
}

void compress_as_jpeg(std::span<float> image, const ImageSize& size, int quality) {
  check_jpeg_size(size);
  // Channel by channel here, pixel by pixel there.
  const std::size_t plane = size.rows * size.columns;
  std::vector<unsigned char> pixels(size.values());
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const float value = image[i % size.channels * plane + i / size.channels];
    pixels[i] = static_cast<unsigned char>(std::lround(255 * std::clamp(value, 0.0F, 1.0F)));
  }
  Compressed bytes;
  if (!compress(pixels.data(), size, quality, bytes) || !decompress(bytes, size, pixels.data())) {
    throw Error("corruption 'jpeg': an image of {} x {} cannot be compressed", size.rows,
                size.columns);
  }
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    image[i % size.channels * plane + i / size.channels] = static_cast<float>(pixels[i]) / 255.0F;
  }
}

#else

bool has_jpeg() { return false; }

void check_jpeg_size(const ImageSize& /*size*/) {
  throw InputError(
      "corruption 'jpeg': this build has no JPEG; install libjpeg62-turbo-dev and build anew");
}

void compress_as_jpeg(std::span<float> /*image*/, const ImageSize& size, int /*quality*/) {
  check_jpeg_size(size);
}

#endif

}  // namespace amalgam
