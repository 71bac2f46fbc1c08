#include <gmock/gmock.h>

#include "lambdaml/storage/testing/conformance.h"

namespace lambdaml::storage {
namespace {

INSTANTIATE_TEST_SUITE_P(Memory, StorageConformance,
                         testing::Values(StoreUnderTest{"plain",
                                                        [](const std::string& place) {
                                                          return open("memory://" + place);
                                                        }},
                                         StoreUnderTest{"below_a_path",
                                                        [](const std::string& place) {
                                                          return open("memory://" + place +
                                                                      "/some/path");
                                                        }}),
                         name_of_store);

TEST(Memory, NamesAreShelvesOfTheirOwn) {
  const std::string place = unique_place();
  open("memory://" + place)->save("path/key", as_bytes("value"));
  EXPECT_FALSE(open("memory://" + unique_place())->load("path/key"));
  EXPECT_EQ(open("memory://" + place + "/path")->load("key")->text(), "value");
  const Object object = open_object(Uri::parse("memory://" + place + "/path/key"));
  EXPECT_EQ(object.key, "key");
  EXPECT_EQ(object.store->load(object.key)->text(), "value");
  open("memory://" + place)->clear("");
}

TEST(Memory, StaysInItsProcess) {
  EXPECT_FALSE(open("memory://" + unique_place())->capabilities().cross_process);
}

TEST(Memory, RefusesAnAddressWithAPort) {
  EXPECT_THROW(open("memory://name:80"), Error);
  EXPECT_THROW(open("memory://name?a=b"), Error);
}

}  // namespace
}  // namespace lambdaml::storage
