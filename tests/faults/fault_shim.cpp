// A library to preload (LD_PRELOAD) that makes one call to the system or one allocation fail:
//
//     AMALGAM_FAULT=KIND:N    the N-th call of this kind, counted from 1, fails; KIND: open, read,
//                             write, sync, rename, reserve, folder, status, start, load, allocate,
//                             exhaust, malloc
//     AMALGAM_FAULT_FOLDER=F  only calls about files below F count
//     AMALGAM_FAULT_MARK=M    the file M is made when the call has failed; for an allocation it
//     names
//                             the program and the libraries that asked for it, the innermost first
//     AMALGAM_FAULT_CRASH=1   instead of failing, the call ends the process at once (SIGKILL)
//     AMALGAM_FAULT_COUNTS=C  nothing fails: the file C gets the number of calls of each kind
//     AMALGAM_FAULT_DEPTH=D   with it, C also gets a line "site KIND N" for the first allocation of
//                             each kind of every place: the D innermost return addresses
//     AMALGAM_FAULT_SERVER=P  the process makes many failing runs (fault_server.hpp) from where it
//                             opens a file below F, or, with
//     AMALGAM_FAULT_LOADED=1  from where it has loaded the learning library
//
// Calls fail with EIO, allocations by std::bad_alloc. Those from main on until a file below F is
// opened are of kind start, those that follow of kind allocate; with exhaust, the N-th of these and
// all after it fail. Those of dlopen, in which libraries prepare themselves, are of kind load. What
// C libraries allocate after the first file is of kind malloc. Folders are opened and read like
// files; kind folder is making one, and kind status asking what a path names.
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <new>

#include "fault.hpp"
#include "fault_server.hpp"
#include "fault_sites.hpp"

// The C library's own allocation, which is not counted.
extern "C" {
void* __libc_malloc(size_t bytes);                      // NOLINT
void* __libc_calloc(size_t count, size_t bytes);        // NOLINT
void* __libc_realloc(void* memory, size_t bytes);       // NOLINT
void* __libc_memalign(size_t alignment, size_t bytes);  // NOLINT
}

