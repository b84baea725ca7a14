// The places in the code that allocate.
#pragma once

#include <dlfcn.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <cstdint>

#include "fault.hpp"

namespace faults {

// Places that allocate, by a hash of their kind and their innermost frames. Within a process the
// addresses of code do not change; what is known of a place outside it is the number of the first
// allocation there.
struct Site {
  std::size_t kind;
  long number;
};
// Before anything is opened or made, a failure has one way to go; libraries that prepare themselves
// have many thousand places of one pattern.
constexpr long kDepthOfStart = 2;
constexpr long kDepthOfLoading = 1;
constexpr std::size_t kSitesBits = 20;
constexpr std::size_t kMostSites = std::size_t{1} << (kSitesBits - 1);
inline std::atomic<std::uint64_t> hashes_of_sites[std::size_t{1} << kSitesBits];  // 0: none
inline Site sites[kMostSites];
inline std::atomic<std::size_t> sites_found{0};

// This library, of which no frame counts.
extern "C"
    [[gnu::visibility("hidden")]] const char __ehdr_start;  // NOLINT(bugprone-reserved-identifier)
extern "C" [[gnu::visibility("hidden")]] const char _end;   // NOLINT(bugprone-reserved-identifier)

struct Stack {
  std::uint64_t hash;
  long depth;
  long frames;
};

inline bool is_ours(std::uintptr_t address) {
  return address >= reinterpret_cast<std::uintptr_t>(&__ehdr_start) &&
         address < reinterpret_cast<std::uintptr_t>(&_end);
}

inline void add(Stack& stack, std::uint64_t value) {
  constexpr std::uint64_t kPrime = 0x9E3779B97F4A7C15;
  stack.hash = (stack.hash ^ value) * kPrime;
  stack.hash ^= stack.hash >> 32;
}

inline _Unwind_Reason_Code add_frame(_Unwind_Context* frame, void* to) {
  const std::uintptr_t address = _Unwind_GetIP(frame);
  if (is_ours(address)) return _URC_NO_REASON;
  Stack& stack = *static_cast<Stack*>(to);
  add(stack, address);
  return ++stack.frames < stack.depth ? _URC_NO_REASON : _URC_END_OF_STACK;
}

// Whether no allocation had this hash before.
inline bool is_new(std::uint64_t hash) {
  if (hash == 0) hash = 1;
  for (std::size_t i = hash >> (64 - kSitesBits);; ++i) {
    std::atomic<std::uint64_t>& place = hashes_of_sites[i % std::size(hashes_of_sites)];
    std::uint64_t found = 0;
    if (place.compare_exchange_strong(found, hash)) return true;
    if (found == hash) return false;
  }
}

inline _Unwind_Reason_Code write_module(_Unwind_Context* frame, void* to) {
  Dl_info module;
  const std::uintptr_t address = _Unwind_GetIP(frame);
  if (is_ours(address) || dladdr(reinterpret_cast<void*>(address), &module) == 0) {
    return _URC_NO_REASON;
  }
  char line[512];
  const int length = snprintf(
      line, sizeof(line), "%s %#zx\n", module.dli_fname,
      static_cast<std::size_t>(address - reinterpret_cast<std::uintptr_t>(module.dli_fbase)));
  syscall(SYS_write, *static_cast<int*>(to), line, std::min<std::size_t>(length, sizeof(line) - 1));
  return _URC_NO_REASON;
}

// A line for each frame, the innermost first: the file of its code and the address in it.
inline void write_modules(int file) {
  unwinding = true;
  _Unwind_Backtrace(write_module, &file);
  unwinding = false;
}

inline long depth_of(Kind kind) {
  if (kind == kLoad) return std::min(kDepthOfLoading, fault().depth);
  return kind == kStart ? std::min(kDepthOfStart, fault().depth) : fault().depth;
}

inline void note_site(Kind kind, long number) {
  if (sites_found >= kMostSites) return;
  unwinding = true;
  Stack stack{.hash = kind, .depth = depth_of(kind), .frames = 0};
  _Unwind_Backtrace(add_frame, &stack);
  unwinding = false;
  if (!is_new(stack.hash)) return;
  const std::size_t place = sites_found++;
  if (place < kMostSites) sites[place] = {kind, number};
}

}  // namespace faults
