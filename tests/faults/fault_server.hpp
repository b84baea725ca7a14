// One process that makes many failing runs: loading libraries takes most of a short one's time.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "fault.hpp"

namespace faults {

inline bool is_copy = false;

inline bool has_one_thread() {
  DIR* threads = opendir("/proc/self/task");
  if (threads == nullptr) return false;
  int entries = 0;
  while (readdir(threads) != nullptr) ++entries;
  closedir(threads);
  return entries == 3;  // with "." and ".."
}

inline void become(const char* file, int flags, int descriptor) {
  const int file_number = open(file, flags | O_CLOEXEC, 0600);
  if (file_number < 0 || dup2(file_number, descriptor) < 0) _exit(127);
  close(file_number);
}

// Standard streams of the C library stay untouched for the copies of the process.
inline void answer(const std::string& line) {
  if (write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    _exit(127);
  }
}

inline bool read_line(char* line, std::size_t most) {
  for (std::size_t i = 0; i < most && read(STDIN_FILENO, line + i, 1) == 1; ++i) {
    if (line[i] != '\n') continue;
    line[i] = '\0';
    return true;
  }
  return false;
}

// Returns in copies of this process, each of which is to fail as a request says: from stdin lines
// "KIND N". stdout and stderr of a copy are the files `place`.out and `place`.err. The answers on
// stdout are one line "KIND N KIND N ...", how many calls of each kind were made before; then, for
// every request, a line with the copy's process id and, when it has ended, one with its status.
// Other threads would be missing in copies: where there are some, the process ends. Copies of one
// that has loaded the learning library end with main: what its libraries do as they are unloaded
// takes longer than all else.
inline void serve(const char* place) {
  if (!has_one_thread()) _exit(0);
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    answer(std::string(kNames[kind]) + " " + std::to_string(counts_of[kind]) + " ");
  }
  answer("\n");
  char line[64];
  while (read_line(line, sizeof(line))) {
    char* space = strchr(line, ' ');
    if (space == nullptr) _exit(127);
    const pid_t copy = fork();
    if (copy == 0) {
      is_copy = true;
      const int all = O_CREAT | O_TRUNC | O_WRONLY;
      become("/dev/null", O_RDONLY, STDIN_FILENO);
      become((std::string(place) + ".out").c_str(), all, STDOUT_FILENO);
      become((std::string(place) + ".err").c_str(), all, STDERR_FILENO);
      choose(fault(), {line, static_cast<std::size_t>(space - line)}, atol(space + 1));
      return;
    }
    int status = 0;
    answer(std::to_string(copy) + "\n");
    waitpid(copy, &status, 0);
    answer(std::to_string(status) + "\n");
  }
  _exit(0);
}

}  // namespace faults
