#include <gmock/gmock.h>

#include "lambdaml/base/error.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/comm/testing/conformance.h"

/// Options of patterns: which patterns have which, and which combinations are rejected.
namespace lambdaml::comm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// "" where the pattern takes the job's options.
std::string error_of(const std::string& pattern, const std::map<std::string, std::string>& options,
                     bool merges_increments = true) {
  try {
    check_pattern(pattern, {.options = options_with(options),
                            .optimizer = "some_optimizer",
                            .merges_increments = merges_increments,
                            .open_channel = [] { return storage::open(memory_place()); }});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument) << error.what();
    return error.what();
  }
  return "";
}

TEST(PatternOptions, AreThoseOfTheirOwners) {
  const Options all = pattern_options();
  for (const Plugin& plugin : registry().entries())
    for (const Option& option : plugin.options)
      EXPECT_NE(all.find(option.name), nullptr) << plugin.name << ": " << option.name;
  EXPECT_EQ(error_of("reduce", {{"aggregators", "3"}, {"compress", "topk"}}), "");
  EXPECT_EQ(error_of("reduce_scatter", {{"aggregators", "3"}}), "");
  EXPECT_EQ(error_of("async", {{"compress", "int8"}}), "");
  EXPECT_EQ(error_of("async", {{"aggregators", "0"}, {"staleness", "-1"}}), "") << "the defaults";
  EXPECT_THAT(error_of("reduse", {}), HasSubstr("'reduce'"));
}

TEST(PatternOptions, ThatDoNotGoTogetherAreRefusedBeforehand) {
  EXPECT_THAT(error_of("async", {{"compress", "topk"}}), HasSubstr("bf16 or int8"));
  EXPECT_THAT(error_of("async", {{"staleness", "2"}}), HasSubstr("a channel that adds up itself"));
  for (const char* pattern : {"reduce", "reduce_scatter", "async"}) {
    EXPECT_THAT(error_of(pattern, {{"compress", "int8"}}, false),
                AllOf(HasSubstr("some_optimizer"), HasSubstr("merges states")));
    EXPECT_EQ(error_of(pattern, {}, false), "");
  }
}

TEST(PatternOptions, AreTakenFromThoseOfAJob) {
  const Options patterns = pattern_options();
  std::vector<Option> declared = patterns.declared();
  declared.push_back({.name = "epochs", .default_value = std::int64_t{10}, .help = "e"});
  Options job(declared);
  job.parse("aggregators", "7", "test");
  job.parse("epochs", "3", "test");
  const Options own = pattern_options(job);
  EXPECT_EQ(own.integer("aggregators"), 7);
  EXPECT_EQ(own.find("epochs"), nullptr);
}

}  // namespace
}  // namespace lambdaml::comm
