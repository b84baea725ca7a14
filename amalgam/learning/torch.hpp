#pragma once

// The one way our code includes libtorch, and the precompiled header of what uses it.
#pragma clang system_header

// Debian's libtorch 1.13 does not compile as C++20 with clang unless this comes first.
#include <ATen/core/ivalue.h>
// (a comment keeps the formatter from sorting the two)
#include <torch/torch.h>
