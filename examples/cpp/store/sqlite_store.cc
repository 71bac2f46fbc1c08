// A store for processes of one machine: a table of an SQLite database. It has the five verbs of
// storage::Storage; batches, waits, retries and counting come with the interface.
//
// Its URI is sqlite://NAME/PREFIX?file=/path/of/the/database: NAME and PREFIX come before each key.
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <sqlite3.h>

#include "lambdaml/storage/registry.h"

namespace {

using namespace lambdaml;

/// How long a call waits for the locks of other processes.
constexpr int kBusy_ms = 30'000;

class SqliteStore final : public storage::Storage {
 public:
  SqliteStore(const std::string& file, std::string place) : place_(std::move(place)) {
    if (file.empty())
      fail(Code::invalid_argument, "sqlite://{}: name the database: ?file=/path", place_);
    const int result = sqlite3_open(file.c_str(), &database_);
    owner_.reset(database_);
    if (result != SQLITE_OK)
      fail(Code::unavailable, "opening {}: {}", file, sqlite3_errmsg(database_));
    sqlite3_busy_timeout(database_, kBusy_ms);
    // Readers do not wait for the writer, and a value need not outlive the machine.
    run("pragma journal_mode = wal");
    run("pragma synchronous = off");
    run("create table if not exists pages (key text primary key, value blob) without rowid");
  }

  storage::Capabilities capabilities() const override {
    return {.max_value_bytes = 500'000'000, .durable = true};
  }
  std::string describe() const override { return "sqlite://" + place_; }

  void save(std::string_view key, Bytes value) override {
    const std::string name = name_of(key);
    const std::lock_guard lock(mutex_);
    Statement(*this, "insert or replace into pages values (?1, ?2)")
        .bind(1, name)
        .bind(2, value)
        .run();
  }
  std::optional<Buffer> load(std::string_view key) override {
    const std::string name = name_of(key);
    const std::lock_guard lock(mutex_);
    Statement query(*this, "select value from pages where key = ?1");
    if (!query.bind(1, name).next()) return {};
    return Buffer(query.blob(0));
  }
  bool create(std::string_view key, Bytes value) override {
    const std::string name = name_of(key);
    const std::lock_guard lock(mutex_);
    Statement(*this, "insert or ignore into pages values (?1, ?2)")
        .bind(1, name)
        .bind(2, value)
        .run();
    return sqlite3_changes(database_) > 0;
  }
  void remove(std::string_view key) override {
    const std::string name = name_of(key);
    const std::lock_guard lock(mutex_);
    Statement(*this, "delete from pages where key = ?1").bind(1, name).run();
  }
  std::vector<storage::Entry> list(std::string_view prefix) override {
    const std::string begin = place_ + "/" + std::string(prefix);
    const std::lock_guard lock(mutex_);
    Statement query(*this,
                    "select key, length(value) from pages where key >= ?1 and "
                    "substr(key, 1, length(?1)) = ?1 order by key");
    query.bind(1, begin);
    std::vector<storage::Entry> entries;
    while (query.next())
      entries.push_back({query.text(0).substr(place_.size() + 1), query.number(1)});
    return entries;
  }

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close(database); }
  };

  /// A prepared statement; texts and blobs that it binds must stay until it is gone.
  class Statement {
   public:
    Statement(SqliteStore& store, const char* sql) : store_(store) {
      if (sqlite3_prepare_v2(store.database_, sql, -1, &statement_, nullptr) != SQLITE_OK)
        store_.fail_as(sql);
    }
    Statement(const Statement&) = delete;
    ~Statement() { sqlite3_finalize(statement_); }

    Statement& bind(int at, const std::string& text) {
      sqlite3_bind_text(statement_, at, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
      return *this;
    }
    Statement& bind(int at, Bytes bytes) {
      // A null pointer would be NULL instead of an empty blob.
      sqlite3_bind_blob64(statement_, at,
                          bytes.empty() ? "" : static_cast<const void*>(bytes.data()), bytes.size(),
                          SQLITE_STATIC);
      return *this;
    }
    /// Whether there is a (further) row.
    bool next() {
      const int result = sqlite3_step(statement_);
      if (result == SQLITE_ROW) return true;
      if (result != SQLITE_DONE) store_.fail_as(sqlite3_sql(statement_));
      return false;
    }
    void run() {
      while (next()) {
      }
    }
    std::string text(int column) const {
      return {reinterpret_cast<const char*>(sqlite3_column_text(statement_, column)),
              static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
    }
    Bytes blob(int column) const {
      const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(statement_, column));
      return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
    }
    std::uint64_t number(int column) const {
      return static_cast<std::uint64_t>(sqlite3_column_int64(statement_, column));
    }

   private:
    SqliteStore& store_;
    sqlite3_stmt* statement_ = nullptr;
  };

  void run(const char* sql) { Statement(*this, sql).run(); }

  /// `unavailable` is retried by the decorators of storage::open().
  [[noreturn]] void fail_as(const char* sql) const {
    const int error = sqlite3_errcode(database_);
    Code code = Code::unavailable;
    if (error == SQLITE_FULL || error == SQLITE_TOOBIG) code = Code::resource_exhausted;
    if (error == SQLITE_READONLY || error == SQLITE_PERM) code = Code::permission_denied;
    if (error == SQLITE_CORRUPT || error == SQLITE_NOTADB) code = Code::data_corrupt;
    fail(code, "{}: {}: {}", describe(), sql, sqlite3_errmsg(database_));
  }

  std::string name_of(std::string_view key) const {
    storage::check_text_key(key);
    return place_ + "/" + std::string(key);
  }

  std::mutex mutex_;  ///< guards database_
  const std::string place_;
  std::unique_ptr<sqlite3, Close> owner_;
  sqlite3* database_ = nullptr;
};

void register_sqlite(storage::Registry& registry) {
  registry.add({.name = "sqlite",
                .help = "a table of an SQLite database",
                .open =
                    [](const Uri& uri, const Options& options, const std::shared_ptr<Patience>&) {
                      return std::make_shared<SqliteStore>(
                          options.text("file"),
                          uri.path.empty() ? uri.host : uri.host + "/" + uri.path);
                    },
                .reach = Reach::machine,
                .default_uri = [] { return Uri::parse("sqlite://default"); },
                .options = {{.name = "file",
                             .default_value = std::string(),
                             .help = "the database's path, absolute, for workers run elsewhere"}}});
}

/// Enters the store in this program's registry, in the trainer and in its workers alike.
const AddedPlugin<storage::Registry> added(register_sqlite);

}  // namespace
