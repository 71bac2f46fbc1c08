#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include <gmock/gmock.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/files.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/file/arrivals.h"
#include "lambdaml/storage/file/paths.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/testing/conformance.h"

namespace lambdaml::storage {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

INSTANTIATE_TEST_SUITE_P(
    File, StorageConformance,
    testing::Values(StoreUnderTest{"in_shared_memory",
                                   [](const std::string& p) {
                                     return open((shared_memory_folder() / p).string());
                                   }},
                    StoreUnderTest{"on_disk",
                                   [](const std::string& p) {
                                     return open((fs::temp_directory_path() / p).string());
                                   }},
                    StoreUnderTest{
                        "decorated",
                        [](const std::string& p) {
                          return with_prefix(
                              with_chunks(with_retry(open((shared_memory_folder() / p).string())),
                                          1000),
                              "a/job/");
                        }}),
    name_of_store);

class File : public testing::Test {
 protected:
  void TearDown() override { fs::remove_all(folder_); }

  static void put(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  std::vector<std::string> files() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(folder_))
      if (!entry.is_directory()) out.push_back(entry.path().filename());
    return out;
  }

  fs::path folder_ = shared_memory_folder() / unique_place();
  std::shared_ptr<Storage> store_ = open(folder_.string());
};

TEST_F(File, MakesItsFolderAtTheFirstSaveAndRemovesItWhenCleared) {
  EXPECT_FALSE(store_->load("a/b").has_value());
  EXPECT_TRUE(store_->list("").empty());
  EXPECT_THROW(store_->load_or_wait("a/b", Deadline::in(0.01)), Error);
  EXPECT_FALSE(fs::exists(folder_));
  store_->save("a/b", as_bytes("x"));
  EXPECT_TRUE(fs::exists(folder_ / "a/b"));
  store_->clear("");
  EXPECT_FALSE(fs::exists(folder_));
}

/// The file that is mapped at an address; empty if none is.
std::string file_at(const std::byte* address) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) != 2 || at < begin || at >= end)
      continue;
    const std::size_t path = line.find('/');
    return path == std::string::npos ? "" : line.substr(path);
  }
  return "";
}

TEST_F(File, ALargeValueInSharedMemoryIsUsedInPlace) {
  const Buffer value = noise(std::size_t{16} << 20, 1);
  store_->save("large", value);
  store_->save("small", value.view().first(1000));
  std::optional<Buffer> large = store_->load("large");
  ASSERT_TRUE(large && std::ranges::equal(large->view(), value.view()));
  EXPECT_EQ(file_at(store_->load("small")->data()), "");
  if (shared_memory_folder() == "/dev/shm") {
    EXPECT_EQ(file_at(large->data()), (folder_ / "large").string());
  }
  // It is the reader's own, whatever becomes of the key.
  large->data()[0] ^= std::byte{1};
  EXPECT_EQ(store_->load("large")->data()[0], value.data()[0]);
  store_->save("large", as_bytes("another"));
  EXPECT_EQ(store_->load("large")->text(), "another");
  store_->remove("large");
  EXPECT_TRUE(std::ranges::equal(large->view().subspan(1), value.view().subspan(1)));
}

TEST_F(File, ALargeFileOfTheUserIsCopiedForItMayBeCutShort) {
  fs::create_directories(folder_);
  const Buffer value = noise(std::size_t{16} << 20, 1);
  write_file(folder_ / "data", value);
  const std::optional<Buffer> read = store_->load("data");
  fs::resize_file(folder_ / "data", 0);
  ASSERT_TRUE(read);
  EXPECT_TRUE(std::ranges::equal(read->view(), value.view()));
}

TEST_F(File, KeepsAFolderThatWasThereWhenItIsCleared) {
  fs::create_directories(folder_);
  store_->clear("");
  EXPECT_TRUE(fs::exists(folder_)) << "an empty folder of the user's was removed";
  store_->save("job/a", as_bytes("x"));
  store_->clear("job/");
  EXPECT_TRUE(fs::is_empty(folder_));
  store_->clear("");
  EXPECT_TRUE(fs::exists(folder_));
  // Nor one that the user made in the place of the one that was made here.
  fs::remove(folder_);
  open(folder_.string())->save("job/a", as_bytes("x"));
  fs::rename(folder_, folder_.string() + "-moved");
  fs::create_directories(folder_);
  open(folder_.string())->clear("");
  EXPECT_TRUE(fs::exists(folder_));
  fs::remove_all(folder_.string() + "-moved");
}

