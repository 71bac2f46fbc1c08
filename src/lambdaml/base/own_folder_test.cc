#include "lambdaml/base/own_folder.h"

#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/testing/testing.h"

namespace lambdaml {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

mode_t mode_of(const fs::path& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 ? info.st_mode & 07777U : 0;
}

/// A folder like /tmp, in which Mallory plants things and Alice works.
class OwnFolder : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_ROOT();
    std::string pattern = (fs::temp_directory_path() / "lambdaml-own-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    top_ = pattern;
    ASSERT_EQ(::chmod(top_.c_str(), 0755), 0);
    make(tmp(), 0, 01777);
  }
  void TearDown() override {
    if (!top_.empty()) fs::remove_all(top_);
  }

  fs::path tmp() const { return top_ / "tmp"; }
  static void make(const fs::path& folder, uid_t owner, mode_t mode, gid_t group = 0) {
    ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0) << folder;
    ASSERT_EQ(::chown(folder.c_str(), owner, group), 0);
    ASSERT_EQ(::chmod(folder.c_str(), mode), 0);
  }
  static void link(const fs::path& path, const fs::path& target, uid_t owner) {
    fs::create_symlink(target, path);
    ASSERT_EQ(::lchown(path.c_str(), owner, owner), 0);
  }
  /// The error that Alice gets when she opens it.
  static std::string alice_opens(const fs::path& path, Sharing sharing = Sharing::none) {
    return as_user(kAlice, [&] {
      if (!open_own_folder(path, true, sharing)) fail(Code::internal, "no folder");
    });
  }

  fs::path top_;
};

TEST_F(OwnFolder, IsMadeForItsOwnerAlone) {
  EXPECT_THAT(alice_opens(tmp() / "a/b"), IsEmpty());
  EXPECT_EQ(mode_of(tmp() / "a"), 0700U);
  EXPECT_EQ(mode_of(tmp() / "a/b"), 0700U);
  EXPECT_THAT(alice_opens(tmp() / "a/b"), IsEmpty());
}

TEST_F(OwnFolder, ThatAnotherUserPlantedIsRefusedWithTheRemedy) {
  make(tmp() / "planted", kMallory, 0777);
  EXPECT_THAT(alice_opens(tmp() / "planted"),
              AllOf(HasSubstr((tmp() / "planted").string()), HasSubstr("belongs to another user"),
                    HasSubstr("54322"), HasSubstr("home folder")));
  EXPECT_THAT(alice_opens(tmp() / "planted/below/it"),
              AllOf(HasSubstr("belongs to another user"), HasSubstr((tmp() / "planted").string())));
  EXPECT_TRUE(fs::is_empty(tmp() / "planted"));
  EXPECT_THAT(alice_opens(tmp() / "planted", Sharing::group), HasSubstr("belongs to another user"))
      << "no group of Alice's can write to it";
}

TEST_F(OwnFolder, ThatOthersCanWriteIsRefusedWithTheRemedy) {
  make(tmp() / "open", kAlice, 0777);
  EXPECT_THAT(alice_opens(tmp() / "open"), AllOf(HasSubstr("every user"), HasSubstr("chmod o-w")));
  EXPECT_THAT(alice_opens(tmp() / "open", Sharing::group), HasSubstr("every user"));
  EXPECT_THAT(alice_opens(tmp() / "open/sub"), HasSubstr("chmod o-w"));
  EXPECT_FALSE(fs::exists(tmp() / "open/sub"));
  EXPECT_THAT(alice_opens(tmp()), AllOf(HasSubstr("every user"), HasSubstr("NAME")));
}

TEST_F(OwnFolder, OfAGroupIsForThoseWhoSayThatTheyShareIt) {
  make(tmp() / "group", kAlice, 0770, kAlice);
  EXPECT_THAT(alice_opens(tmp() / "group"),
              AllOf(HasSubstr("the group 54321"), HasSubstr("shared=1")));
  EXPECT_THAT(alice_opens(tmp() / "group", Sharing::group), IsEmpty());
  // A colleague's.
  make(tmp() / "colleague", kMallory, 0770, kAlice);
  EXPECT_THAT(alice_opens(tmp() / "colleague"), HasSubstr("belongs to another user"));
  EXPECT_THAT(alice_opens(tmp() / "colleague", Sharing::group), IsEmpty());
}

TEST_F(OwnFolder, OfRootAndOfEarlierVersionsIsGood) {
  make(tmp() / "of-root", 0, 0755);
  make(tmp() / "of-root/mine", kAlice, 0755);
  EXPECT_THAT(alice_opens(tmp() / "of-root/mine/run"), IsEmpty());
  EXPECT_EQ(mode_of(tmp() / "of-root/mine"), 0755U) << "what is there stays as it is";
  EXPECT_EQ(mode_of(tmp() / "of-root/mine/run"), 0700U);
}

