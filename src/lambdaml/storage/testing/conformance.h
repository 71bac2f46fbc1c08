#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include <gtest/gtest.h>

#include "lambdaml/storage/storage.h"

/// What every store must do. A store is done when these tests pass: in one of its *_test.cc,
///   INSTANTIATE_TEST_SUITE_P(Name, StorageConformance, testing::Values(StoreUnderTest{…}),
///                            name_of_store);
/// and link conformance_test.cc.
namespace lambdaml::storage {

struct StoreUnderTest {
  std::string name;
  /// A new handle to the store of that name, which no other test uses. Two calls with one name give
  /// two handles to one store, like those of two workers.
  std::function<std::shared_ptr<Storage>(const std::string& place)> open;
  /// Why it cannot be tested here: its server is not on this machine. The function or its result is
  /// empty if it can. Tests are then skipped, or fail if LAMBDAML_REQUIRE_SERVERS is set.
  std::function<std::string()> why_missing = {};
};

inline std::ostream& operator<<(std::ostream& out, const StoreUnderTest& store) {
  return out << store.name;
}

class StorageConformance : public testing::TestWithParam<StoreUnderTest> {
 protected:
  void SetUp() override;
  void TearDown() override;

  std::shared_ptr<Storage> another_handle() const { return GetParam().open(place_); }

  std::string place_;
  std::shared_ptr<Storage> store_;
  std::shared_ptr<Storage> other_;  ///< a second handle
};

inline std::string name_of_store(const testing::TestParamInfo<StoreUnderTest>& info) {
  return info.param.name;
}

/// A name that no other test, of this process or another, uses.
std::string unique_place();
/// n incompressible-looking bytes that depend only on n and the seed.
Buffer noise(std::size_t n, std::uint64_t seed);

}  // namespace lambdaml::storage