TEST_F(File, RemovesFromTheFolderThatHasTakenThePlaceOfItsOwn) {
  store_->save("job/a", as_bytes("x"));
  fs::remove_all(folder_);
  put(folder_ / "job/a", "of another");
  store_->remove("job/a");
  EXPECT_FALSE(fs::exists(folder_ / "job/a"));
}

TEST_F(File, RemovesAFolderThatAnotherHandleMade) {
  open(folder_.string())->save("job/a", as_bytes("x"));
  store_->clear("job/");
  EXPECT_FALSE(fs::exists(folder_));
}

TEST_F(File, ClearsNothingBeyondThePrefix) {
  put(folder_ / "job/other.txt", "not ours");
  put(folder_ / "readme", "not ours");
  store_->save("job/1/a", as_bytes("x"));
  put(folder_ / "job/1/.#999999.1", "left by a killed writer");
  store_->clear("job/1/");
  EXPECT_FALSE(fs::exists(folder_ / "job/1"));
  EXPECT_TRUE(fs::exists(folder_ / "job/other.txt"));
  EXPECT_TRUE(fs::exists(folder_ / "readme"));
}

TEST_F(File, DoesNotLeaveItsFolderByASymbolicLink) {
  const fs::path outside = folder_.string() + "-outside";
  put(outside / "secret", "x");
  fs::create_directories(folder_);
  fs::create_directory_symlink(outside, folder_ / "link");
  EXPECT_TRUE(store_->list("").empty());
  store_->clear("");
  EXPECT_TRUE(fs::exists(outside / "secret"));
  fs::remove_all(outside);
}

TEST_F(File, TakesFilesThatArePutThereByHand) {
  put(folder_ / "data.svm", "1 1:2\n");
  EXPECT_EQ(store_->load("data.svm")->text(), "1 1:2\n");
  EXPECT_THAT(store_->list(""), ElementsAre(Entry{"data.svm", 6}));
  std::thread late([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    put(folder_ / "by-hand", "");
  });
  EXPECT_EQ(store_->load_or_wait("by-hand", Deadline::in(20)).size(), 0U);
  late.join();
}

TEST_F(File, AKeyIsNotTheFolderOfAnother) {
  store_->save("a/b", as_bytes("x"));
  for (const auto& [key, why] :
       {std::pair("a", "a folder is in the way"), std::pair("a/b/c", "a file is in the way")}) {
    for (const bool create : {false, true}) {
      try {
        create ? void(store_->create(key, as_bytes("y"))) : store_->save(key, as_bytes("y"));
        ADD_FAILURE() << why;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::invalid_argument) << error.what();
        EXPECT_THAT(error.what(), HasSubstr(key));
      }
    }
    EXPECT_FALSE(store_->load(key).has_value()) << why;
    EXPECT_NO_THROW(store_->remove(key)) << why;
  }
  EXPECT_THAT(files(), ElementsAre("b")) << "something was left behind";
  EXPECT_EQ(store_->load("a/b")->text(), "x");
}

TEST_F(File, AFullDiskIsSaidAndLeavesNothingPartial) {
  store_->save("key", as_bytes("old"));
  // A limit on the size of files stops write() in the middle, as a full disk does, and needs no
  // mount. It holds for a whole process, so a child takes it.
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1'000'000, 1'000'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int result = 1;
    try {
      open(folder_.string())->save("key", noise(3'000'000, 1));
    } catch (const Error& error) {
      const bool named = std::string(error.what()).find(folder_ / "key") != std::string::npos;
      result = error.code() == Code::resource_exhausted && named ? 0 : 2;
    }
    ::_exit(result);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(files(), ElementsAre("key"));
  EXPECT_EQ(store_->load("key")->text(), "old");
}

TEST_F(File, AFolderThatMayNotBeWrittenIsSaid) {
  const auto store = open("/proc/lambdaml-test");
  EXPECT_THROW(store->save("key", as_bytes("x")), Error);
  if (::geteuid() == 0) return;  // to whom everything is allowed
  store_->save("key", as_bytes("x"));
  fs::permissions(folder_, fs::perms::owner_read | fs::perms::owner_exec);
  try {
    store_->save("other", as_bytes("x"));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::permission_denied);
  }
  fs::permissions(folder_, fs::perms::owner_all);
}

