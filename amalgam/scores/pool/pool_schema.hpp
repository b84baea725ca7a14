#pragma once

#include <array>

namespace amalgam::scores {

inline constexpr int kPoolVersion = 1;
inline constexpr int kPoolApplication = 0x416d506c;  // "AmPl"

/// The whole schema of a pool. A file with another one is no pool.
inline constexpr std::array kPoolSchema{
    "CREATE TABLE samples(id INTEGER PRIMARY KEY, hash INTEGER, question TEXT, answer TEXT) STRICT",
    "CREATE INDEX samples_by_hash ON samples(hash)",
    "CREATE TABLE occurrences(dataset TEXT NOT NULL, name TEXT NOT NULL, sample INTEGER NOT NULL,"
    " PRIMARY KEY(dataset, name)) STRICT, WITHOUT ROWID",
    "CREATE INDEX occurrences_by_sample ON occurrences(sample)",
    "CREATE TABLE tags(sample INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY(sample, tag))"
    " STRICT, WITHOUT ROWID",
    "CREATE TABLE fields(sample INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY(sample, name, value)) STRICT, WITHOUT ROWID",
    "CREATE TABLE embeddings(sample INTEGER NOT NULL, embedder TEXT NOT NULL, vector BLOB NOT NULL,"
    " PRIMARY KEY(sample, embedder)) STRICT, WITHOUT ROWID",
    "CREATE TABLE models(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT",
    "CREATE TABLE aliases(alias TEXT PRIMARY KEY, model TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE metrics(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,"
    " higher INTEGER NOT NULL) STRICT",
    "CREATE TABLE sources(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, priority INTEGER)"
    " STRICT",
    "CREATE TABLE measurements(sample INTEGER NOT NULL, metric INTEGER NOT NULL, model INTEGER NOT"
    " NULL, source INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY(sample, metric, model,"
    " source)) STRICT, WITHOUT ROWID",
    "CREATE TABLE judgements(id INTEGER PRIMARY KEY, sample INTEGER NOT NULL, first INTEGER NOT"
    " NULL, second INTEGER NOT NULL, outcome INTEGER NOT NULL, weight REAL NOT NULL, source INTEGER"
    " NOT NULL) STRICT",
    "CREATE INDEX judgements_by_sample ON judgements(sample)",
    "CREATE TABLE imports(digest INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT",
};

}  // namespace amalgam::scores
