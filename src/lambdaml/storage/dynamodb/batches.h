#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/storage/dynamodb/service.h"

namespace lambdaml::storage::dynamodb {

/// Many keys in few requests, several of them at once. The service may leave keys undone, because
/// it is busy; those are sent again after pauses that double, until seven tries in a row got
/// nothing done: then `unavailable`. Thread-safe. What it is given stays the caller's.
class Batches {
 public:
  using Keys = std::span<const std::string_view>;
  using Values = std::map<std::string_view, Bytes>;
  using Found = std::map<std::string_view, Buffer>;

  explicit Batches(Service& service) : service_(service) {}

  /// Requests of at most 25 items and some 2 MB.
  void put(const Values& values);
  /// Requests of 25 keys. No key may be there twice.
  void remove(Keys keys);
  /// Adds what is there to `found`. Requests of 25 keys; none may be there twice.
  void get(Keys keys, Found& found);

 private:
  struct Batch {
    Keys keys;
    std::string body;
  };
  /// The first keys of those given, as many as one request may have.
  using Compose = std::function<Batch(Keys)>;
  using Take = std::function<void(Keys, Reply&)>;
  void run(std::string_view name, Kind kind, Keys keys, const Compose& compose, const Take& take);
  void count_written(Keys keys, const Reply& reply, const Values& values) const;
  /// The key of ours that a reply names.
  std::string_view own(std::string_view key, Keys asked, std::string_view name) const;

  Service& service_;
};

}  // namespace lambdaml::storage::dynamodb