/// Runs `body` in a process of its own; for waits without inotify and for writers that die.
template <class Body>
pid_t in_child(Body&& body) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  try {
    body();
  } catch (const std::exception& error) {
    fmt::print(stderr, "child: {}\n", error.what());
    ::_exit(1);
  }
  ::_exit(0);
}

int end_of(pid_t child) {
  int status = 0;
  return ::waitpid(child, &status, 0) == child ? status : -1;
}

TEST_F(File, WaitsAcrossProcesses) {
  constexpr int kRounds = 200;
  const auto wait = Deadline::in(20);
  const pid_t child = in_child([&] {
    for (int i = 0; i < kRounds; ++i) {
      const Buffer ping = store_->load_or_wait(fmt::format("ping/{}", i), wait);
      store_->save(fmt::format("pong/{}", i), ping);
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    store_->save(fmt::format("ping/{}", i), as_bytes(std::to_string(i)));
    EXPECT_EQ(store_->load_or_wait(fmt::format("pong/{}", i), wait).text(), std::to_string(i));
  }
  EXPECT_EQ(end_of(child), 0);
}

TEST_F(File, AChildDoesNotTakeItsParentsNews) {
  // The parent's idle watch is inherited by the child; if the child read from it, the parent would
  // sleep until it looks anyway. Both wait at the same time for keys of one folder.
  store_->save("f/0", {});
  EXPECT_THROW(store_->load_or_wait("f/absent", Deadline::in(0.001)), Error);
  const pid_t child = in_child([&] {
    for (int i = 1; i < 100; ++i) store_->load_or_wait(fmt::format("f/c{}", i), Deadline::in(20));
  });
  std::thread writer([&, mine = open(folder_.string())] {
    for (int i = 1; i < 100; ++i) {
      mine->save(fmt::format("f/c{}", i), {});
      mine->save(fmt::format("f/p{}", i), {});
    }
  });
  for (int i = 1; i < 100; ++i) store_->load_or_wait(fmt::format("f/p{}", i), Deadline::in(20));
  writer.join();
  EXPECT_EQ(end_of(child), 0);
}

/// From now on inotify_init1() fails in this process, as it does where a user has all instances
/// that he may; no other process is touched.
void forbid_inotify() {
  constexpr auto kNumber = static_cast<std::uint32_t>(offsetof(seccomp_data, nr));
  std::array<sock_filter, 4> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNumber),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_inotify_init1, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EMFILE),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter = {program.size(), program.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0 || ::inotify_init1(0) >= 0)
    ::_exit(2);
}

