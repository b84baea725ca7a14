#pragma once

#include <filesystem>
#include <optional>

#include "amalgam/scores/pool/sample_pool.hpp"

namespace amalgam::scores {

/// What is added to a pool of samples, all or nothing: to one that is there in a transaction, while
/// a new one is made beside its place and comes into it with commit().
class PoolAddition {
 public:
  /// InputError if the file is no pool or cannot be written.
  explicit PoolAddition(const std::filesystem::path& path);
  /// Without commit() the pool is as before: not there, if it was not.
  ~PoolAddition();
  PoolAddition(const PoolAddition&) = delete;
  PoolAddition& operator=(const PoolAddition&) = delete;

  SamplePool& pool() { return *pool_; }

  /// Afterwards there is no pool() any more. InputError if a file has come to the place of a new
  /// pool meanwhile; Error if the device fails.
  void commit();

 private:
  void place() const;
  void remove_partial() noexcept;

  std::filesystem::path path_;
  std::filesystem::path partial_;  // empty: the pool is in its place
  std::filesystem::path journal_;  // of the partial one
  std::optional<SamplePool> pool_;
  std::optional<PoolTransaction> transaction_;
};

}  // namespace amalgam::scores
