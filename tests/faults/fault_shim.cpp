// A library to preload (LD_PRELOAD) that makes one call to the system or one allocation fail:
//
//     AMALGAM_FAULT=KIND:N    KIND: open, read, write, sync, rename, reserve, start, allocate or
//                             exhaust; the N-th call of this kind, counted from 1, fails
//     AMALGAM_FAULT_FOLDER=F  only calls about files below F count
//     AMALGAM_FAULT_MARK=M    the file M is made when the call has failed
//     AMALGAM_FAULT_CRASH=1   instead of failing, the call ends the process at once (SIGKILL)
//
// Calls fail with EIO, allocations by std::bad_alloc. Those from main on until a file below F is
// opened are of kind start, those that follow of kind allocate; with exhaust, the N-th of these and
// all after it fail.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <string_view>

namespace {

struct Fault {
  std::string_view kind;
  long number = 0;
  const char* folder = nullptr;
  const char* mark = nullptr;
  bool crash = false;
};

Fault read_fault() {
  Fault fault;
  const char* text = getenv("AMALGAM_FAULT");
  const char* colon = text == nullptr ? nullptr : strchr(text, ':');
  if (colon == nullptr) return fault;
  fault.kind = {text, static_cast<std::size_t>(colon - text)};
  fault.number = atol(colon + 1);
  fault.folder = getenv("AMALGAM_FAULT_FOLDER");
  fault.mark = getenv("AMALGAM_FAULT_MARK");
  fault.crash = getenv("AMALGAM_FAULT_CRASH") != nullptr;
  return fault;
}

const Fault& fault() {
  static const Fault kFault = read_fault();
  return kFault;
}

std::atomic<bool> in_main{false};
std::atomic<bool> opened{false};  // a file below the folder
std::atomic<long> count{0};

// Whether this call is the one that fails. No library function is called that could be counted.
bool fails(std::string_view kind) {
  if (!in_main || fault().kind != kind) return false;
  const long number = ++count;
  if (kind == "exhaust" && number > fault().number) return true;
  if (number != fault().number) return false;
  if (fault().mark != nullptr) {
    const long made = syscall(SYS_openat, AT_FDCWD, fault().mark, O_CREAT | O_WRONLY, 0600);
    if (made >= 0) syscall(SYS_close, made);
  }
  if (fault().crash) syscall(SYS_kill, getpid(), SIGKILL);
  return true;
}

bool is_below(const char* path) {
  const char* folder = fault().folder;
  return folder != nullptr && path != nullptr && strncmp(path, folder, strlen(folder)) == 0;
}

bool is_below(int descriptor) {
  char link[64];
  char named[4096];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, named, sizeof(named) - 1);
  if (length <= 0) return false;
  named[length] = '\0';
  return is_below(named);
}

template <class File>
bool fails(std::string_view kind, File file) {
  if (fault().kind != kind || !is_below(file) || !fails(kind)) return false;
  errno = EIO;
  return true;
}

bool fails_to_open(const char* path) {
  if (is_below(path)) opened = true;
  return fails("open", path);
}

bool fails_to_allocate() { return opened ? fails("allocate") || fails("exhaust") : fails("start"); }

template <class F>
F* next(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

void* allocate(std::size_t bytes, std::size_t alignment) {
  if (fails_to_allocate()) throw std::bad_alloc();
  if (bytes == 0) bytes = 1;
  void* memory = alignment <= 16
                     ? malloc(bytes)
                     : aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes, 16); }
void* operator new[](std::size_t bytes) { return allocate(bytes, 16); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { free(memory); }
void operator delete[](void* memory) noexcept { free(memory); }
void operator delete(void* memory, std::size_t) noexcept { free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { free(memory); }

// The C library calls its parameters otherwise.
// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)
extern "C" {

using Main = int (*)(int, char**, char**);
static Main real_main;

static int counted_main(int argc, char** argv, char** environment) {
  (void)fault();
  in_main = true;
  const int code = real_main(argc, argv, environment);
  in_main = false;
  return code;
}

int __libc_start_main(Main program, int argc, char** argv, void (*init)(), void (*fini)(),
                      void (*rtld_fini)(), void* stack_end) {
  real_main = program;
  return next<int(Main, int, char**, void (*)(), void (*)(), void (*)(), void*)>(
      "__libc_start_main")(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (fails_to_open(path)) return -1;
  return next<int(const char*, int, ...)>("open")(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (fails_to_open(path)) return -1;
  return next<int(const char*, int, ...)>("open64")(path, flags, mode);
}

FILE* fopen(const char* path, const char* mode) {
  return fails_to_open(path) ? nullptr : next<FILE*(const char*, const char*)>("fopen")(path, mode);
}

FILE* fopen64(const char* path, const char* mode) {
  return fails_to_open(path) ? nullptr
                             : next<FILE*(const char*, const char*)>("fopen64")(path, mode);
}

ssize_t read(int file, void* to, size_t bytes) {
  return fails("read", file) ? -1 : next<ssize_t(int, void*, size_t)>("read")(file, to, bytes);
}

ssize_t pread(int file, void* to, size_t bytes, off_t offset) {
  return fails("read", file)
             ? -1
             : next<ssize_t(int, void*, size_t, off_t)>("pread")(file, to, bytes, offset);
}

ssize_t pread64(int file, void* to, size_t bytes, off64_t offset) {
  return fails("read", file)
             ? -1
             : next<ssize_t(int, void*, size_t, off64_t)>("pread64")(file, to, bytes, offset);
}

ssize_t write(int file, const void* from, size_t bytes) {
  return fails("write", file) ? -1
                              : next<ssize_t(int, const void*, size_t)>("write")(file, from, bytes);
}

ssize_t pwrite(int file, const void* from, size_t bytes, off_t offset) {
  return fails("write", file)
             ? -1
             : next<ssize_t(int, const void*, size_t, off_t)>("pwrite")(file, from, bytes, offset);
}

ssize_t pwrite64(int file, const void* from, size_t bytes, off64_t offset) {
  return fails("write", file) ? -1
                              : next<ssize_t(int, const void*, size_t, off64_t)>("pwrite64")(
                                    file, from, bytes, offset);
}

int fsync(int file) { return fails("sync", file) ? -1 : next<int(int)>("fsync")(file); }

int fallocate(int file, int mode, off_t offset, off_t bytes) {
  return fails("reserve", file)
             ? -1
             : next<int(int, int, off_t, off_t)>("fallocate")(file, mode, offset, bytes);
}

int fallocate64(int file, int mode, off64_t offset, off64_t bytes) {
  return fails("reserve", file)
             ? -1
             : next<int(int, int, off64_t, off64_t)>("fallocate64")(file, mode, offset, bytes);
}

int ftruncate(int file, off_t bytes) noexcept {
  return fails("reserve", file) ? -1 : next<int(int, off_t)>("ftruncate")(file, bytes);
}

int ftruncate64(int file, off64_t bytes) noexcept {
  return fails("reserve", file) ? -1 : next<int(int, off64_t)>("ftruncate64")(file, bytes);
}

int rename(const char* from, const char* to) noexcept {
  return fails("rename", from) ? -1 : next<int(const char*, const char*)>("rename")(from, to);
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to,
              unsigned flags) noexcept {
  return fails("rename", from) ? -1
                               : next<int(int, const char*, int, const char*, unsigned)>(
                                     "renameat2")(from_folder, from, to_folder, to, flags);
}
}
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
