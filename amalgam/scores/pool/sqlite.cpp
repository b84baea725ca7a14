#include "amalgam/scores/pool/sqlite.hpp"

#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/system_failure.hpp"

namespace amalgam::scores {
namespace {

constexpr int kLongestValue = 64 << 20;

// Why the last call about the file failed; SQLite takes pages that cannot be read for damaged ones.
int last_error(sqlite3* database) {
  int error = 0;
  if (database == nullptr) return ENOMEM;
  sqlite3_file_control(database, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
  return error;
}

std::string reason(int error) { return std::generic_category().message(error); }

bool may_write_beside(const std::filesystem::path& path) {
  return ::access(std::filesystem::absolute(path).parent_path().c_str(), W_OK | X_OK) == 0;
}

[[noreturn]] void fail(sqlite3* database, int code, const std::string& where) {
  const int error = last_error(database);
  const bool damaged = (code & 0xFF) == SQLITE_CORRUPT || (code & 0xFF) == SQLITE_NOTADB;
  if (damaged && is_system_failure(error)) {
    throw Error("{}: cannot be read: {}", where, reason(error));
  }
  switch (code & 0xFF) {
    case SQLITE_NOTADB:
      throw InputError("{}: not a SQLite database", where);
    case SQLITE_CORRUPT:
      throw InputError("{}: the database is damaged", where);
    case SQLITE_CANTOPEN: {
      const int cause = database != nullptr ? sqlite3_system_errno(database) : ENOMEM;
      // The reason for the second try, to open what is not there: the first one was to make it.
      if (cause == ENOENT && may_write_beside(where)) {
        throw Error("{}: cannot be made, though files may be made beside it", where);
      }
      throw_system_error(cause, fmt::format("{}: cannot be opened: {}", where, reason(cause)));
    }
    case SQLITE_READONLY:
    case SQLITE_PERM:
      // Of what may be written, SQLite could not find out whether it is still there.
      if (::access(where.c_str(), W_OK) == 0) throw Error("{}: cannot be written to", where);
      throw InputError("{}: cannot be written to", where);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw InputError("{}: in use by another program; try again when it is done", where);
    case SQLITE_TOOBIG:
      throw InputError("{}: a text or vector of more than {} bytes", where, kLongestValue);
    default:
      throw Error("{}: {}", where, database != nullptr ? sqlite3_errmsg(database) : "no memory");
  }
}

}  // namespace

void SqliteStatement::Finalise::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

void SqliteDatabase::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

SqliteStatement::SqliteStatement(sqlite3* database, std::string where, std::string_view sql)
    : database_(database), where_(std::move(where)) {
  sqlite3_stmt* statement = nullptr;
  check(
      sqlite3_prepare_v2(database, sql.data(), static_cast<int>(sql.size()), &statement, nullptr));
  statement_.reset(statement);
}

void SqliteStatement::check(int code) const {
  if (code != SQLITE_OK) fail(database_, code, where_);
}

SqliteStatement& SqliteStatement::bind(int place, std::int64_t value) {
  check(sqlite3_bind_int64(statement_.get(), place, value));
  return *this;
}

SqliteStatement& SqliteStatement::bind(int place, double value) {
  check(sqlite3_bind_double(statement_.get(), place, value));
  return *this;
}

SqliteStatement& SqliteStatement::bind(int place, std::string_view text) {
  check(sqlite3_bind_text64(statement_.get(), place, text.data(), text.size(), SQLITE_TRANSIENT,
                            SQLITE_UTF8));
  return *this;
}

SqliteStatement& SqliteStatement::bind_bytes(int place, std::span<const char> bytes) {
  check(sqlite3_bind_blob64(statement_.get(), place, bytes.data(), bytes.size(), SQLITE_TRANSIENT));
  return *this;
}

SqliteStatement& SqliteStatement::bind_null(int place) {
  check(sqlite3_bind_null(statement_.get(), place));
  return *this;
}

bool SqliteStatement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) {
    sqlite3_reset(statement_.get());
    fail(database_, code, where_);
  }
  check(sqlite3_reset(statement_.get()));
  return false;
}

void SqliteStatement::run() {
  while (step()) {
  }
}

void SqliteStatement::reset() { sqlite3_reset(statement_.get()); }

bool SqliteStatement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

std::int64_t SqliteStatement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

double SqliteStatement::real(int column) const {
  return sqlite3_column_double(statement_.get(), column);
}

std::string_view SqliteStatement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

std::span<const char> SqliteStatement::bytes(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

SqliteDatabase::SqliteDatabase(const std::filesystem::path& path, Mode mode)
    : where_(path.string()) {
  int flags = SQLITE_OPEN_NOMUTEX;
  if (mode == Mode::read) flags |= SQLITE_OPEN_READONLY;
  if (mode != Mode::read) flags |= SQLITE_OPEN_READWRITE;
  if (mode == Mode::create) flags |= SQLITE_OPEN_CREATE;
  sqlite3* database = nullptr;
  // An absolute path: names that begin with "file:" or ":memory:" mean files too.
  const std::string name = std::filesystem::absolute(path).string();
  if (mode != Mode::create && !path_exists(path)) {
    throw InputError("{}: cannot be opened: {}", where_, reason(ENOENT));
  }
  const int code = sqlite3_open_v2(name.c_str(), &database, flags, nullptr);
  database_.reset(database);
  if (code != SQLITE_OK) fail(database, code, where_);
  // SQLite turns to reading where opening to write fails, for whatever reason.
  if (mode != Mode::read && sqlite3_db_readonly(database, "main") == 1 &&
      ::access(name.c_str(), W_OK) == 0) {
    throw Error("{}: cannot be opened to write", where_);
  }
  sqlite3_limit(database, SQLITE_LIMIT_LENGTH, kLongestValue);
  sqlite3_busy_timeout(database, 2000);
  sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  execute("PRAGMA cell_size_check = ON; PRAGMA foreign_keys = OFF;");
}

SqliteStatement SqliteDatabase::prepare(std::string_view sql) const {
  return {database_.get(), where_, sql};
}

SqliteStatement& SqliteDatabase::cached(const std::string& sql) {
  const auto found = statements_.find(sql);
  SqliteStatement& statement = found != statements_.end()
                                   ? found->second
                                   : statements_.emplace(sql, prepare(sql)).first->second;
  statement.reset();
  return statement;
}

void SqliteDatabase::execute(const char* sql) {
  const int code = sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(database_.get(), code, where_);
}

std::int64_t SqliteDatabase::last_row() const { return sqlite3_last_insert_rowid(database_.get()); }

std::int64_t SqliteDatabase::number(std::string_view sql) const {
  SqliteStatement statement = prepare(sql);
  const std::int64_t value = statement.step() ? statement.integer(0) : 0;
  return value;
}

}  // namespace amalgam::scores
