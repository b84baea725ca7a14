#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

struct sqlite3;
struct sqlite3_stmt;

/// SQLite with our errors: what is wrong with the file is an InputError naming it, what is wrong
/// with the disk an Error.
namespace amalgam::scores {

/// One statement with places for values, numbered from 1; columns of results from 0.
class SqliteStatement {
 public:
  SqliteStatement(sqlite3* database, std::string where, std::string_view sql);

  SqliteStatement& bind(int place, std::int64_t value);
  SqliteStatement& bind(int place, double value);
  SqliteStatement& bind(int place, std::string_view text);
  SqliteStatement& bind_bytes(int place, std::span<const char> bytes);
  SqliteStatement& bind_null(int place);

  /// Goes on to the next row; false at the end, after which the statement can be bound anew.
  bool step();
  /// Runs a statement without results.
  void run();
  void reset();

  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  double real(int column) const;
  /// Valid until the next step().
  std::string_view text(int column) const;
  std::span<const char> bytes(int column) const;

 private:
  struct Finalise {
    void operator()(sqlite3_stmt* statement) const;
  };
  void check(int code) const;

  sqlite3* database_;
  std::string where_;
  std::unique_ptr<sqlite3_stmt, Finalise> statement_;
};

/// An open database file, which may come from anyone: its schema cannot run anything, and texts and
/// blobs are at most 64 MB.
class SqliteDatabase {
 public:
  enum class Mode { read, write, create };

  /// InputError if the file cannot be opened or is no database. `create` makes it if it is not
  /// there.
  SqliteDatabase(const std::filesystem::path& path, Mode mode);

  const std::string& where() const { return where_; }
  SqliteStatement prepare(std::string_view sql) const;
  /// As prepare(), kept for the next call with the same text: what an earlier call left in it is
  /// gone.
  SqliteStatement& cached(const std::string& sql);
  /// Runs statements without results.
  void execute(const char* sql);
  std::int64_t last_row() const;
  /// A number that a statement gives.
  std::int64_t number(std::string_view sql) const;

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  std::string where_;
  std::unique_ptr<sqlite3, Close> database_;
  std::unordered_map<std::string, SqliteStatement> statements_;
};

}  // namespace amalgam::scores