TEST_F(File, WaitsWithoutInotifyToo) {
  store_->save("late/folder", {});
  const pid_t child = in_child([&] {
    forbid_inotify();
    const std::vector<std::string> keys = {"late/a", "late/b"};
    const std::vector<Buffer> values = store_->load_all(keys, Deadline::in(20));
    if (values[0].text() != "A" || values[1].text() != "B") ::_exit(1);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  store_->save("late/b", as_bytes("B"));
  store_->save("late/a", as_bytes("A"));
  EXPECT_EQ(end_of(child), 0);
}

TEST_F(File, SharedMemoryOfAContainerIsTooSmall) {
  EXPECT_EQ(file::with_room("/dev/shm", 64U << 20U), fs::temp_directory_path());
  EXPECT_EQ(file::with_room("/dev/shm", 1U << 30U), "/dev/shm");
}

TEST_F(File, WaitsOnNetworkFileSystemsPoll) {
  for (const long type : {0x6969L, 0xFF534D42L, 0xFE534D42L, 0x65735546L})  // NFS, SMB, FUSE
    EXPECT_FALSE(file::reports_arrivals(type)) << type;
  EXPECT_FALSE(file::reports_arrivals(static_cast<int>(0xFF534D42)));  // where the type is signed
  for (const long type : {0xEF53L, 0x01021994L, 0x58465342L, 0x9123683EL, 0x794C7630L})
    EXPECT_TRUE(file::reports_arrivals(type)) << type;  // ext4, tmpfs, XFS, btrfs, overlay
  const auto polls = open(folder_.string() + "?watch=poll");
  const pid_t child = in_child([&] {
    const std::vector<std::string> keys = {"late/a", "late/b"};
    if (polls->load_all(keys, Deadline::in(20))[1].text() != "B") ::_exit(1);
  });
  store_->save("late/b", as_bytes("B"));
  store_->save("late/a", as_bytes("A"));
  EXPECT_EQ(end_of(child), 0);
  EXPECT_THROW(open(folder_.string() + "?watch=never"), Error);
  // Others that have mounted the same folder reach it.
  const auto reach = [&](const char* query) {
    return reach_of(Uri::parse(folder_.string() + query));
  };
  EXPECT_EQ(reach(""), Reach::machine);
  EXPECT_EQ(reach("?watch=kernel"), Reach::machine);
  EXPECT_EQ(reach("?watch=poll"), Reach::anywhere);
}

TEST_F(File, AWriterKilledInTheMiddleLeavesTheOldValueOrTheNew) {
  constexpr std::size_t kBytes = 2'000'000;
  const auto value_of = [](char letter) {
    Buffer value(kBytes);
    std::memset(value.data(), letter, kBytes);
    return value;
  };
  store_->save("key", value_of('a'));
  Rng rng(7);
  for (int i = 0; i < 30; ++i) {
    const pid_t writer = in_child([&] {
      for (char letter = 'a';; letter = letter == 'z' ? 'a' : static_cast<char>(letter + 1))
        store_->save("key", value_of(letter));
    });
    std::this_thread::sleep_for(std::chrono::microseconds(500 + rng.below(5000)));
    ::kill(writer, SIGKILL);
    end_of(writer);
    const std::optional<Buffer> value = store_->load("key");
    ASSERT_TRUE(value.has_value());
    ASSERT_EQ(value->size(), kBytes);
    ASSERT_EQ(value->text().find_first_not_of(value->text()[0]), std::string_view::npos);
    EXPECT_THAT(store_->list(""), ElementsAre(Entry{"key", kBytes}));
  }
  store_->clear("");
  EXPECT_FALSE(fs::exists(folder_)) << "what the killed ones left was not cleared";
}

TEST_F(File, SavesGoThroughWhileOthersClear) {
  std::atomic<bool> stop{false};
  std::thread clearing([&, mine = open(folder_.string())] {
    while (!stop) mine->clear("");
  });
  for (int i = 0; i < 500; ++i) EXPECT_NO_THROW(store_->save("deep/down/key", as_bytes("x")));
  stop = true;
  clearing.join();
}

/// The modes of all that lies below, by path.
std::map<std::string, mode_t> modes_below(const fs::path& folder) {
  std::map<std::string, mode_t> modes;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    struct stat info {};
    if (::lstat(entry.path().c_str(), &info) == 0)
      modes[entry.path().lexically_relative(folder).string()] = info.st_mode & 0777U;
  }
  return modes;
}

TEST_F(File, IsForItsOwnerUnlessAGroupSharesIt) {
  using testing::Pair;
  using testing::UnorderedElementsAre;
  const mode_t before = ::umask(0002);
  store_->save("a/b/c", as_bytes("x"));
  store_->create("a/d", as_bytes("x"));
  EXPECT_THAT(modes_below(folder_), UnorderedElementsAre(Pair("a", 0700), Pair("a/b", 0700),
                                                         Pair("a/b/c", 0600), Pair("a/d", 0600)));
  store_->clear("");
  open("file://" + folder_.string() + "?shared=1")->save("a/b", as_bytes("x"));
  EXPECT_THAT(modes_below(folder_), UnorderedElementsAre(Pair("a", 0775), Pair("a/b", 0664)));
  ::umask(before);
  EXPECT_THROW(open("file://" + folder_.string() + "?shared=yes"), Error);
}

/// Below a folder like /tmp, in which Mallory plants things and Alice works.
class FileOfTwoUsers : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_ROOT();
    folder_ = shared_memory_folder() / unique_place();
    fs::create_directory(folder_);
    ASSERT_EQ(::chmod(folder_.c_str(), 01777), 0);
  }
  void TearDown() override {
    if (!folder_.empty()) fs::remove_all(folder_);
  }
  static std::string plant(const fs::path& folder) {
    return as_user(kMallory, [&] {
      fs::create_directory(folder);
      std::ofstream(folder / "key") << "of Mallory";
      ::chmod((folder / "key").c_str(), 0666);
      ::chmod(folder.c_str(), 0777);
    });
  }

  fs::path folder_;
};

