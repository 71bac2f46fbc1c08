#include "lambdaml/storage/storage.h"

#include <filesystem>
#include <map>
#include <string>

#include <gmock/gmock.h>

#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/testing/conformance.h"

namespace lambdaml::storage {
namespace {

using testing::HasSubstr;

/// The least that a store can be: all the rest is inherited.
class Least final : public Storage {
 public:
  explicit Least(std::shared_ptr<Storage> inner) : inner_(std::move(inner)) {}
  Capabilities capabilities() const override { return inner_->capabilities(); }
  std::string describe() const override { return inner_->describe(); }
  void save(std::string_view key, Bytes value) override { inner_->save(key, value); }
  std::optional<Buffer> load(std::string_view key) override { return inner_->load(key); }
  bool create(std::string_view key, Bytes value) override { return inner_->create(key, value); }
  void remove(std::string_view key) override { inner_->remove(key); }
  std::vector<Entry> list(std::string_view prefix) override { return inner_->list(prefix); }

 private:
  std::shared_ptr<Storage> inner_;
};

/// Those that need no server; tests/integration has the others.
std::vector<StoreUnderTest> stores_of_this_machine() {
  std::vector<StoreUnderTest> stores;
  for (const Plugin& plugin : registry().entries())
    if (plugin.reach != Reach::anywhere)
      stores.push_back({plugin.name, [&plugin](const std::string& place) {
                          return open((plugin.default_uri() / place).text());
                        }});
  return stores;
}
INSTANTIATE_TEST_SUITE_P(Registered, StorageConformance,
                         testing::ValuesIn(stores_of_this_machine()), name_of_store);

INSTANTIATE_TEST_SUITE_P(Inherited, StorageConformance,
                         testing::Values(StoreUnderTest{"polling",
                                                        [](const std::string& place) {
                                                          return std::make_shared<Least>(
                                                              open("memory://" + place));
                                                        }}),
                         name_of_store);

TEST(Resolve, ABareNameIsTheStoresDefaultPlace) {
  EXPECT_EQ(resolve("memory").text(), "memory://default");
  EXPECT_EQ(resolve("file").scheme, "file");
  EXPECT_THAT(resolve("file").path, HasSubstr("lambdaml-"));
}

TEST(Resolve, OtherTextsAreUrisOrPaths) {
  EXPECT_EQ(resolve("memory://x/y").path, "y");
  EXPECT_EQ(resolve("/a/b"), Uri::parse("file:///a/b"));
  EXPECT_EQ(resolve("out").path, (std::filesystem::current_path() / "out").string());
  EXPECT_EQ(resolve("./fil").path, (std::filesystem::current_path() / "fil").string());
}

TEST(Resolve, ASlipForAPluginsNameIsNotTakenForAFolder) {
  try {
    resolve("memroy");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'memory'"));
  }
}

TEST(Open, AnUnknownSchemeNamesTheNearest) {
  try {
    open("files:///a");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr("'file'"));
  }
}

// The nearest scheme would send a password in the clear.
TEST(Open, ATlsSchemeIsNoSlipForThePlainOne) {
  try {
    open("pss://h:27000");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr("ps over TLS is ps://HOST?tls=1"));
  }
}

TEST(Open, AnUnknownSchemeGetsTheNearest) {
  for (const auto& [place, meant] :
       {std::pair("s3s://b", "'s3'"), std::pair("dynamodbs://t", "'dynamodb'"),
        std::pair("redisss://h", "'rediss'"), std::pair("memcachedss://h", "'memcacheds'")})
    try {
      open(place);
      FAIL();
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(std::string("did you mean ") + meant)) << place;
    }
}

TEST(Resolve, ATlsSchemeIsNoSlipForThePlainOne) {
  try {
    resolve("pss");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr("ps over TLS is ps://HOST?tls=1"));
  }
}

TEST(OpenObject, NeedsAName) {
  EXPECT_EQ(open_object(Uri::parse("/tmp/x.svm")).key, "x.svm");
  EXPECT_THROW(open_object(Uri::parse("memory://name")), Error);
  EXPECT_THROW(open_object(Uri::parse("file:///")), Error);
}

}  // namespace
}  // namespace lambdaml::storage
