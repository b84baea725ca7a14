// Which call fails, from the environment (fault_shim.cpp says how), and how many were made.
#pragma once

#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <iterator>
#include <string_view>

namespace faults {

enum Kind {
  kOpen,
  kRead,
  kWrite,
  kSync,
  kRename,
  kReserve,
  kFolder,
  kStatus,
  kStart,
  kLoad,
  kAllocate,
  kMalloc
};
constexpr std::string_view kNames[] = {"open",   "read",   "write", "sync", "rename",   "reserve",
                                       "folder", "status", "start", "load", "allocate", "malloc"};
constexpr std::size_t kKinds = std::size(kNames);

struct Fault {
  std::size_t kind = kKinds;
  long number = 0;
  bool and_all_after = false;
  const char* folder = nullptr;
  const char* mark = nullptr;
  const char* counts = nullptr;
  const char* server = nullptr;
  bool serves_loaded = false;
  long depth = 0;
  bool crash = false;
};

inline void choose(Fault& fault, std::string_view kind, long number) {
  fault.and_all_after = kind == "exhaust";
  fault.kind = kAllocate;
  for (std::size_t named = 0; named < kKinds; ++named) {
    if (kNames[named] == kind) fault.kind = named;
  }
  fault.number = number;
}

inline Fault read_fault() {
  Fault fault;
  fault.folder = getenv("AMALGAM_FAULT_FOLDER");
  fault.mark = getenv("AMALGAM_FAULT_MARK");
  fault.counts = getenv("AMALGAM_FAULT_COUNTS");
  const char* depth = getenv("AMALGAM_FAULT_DEPTH");
  if (depth != nullptr && fault.counts != nullptr) fault.depth = atol(depth);
  fault.crash = getenv("AMALGAM_FAULT_CRASH") != nullptr;
  fault.server = getenv("AMALGAM_FAULT_SERVER");
  fault.serves_loaded = getenv("AMALGAM_FAULT_LOADED") != nullptr;
  const char* text = getenv("AMALGAM_FAULT");
  const char* colon = text == nullptr ? nullptr : strchr(text, ':');
  if (colon != nullptr)
    choose(fault, {text, static_cast<std::size_t>(colon - text)}, atol(colon + 1));
  return fault;
}

inline Fault& fault() {
  static Fault fault = read_fault();
  return fault;
}

inline std::atomic<bool> in_main{false};
inline std::atomic<bool> opened{false};  // a file below the folder
inline std::atomic<long> counts_of[kKinds];
inline constinit thread_local bool loading [[gnu::tls_model("initial-exec")]] = false;
// What the unwinder itself allocates does not count.
inline constinit thread_local bool unwinding [[gnu::tls_model("initial-exec")]] = false;

}  // namespace faults