TEST_F(FileOfTwoUsers, NothingIsWrittenToOrRemovedFromAFolderThatAnotherUserPlanted) {
  const fs::path planted = folder_ / "channel";
  ASSERT_EQ(plant(planted), "");
  const std::pair<const char*, std::function<void(Storage&)>> calls[] = {
      {"save", [](Storage& store) { store.save("a/b", as_bytes("secret")); }},
      {"create", [](Storage& store) { store.create("a", as_bytes("secret")); }},
      {"remove", [](Storage& store) { store.remove("key"); }},
      {"clear", [](Storage& store) { store.clear(""); }}};
  for (const auto& [name, call] : calls) {
    EXPECT_THAT(as_user(kAlice, [&, call = call] { call(*open(planted.string())); }),
                HasSubstr("belongs to another user"))
        << name;
    EXPECT_THAT(as_user(kAlice, [&, call = call] { call(*open((planted / "below").string())); }),
                testing::AnyOf(HasSubstr("belongs to another user"), ""))
        << name;
  }
  EXPECT_THAT(modes_below(planted), ElementsAre(testing::Pair("key", 0666)));
  EXPECT_EQ(as_user(kAlice, [&] { open((folder_ / "own").string())->save("a", {}); }), "");
}

TEST_F(FileOfTwoUsers, AFolderThatTakesThePlaceOfOneThatWasClearedIsNoneOfTheirs) {
  const fs::path channel = folder_ / "channel", cleared = folder_ / "cleared";
  std::thread mallory([&] {
    const Deadline deadline = Deadline::in(60);
    while (!fs::exists(cleared) && !deadline.passed())
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(plant(channel), "");
  });
  const std::string said = as_user(kAlice, [&] {
    const auto store = open(channel.string());
    store->save("job/a", as_bytes("x"));
    store->clear("");
    std::ofstream(cleared) << "x";
    const Deadline deadline = Deadline::in(60);
    while (!fs::exists(channel / "key") && !deadline.passed())
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    store->save("job/a", as_bytes("secret"));
  });
  mallory.join();
  EXPECT_THAT(said, HasSubstr("belongs to another user"));
  EXPECT_FALSE(fs::exists(channel / "job"));
}

TEST_F(FileOfTwoUsers, TheDefaultFolderMustNotBeAnothers) {
  const auto user = static_cast<uid_t>(200'000 + ::getpid());
  const std::string folder = as_user(user, [] { throw std::runtime_error(resolve("file").path); });
  ASSERT_THAT(folder, testing::EndsWith(fmt::format("lambdaml-{}", user)));
  ASSERT_EQ(plant(folder), "");
  EXPECT_THAT(as_user(user, [] { open("file")->save("a", as_bytes("secret")); }),
              testing::AllOf(HasSubstr(folder), HasSubstr("belongs to another user")));
  fs::remove_all(folder);
}

TEST_F(FileOfTwoUsers, AGroupMeetsInAFolderThatItShares) {
  const fs::path team = folder_ / "team";
  fs::create_directory(team);
  ASSERT_EQ(::chown(team.c_str(), kMallory, kAlice), 0);
  ASSERT_EQ(::chmod(team.c_str(), 02770), 0);
  EXPECT_THAT(as_user(kAlice, [&] { open(team.string())->save("a", {}); }),
              HasSubstr("belongs to another user"));
  EXPECT_EQ(as_user(kAlice,
                    [&] {
                      ::umask(0002);
                      open("file://" + team.string() + "?shared=1")->save("job/a", {});
                    }),
            "");
  EXPECT_THAT(modes_below(team), testing::UnorderedElementsAre(testing::Pair("job", 0775),
                                                               testing::Pair("job/a", 0664)));
}

TEST_F(File, TheDefaultFolderIsForItsOwnerOnly) {
  const fs::path folder = resolve("file").path;
  if (fs::exists(folder)) {
    struct stat info {};
    ASSERT_EQ(::stat(folder.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0700U);
  }
  const std::string place = unique_place();
  const auto store = with_prefix(open("file"), place + "/");
  store->save("key", as_bytes("x"));
  struct stat info {};
  ASSERT_EQ(::stat(folder.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
  store->clear("");
  EXPECT_FALSE(fs::exists(folder / place));
}

}  // namespace
}  // namespace lambdaml::storage