TEST_F(OwnFolder, IsNotReachedByAnothersLink) {
  make(top_ / "home", kAlice, 0700);
  link(tmp() / "link", top_ / "home", kMallory);
  EXPECT_THAT(alice_opens(tmp() / "link"), HasSubstr("belongs to another user"));
  EXPECT_THAT(alice_opens(tmp() / "link/run"), HasSubstr("belongs to another user"));
  link(tmp() / "own-link", top_ / "home", kAlice);
  EXPECT_THAT(alice_opens(tmp() / "own-link/run"), IsEmpty());
  EXPECT_EQ(mode_of(top_ / "home/run"), 0700U);
  link(top_ / "home/back", tmp() / "planted", kAlice);
  make(tmp() / "planted", kMallory, 0777);
  EXPECT_THAT(alice_opens(top_ / "home/back"), HasSubstr("belongs to another user"));
  EXPECT_THAT(alice_opens(top_ / "home/run/../../tmp/planted"),
              HasSubstr("belongs to another user"));
}

TEST_F(OwnFolder, RootIsExempt) {
  make(tmp() / "planted", kMallory, 0777);
  EXPECT_TRUE(open_own_folder(tmp() / "planted", true));
  EXPECT_NO_THROW(require_own_folder(tmp() / "planted"));
}

TEST_F(OwnFolder, NewOnesAreNew) {
  EXPECT_THAT(as_user(kAlice, [&] { make_new_folder(tmp() / "runs/one"); }), IsEmpty());
  EXPECT_EQ(mode_of(tmp() / "runs"), 0700U);
  EXPECT_EQ(mode_of(tmp() / "runs/one"), 0700U);
  EXPECT_THAT(as_user(kAlice, [&] { make_new_folder(tmp() / "runs/one"); }), HasSubstr("exists"));
  EXPECT_THAT(as_user(kAlice, [&] { make_new_folder(tmp() / "direct/"); }), IsEmpty());
  make(tmp() / "theirs", kMallory, 0777);
  EXPECT_THAT(as_user(kAlice, [&] { make_new_folder(tmp() / "theirs/one"); }),
              HasSubstr("belongs to another user"));
  link(tmp() / "link", tmp() / "elsewhere", kMallory);
  EXPECT_THAT(as_user(kAlice, [&] { make_new_folder(tmp() / "link"); }), HasSubstr("exists"));
  EXPECT_FALSE(fs::exists(tmp() / "elsewhere"));
  EXPECT_THAT(as_user(kAlice, [&] { require_own_folder(tmp() / "runs/one"); }), IsEmpty());
  EXPECT_THAT(as_user(kAlice, [&] { require_own_folder(tmp() / "nowhere"); }), IsEmpty());
  EXPECT_THAT(as_user(kAlice, [&] { require_own_folder(tmp() / "theirs"); }),
              HasSubstr("belongs to another user"));
}

TEST_F(OwnFolder, OutputsFollowOwnLinksOnly) {
  make(top_ / "home", kAlice, 0700);
  link(tmp() / "planted", top_ / "home/.profile", kMallory);
  link(tmp() / "own", top_ / "home/labels", kAlice);
  const auto follow = [&](const fs::path& path, const fs::path& to) {
    return [path, to] {
      if (const fs::path end = follow_links(path); end != to)
        fail(Code::internal, "{}", end.string());
    };
  };
  EXPECT_THAT(as_user(kAlice, follow(tmp() / "planted", {})), HasSubstr("not followed"));
  EXPECT_THROW(follow_links(tmp() / "planted"), Error) << "root neither";
  EXPECT_THAT(as_user(kAlice, follow(tmp() / "own", top_ / "home/labels")), IsEmpty());
  EXPECT_THAT(as_user(kAlice, follow(tmp() / "none", tmp() / "none")), IsEmpty());
}

TEST(Scratch, IsNewAndRemovedWithWhatIsInIt) {
  fs::path one;
  {
    const Scratch parent("lambdaml-test-"), scratch("here-", parent.path()), other("here-");
    one = scratch.path();
    EXPECT_EQ(one.parent_path(), parent.path());
    EXPECT_THAT(one.filename().string(), testing::StartsWith("here-"));
    EXPECT_NE(other.path(), one);
    EXPECT_EQ(fs::status(one).permissions(), fs::perms::owner_all);
    fs::create_directories(one / "a/b");
  }
  EXPECT_FALSE(fs::exists(one.parent_path()));
  EXPECT_THROW(Scratch("x-", "/no/such/folder"), Error);
}

}  // namespace
}  // namespace lambdaml
