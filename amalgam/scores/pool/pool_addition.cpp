#include "amalgam/scores/pool/pool_addition.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/log.hpp"

namespace amalgam::scores {
namespace {

namespace fs = std::filesystem;

fs::path journal_of(const fs::path& database) { return database.string() + "-journal"; }

}  // namespace

PoolAddition::PoolAddition(const fs::path& path) : path_(fs::absolute(path)) {
  if (!path_exists(path_)) {
    partial_ =
        path_.parent_path() / fmt::format(".{}.{}.partial", path_.filename().string(), ::getpid());
    journal_ = journal_of(partial_);
  }
  try {
    pool_.emplace(partial_.empty() ? path : partial_, SamplePool::Mode::create);
    transaction_.emplace(*pool_);
  } catch (...) {
    remove_partial();
    throw;
  }
}

PoolAddition::~PoolAddition() { remove_partial(); }

void PoolAddition::remove_partial() noexcept {
  transaction_.reset();
  pool_.reset();
  if (partial_.empty()) return;
  ::unlink(partial_.c_str());
  ::unlink(journal_.c_str());
}

void PoolAddition::commit() {
  transaction_->commit();
  transaction_.reset();
  pool_.reset();
  if (!partial_.empty()) place();
  partial_.clear();
}

void PoolAddition::place() const {
  // Without its database a journal is of no use, but would be taken for the new one's.
  ::unlink(journal_of(path_).c_str());
  int error =
      ::renameat2(AT_FDCWD, partial_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) == 0
          ? 0
          : errno;
  if (error == EINVAL || error == ENOSYS) {  // of file systems that cannot promise it
    error = path_exists(path_) ? EEXIST : 0;
    if (error == 0 && ::rename(partial_.c_str(), path_.c_str()) != 0) error = errno;
  }
  if (error == EEXIST) {
    throw InputError("{}: something has come to exist here while the pool was made; try again",
                     path_.string());
  }
  if (error != 0) {
    throw Error("{}: cannot be written: {}", path_.string(),
                std::generic_category().message(error));
  }
  try {
    sync_folder(path_.parent_path());
  } catch (const Error& failure) {
    log::warn("{}: is in place, but a power failure now might undo that: {}", path_.string(),
              failure.what());
  }
}

}  // namespace amalgam::scores