namespace faults {
namespace {

template <class F>
F* next(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

bool is_counted(Kind kind) {
  return in_main && !unwinding &&
         (fault().kind == kind || fault().counts != nullptr || fault().server != nullptr);
}

// Whether this call is the one that fails. No library function is called that could be counted.
bool fails(Kind kind) {
  if (!is_counted(kind)) return false;
  const long number = ++counts_of[kind];
  if (fault().depth > 0 && kind >= kStart) note_site(kind, number);
  if (fault().kind != kind || number < fault().number) return false;
  if (number > fault().number) return fault().and_all_after;
  if (fault().mark != nullptr) {
    const long made = syscall(SYS_openat, AT_FDCWD, fault().mark, O_CREAT | O_WRONLY, 0600);
    if (made >= 0) {
      if (kind >= kStart) write_modules(static_cast<int>(made));
      syscall(SYS_close, made);
    }
  }
  if (fault().crash) syscall(SYS_kill, getpid(), SIGKILL);
  return true;
}

void write_counts() {
  FILE* file = next<FILE*(const char*, const char*)>("fopen")(fault().counts, "w");
  if (file == nullptr) return;
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    fprintf(file, "%s %ld\n", kNames[kind].data(), counts_of[kind].load());
  }
  for (std::size_t i = 0; i < sites_found && i < kMostSites; ++i) {
    fprintf(file, "site %s %ld\n", kNames[sites[i].kind].data(), sites[i].number);
  }
  fclose(file);
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
bool fails(Kind kind, File file) {
  if (!is_counted(kind) || !is_below(file) || !fails(kind)) return false;
  errno = EIO;
  return true;
}

void serve_if_asked() {
  if (fault().server == nullptr || is_copy) return;
  in_main = false;  // what serving calls does not count
  serve(fault().server);
  in_main = true;
}

bool fails_to_open(const char* path) {
  if (is_below(path) && !opened) {
    opened = true;
    if (!fault().serves_loaded) serve_if_asked();
  }
  return fails(kOpen, path);
}

bool fails_in_c() {
  if (!opened || !fails(kMalloc)) return false;
  errno = ENOMEM;
  return true;
}

bool fails_to_allocate() {
  if (!loading) return fails(opened ? kAllocate : kStart);
  return fails(kLoad) || (fault().and_all_after && counts_of[kAllocate] >= fault().number);
}

void* allocate(std::size_t bytes, std::size_t alignment) {
  if (fails_to_allocate()) throw std::bad_alloc();
  if (bytes == 0) bytes = 1;
  void* memory = alignment <= 16 ? __libc_malloc(bytes) : __libc_memalign(alignment, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace
}  // namespace faults

using namespace faults;  // NOLINT(google-build-using-namespace)

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
  if (fault().depth > 0) note_site(kStart, 0);  // so that the unwinder is ready
  sites_found = 0;
  in_main = true;
  const int code = real_main(argc, argv, environment);
  in_main = false;
  if (fault().counts != nullptr) write_counts();
  if (is_copy && counts_of[kLoad] > 0) {
    fflush(nullptr);
    _exit(code);
  }
  return code;
}

int __libc_start_main(Main program, int argc, char** argv, void (*init)(), void (*fini)(),
                      void (*rtld_fini)(), void* stack_end) {
  real_main = program;
  return next<int(Main, int, char**, void (*)(), void (*)(), void (*)(), void*)>(
      "__libc_start_main")(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}

void* malloc(size_t bytes) { return fails_in_c() ? nullptr : __libc_malloc(bytes); }

void* calloc(size_t count, size_t bytes) {
  return fails_in_c() ? nullptr : __libc_calloc(count, bytes);
}

void* realloc(void* memory, size_t bytes) {
  return fails_in_c() ? nullptr : __libc_realloc(memory, bytes);
}

void* aligned_alloc(size_t alignment, size_t bytes) {
  return fails_in_c() ? nullptr : __libc_memalign(alignment, bytes);
}

int posix_memalign(void** memory, size_t alignment, size_t bytes) {
  if (fails_in_c()) return ENOMEM;
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}

void* dlopen(const char* path, int flags) noexcept {
  const bool within = loading;
  loading = true;
  void* library = next<void*(const char*, int)>("dlopen")(path, flags);
  loading = within;
  if (!within && fault().serves_loaded && counts_of[kLoad] > 0) serve_if_asked();
  return library;
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

int openat(int folder, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (path[0] == '/' || folder == AT_FDCWD ? fails_to_open(path) : fails(kOpen, folder)) return -1;
  return next<int(int, const char*, int, ...)>("openat")(folder, path, flags, mode);
}

FILE* fopen(const char* path, const char* mode) {
  return fails_to_open(path) ? nullptr : next<FILE*(const char*, const char*)>("fopen")(path, mode);
}

FILE* fopen64(const char* path, const char* mode) {
  return fails_to_open(path) ? nullptr
                             : next<FILE*(const char*, const char*)>("fopen64")(path, mode);
}

DIR* opendir(const char* path) {
  return fails_to_open(path) ? nullptr : next<DIR*(const char*)>("opendir")(path);
}

dirent* readdir(DIR* folder) {
  return fails(kRead, dirfd(folder)) ? nullptr : next<dirent*(DIR*)>("readdir")(folder);
}

dirent64* readdir64(DIR* folder) {
  return fails(kRead, dirfd(folder)) ? nullptr : next<dirent64*(DIR*)>("readdir64")(folder);
}

int mkdir(const char* path, mode_t mode) noexcept {
  return fails(kFolder, path) ? -1 : next<int(const char*, mode_t)>("mkdir")(path, mode);
}

int stat(const char* path, struct stat* status) noexcept {
  using Stat = int(const char*, struct stat*);
  return fails(kStatus, path) ? -1 : next<Stat>("stat")(path, status);
}

int stat64(const char* path, struct stat64* status) noexcept {
  using Stat = int(const char*, struct stat64*);
  return fails(kStatus, path) ? -1 : next<Stat>("stat64")(path, status);
}

ssize_t read(int file, void* to, size_t bytes) {
  return fails(kRead, file) ? -1 : next<ssize_t(int, void*, size_t)>("read")(file, to, bytes);
}

size_t fread(void* to, size_t size, size_t count, FILE* file) {
  if (!fails(kRead, fileno(file))) {
    return next<size_t(void*, size_t, size_t, FILE*)>("fread")(to, size, count, file);
  }
  constexpr int kFailed = 0x20;  // what ferror() looks at
  file->_flags |= kFailed;
  return 0;
}

ssize_t pread(int file, void* to, size_t bytes, off_t offset) {
  return fails(kRead, file)
             ? -1
             : next<ssize_t(int, void*, size_t, off_t)>("pread")(file, to, bytes, offset);
}

ssize_t pread64(int file, void* to, size_t bytes, off64_t offset) {
  return fails(kRead, file)
             ? -1
             : next<ssize_t(int, void*, size_t, off64_t)>("pread64")(file, to, bytes, offset);
}

ssize_t write(int file, const void* from, size_t bytes) {
  return fails(kWrite, file) ? -1
                             : next<ssize_t(int, const void*, size_t)>("write")(file, from, bytes);
}

ssize_t writev(int file, const iovec* parts, int count) {
  return fails(kWrite, file) ? -1
                             : next<ssize_t(int, const iovec*, int)>("writev")(file, parts, count);
}

ssize_t sendfile(int to, int from, off_t* offset, size_t bytes) noexcept {
  return fails(kWrite, to)
             ? -1
             : next<ssize_t(int, int, off_t*, size_t)>("sendfile")(to, from, offset, bytes);
}

ssize_t copy_file_range(int from, off64_t* from_offset, int to, off64_t* to_offset, size_t bytes,
                        unsigned flags) {
  return fails(kWrite, to) ? -1
                           : next<ssize_t(int, off64_t*, int, off64_t*, size_t, unsigned)>(
                                 "copy_file_range")(from, from_offset, to, to_offset, bytes, flags);
}

ssize_t pwrite(int file, const void* from, size_t bytes, off_t offset) {
  return fails(kWrite, file)
             ? -1
             : next<ssize_t(int, const void*, size_t, off_t)>("pwrite")(file, from, bytes, offset);
}

ssize_t pwrite64(int file, const void* from, size_t bytes, off64_t offset) {
  return fails(kWrite, file) ? -1
                             : next<ssize_t(int, const void*, size_t, off64_t)>("pwrite64")(
                                   file, from, bytes, offset);
}

int fsync(int file) { return fails(kSync, file) ? -1 : next<int(int)>("fsync")(file); }

int fdatasync(int file) { return fails(kSync, file) ? -1 : next<int(int)>("fdatasync")(file); }

int fallocate(int file, int mode, off_t offset, off_t bytes) {
  return fails(kReserve, file)
             ? -1
             : next<int(int, int, off_t, off_t)>("fallocate")(file, mode, offset, bytes);
}

int fallocate64(int file, int mode, off64_t offset, off64_t bytes) {
  return fails(kReserve, file)
             ? -1
             : next<int(int, int, off64_t, off64_t)>("fallocate64")(file, mode, offset, bytes);
}

int ftruncate(int file, off_t bytes) noexcept {
  return fails(kReserve, file) ? -1 : next<int(int, off_t)>("ftruncate")(file, bytes);
}

int ftruncate64(int file, off64_t bytes) noexcept {
  return fails(kReserve, file) ? -1 : next<int(int, off64_t)>("ftruncate64")(file, bytes);
}

int rename(const char* from, const char* to) noexcept {
  return fails(kRename, from) ? -1 : next<int(const char*, const char*)>("rename")(from, to);
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to,
              unsigned flags) noexcept {
  return fails(kRename, from) ? -1
                              : next<int(int, const char*, int, const char*, unsigned)>(
                                    "renameat2")(from_folder, from, to_folder, to, flags);
}
}
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
