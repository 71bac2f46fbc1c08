#include "lambdaml/storage/s3/spread.h"

#include <atomic>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/aws/testing/thrown_by.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/storage/wrapper.h"

namespace lambdaml::storage::s3 {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Bytes bytes(const std::string& text) { return as_bytes(text); }

class Spreading : public ::testing::Test {
 protected:
  const std::shared_ptr<Storage> plain_ = open("memory://spread-test");
  const std::shared_ptr<Storage> spread_ = with_spread(plain_, 4);
  void TearDown() override { plain_->clear(""); }
};

TEST_F(Spreading, KeysLieInThatManyFoldersAndAreFoundAgain) {
  std::vector<std::string> keys;
  for (int i = 0; i < 100; ++i) keys.push_back("job/round/" + std::to_string(i));
  std::vector<Item> items;
  for (const std::string& key : keys) items.push_back({key, bytes(key)});
  spread_->save_all(items);

  std::set<std::string> folders;
  for (const Entry& entry : plain_->list("")) folders.insert(entry.key.substr(0, 3));
  EXPECT_THAT(folders, ElementsAre("00/", "01/", "02/", "03/"));

  const auto found = spread_->load_present(keys);
  for (std::size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(found[i]->text(), keys[i]);
  const std::vector<Buffer> waited = spread_->load_all(keys, Deadline::in(10));
  EXPECT_EQ(waited[42].text(), keys[42]);
  EXPECT_EQ(spread_->load_range(keys[7], 4, 5)->text(), "round");
}

TEST_F(Spreading, ListsAreWholeAndInOrder) {
  for (const char* key : {"b/2", "b/1", "a/3", "b/10"}) spread_->save(key, bytes("x"));
  std::vector<std::string> listed;
  for (const Entry& entry : spread_->list("b/")) listed.push_back(entry.key);
  EXPECT_THAT(listed, ElementsAre("b/1", "b/10", "b/2"));
  spread_->clear("b/");
  EXPECT_EQ(spread_->list("").size(), 1u);
  spread_->remove("a/3");
  EXPECT_TRUE(plain_->list("").empty());
  EXPECT_TRUE(spread_->create("c", bytes("1")));
  EXPECT_FALSE(spread_->create("c", bytes("2")));
  EXPECT_TRUE(spread_->exists("c"));
  const std::vector<std::string> all{"c"};
  spread_->remove_all(all);
  EXPECT_FALSE(spread_->load("c"));
}

TEST_F(Spreading, FoldersAreListedSeveralAtATime) {
  /// Counts the lists under way.
  class Counting final : public Wrapper {
   public:
    using Wrapper::Wrapper;
    std::vector<Entry> list(std::string_view prefix) override {
      const int now = ++at_once_;
      for (int most = most_; most < now && !most_.compare_exchange_weak(most, now);) {
      }
      pause_for(0.02);
      --at_once_;
      ++lists_;
      return inner().list(prefix);
    }
    std::atomic<int> at_once_{0}, most_{0}, lists_{0};
  };
  const auto counting = std::make_shared<Counting>(plain_);
  EXPECT_TRUE(with_spread(counting, 40)->list("job/").empty());
  EXPECT_EQ(counting->lists_, 40);
  EXPECT_GT(counting->most_, 1);
  EXPECT_LE(counting->most_, 16);
}

TEST_F(Spreading, AWaitNamesTheKeysOfItsCaller) {
  const Error error =
      lambdaml::aws::thrown_by([&] { spread_->load_or_wait("job/absent", Deadline::in(0)); });
  EXPECT_THAT(error.what(),
              ::testing::AllOf(HasSubstr("job/absent"), ::testing::Not(HasSubstr("0/job/absent"))));
}

TEST(SpreadOptions, TheNumberIsChecked) {
  for (const char* bad : {"0", "257", "many"})
    EXPECT_THAT(lambdaml::aws::thrown_by([&] {
                  open_plain(Uri::parse(std::string("s3://bucket/x?prefixes=") + bad));
                }).what(),
                HasSubstr("prefixes"));
}

}  // namespace
}  // namespace lambdaml::storage::s3
