#include <filesystem>

#include <gmock/gmock.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/storage/registry.h"

/// Options of a store, in the query of its URI: by a store that is in no list.
namespace lambdaml::storage {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

struct Opened {
  Uri uri;
  std::string zone;
  double delay_s = -1;
  bool durable = false;
  std::size_t declared = 0;
};

/// A store that has options, or none; what it was opened with is in `opened`.
Plugin store(Opened& opened, bool has_options) {
  Plugin plugin{.name = "cellar",
                .help = "c",
                .open =
                    [&](const Uri& uri, const Options& options, std::shared_ptr<Patience>) {
                      opened = Opened();
                      opened.uri = uri;
                      opened.declared = options.declared().size();
                      if (opened.declared > 0) {
                        opened.zone = options.text("zone");
                        opened.delay_s = options.real("delay_s");
                        opened.durable = options.flag("durable");
                      }
                      return std::shared_ptr<Storage>();
                    },
                .default_uri = [] { return Uri::parse("cellar://x"); }};
  if (has_options)
    plugin.options = {
        {.name = "zone",
         .default_value = std::string("near"),
         .help = "z",
         .choices = {"near", "far"}},
        {.name = "delay_s", .default_value = 0.5, .help = "d", .minimum = 0, .maximum = 9},
        {.name = "durable", .default_value = false, .help = "d"}};
  return plugin;
}

std::string error_of(const std::string& uri) {
  Opened opened;
  try {
    open_with(store(opened, true), Uri::parse(uri), nullptr);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument) << error.what();
    EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
    return error.what();
  }
  ADD_FAILURE() << uri << " was opened";
  return "";
}

TEST(StoreOptions, AreTheQueryOfItsUri) {
  Opened opened;
  open_with(store(opened, true), Uri::parse("cellar://host/a/b?zone=far&delay_s=2&durable=true"),
            nullptr);
  EXPECT_EQ(opened.zone, "far");
  EXPECT_EQ(opened.delay_s, 2);
  EXPECT_TRUE(opened.durable);
  EXPECT_EQ(opened.uri.path, "a/b");
  open_with(store(opened, true), Uri::parse("cellar://host/a/b"), nullptr);
  EXPECT_EQ(opened.zone, "near");
  EXPECT_EQ(opened.delay_s, 0.5);
  EXPECT_FALSE(opened.durable);
}

TEST(Stores, AreMeantByAUriWithAnotherNumberOfSlashes) {
  for (const std::string& name : registry().names())
    for (const char* slip : {":host/x", ":/host/x", "//host/x"}) try {
        ADD_FAILURE() << Uri::parse(name + slip).display();
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("did you mean " + (name == "file" ? "" : name + "://")))
            << slip;
      }
}

TEST(StoreOptions, TravelWithTheUri) {
  const Uri uri = Uri::parse("cellar://host/a/b?delay_s=2&zone=far");
  EXPECT_EQ(Uri::parse(uri.text()), uri);
  Opened opened;
  open_with(store(opened, true), (uri / "job").parent().parent() / "data", nullptr);
  EXPECT_EQ(opened.uri.path, "a/data");
  EXPECT_EQ(opened.zone, "far");
}

TEST(StoreOptions, WhatIsWrongIsSaidInOneLine) {
  EXPECT_THAT(
      error_of("cellar://host?zoen=far"),
      AllOf(HasSubstr("cellar://host"), HasSubstr("unknown option 'zoen'"), HasSubstr("'zone'")));
  EXPECT_THAT(error_of("cellar://host?zone=fra"), HasSubstr("did you mean 'far'"));
  EXPECT_THAT(error_of("cellar://host?delay_s=x"), HasSubstr("delay_s wants a number"));
  EXPECT_THAT(error_of("cellar://host?delay_s=10"), HasSubstr("at most 9"));
  EXPECT_THAT(error_of("cellar://host?durable=maybe"), HasSubstr("true or false"));
  EXPECT_THAT(error_of("cellar://me:SECRET@host?zone=fra"), Not(HasSubstr("SECRET")));
}

TEST(StoreOptions, AQueryIsThatOfAStoreThatDeclaresNone) {
  Opened opened;
  const Uri uri = Uri::parse("cellar://host/a?anything=goes");
  open_with(store(opened, false), uri, nullptr);
  EXPECT_EQ(opened.uri, uri);
  EXPECT_EQ(opened.declared, 0U);
}

TEST(StoreOptions, AQuestionMarkInAPathOfFilesStays) {
  const Scratch scratch("lambdaml-options-");
  const std::filesystem::path& folder = scratch.path();
  {
    const auto files = open((folder / "what?zone=far").string());
    files->save("why?a=b", as_bytes("x"));
    EXPECT_EQ(files->load("why?a=b")->text(), "x");
  }
  EXPECT_TRUE(std::filesystem::exists(folder / "what?zone=far" / "why?a=b"));
}

TEST(StoreOptions, EveryStoresOptionsCanBeWritten) {
  for (const Plugin& plugin : registry().entries())
    for (const Option& option : plugin.options) {
      EXPECT_FALSE(option.name.empty() || option.help.empty()) << plugin.name;
      EXPECT_EQ(option.name.find_first_of("?&= -"), std::string::npos) << option.name;
    }
}

}  // namespace
}  // namespace lambdaml::storage
