#include "lambdaml/base/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/testing/testing.h"

namespace lambdaml {
namespace {

using testing::HasSubstr;

Options sample() {
  return Options({
      {.name = "batch_size", .default_value = std::int64_t{1000}, .help = "rows", .minimum = 1},
      {.name = "lr",
       .default_value = 0.1,
       .help = "rate",
       .above = 0,
       .aliases = {"learning_rate"}},
      {.name = "model", .default_value = std::string("lr"), .help = "m", .choices = {"lr", "svm"}},
      {.name = "keep", .default_value = false, .help = "k"},
      {.name = "l2",
       .default_value = std::string("auto"),
       .help = "p",
       .minimum = 0,
       .words = {"auto"}},
  });
}

TEST(Options, DefaultsUntilSetAndAliasesMeanTheSame) {
  Options options = sample();
  EXPECT_EQ(options.real("lr"), 0.1);
  EXPECT_FALSE(options.is_set("lr"));
  options.parse("learning-rate", "0.5", "job.yaml");
  EXPECT_EQ(options.real("lr"), 0.5);
  EXPECT_TRUE(options.is_set("lr"));
  options.parse("batch-size", "1e3", "--batch-size");
  EXPECT_EQ(options.integer("batch_size"), 1000);
  options.set("lr", Option::Value(std::int64_t{2}), "event");
  EXPECT_EQ(options.real("lr"), 2.0);
}

TEST(Options, AValueOfAnotherOptionIsSaidToBeOne) {
  Options options({{.name = "optim",
                    .default_value = std::string("admm"),
                    .help = "o",
                    .choices = {"admm", "em"}},
                   {.name = "optimizer",
                    .default_value = std::string("sgd"),
                    .help = "o",
                    .choices = {"sgd", "adam"}}});
  EXPECT_THAT(message_of([&] { options.parse("optim", "adam", "--optim"); }),
              HasSubstr("did you mean '--optimizer adam'?"));
  EXPECT_THAT(message_of([&] { options.parse("optim", "adm", "--optim"); }),
              HasSubstr("did you mean 'admm'?"));
  EXPECT_THAT(message_of([&] { options.parse("optim", "zzz", "--optim"); }),
              HasSubstr("; known: admm, em"));
}

TEST(Options, ANumberMayHaveAWordInItsPlace) {
  Options options = sample();
  EXPECT_EQ(type_of(*options.find("l2")), OptionType::real);
  EXPECT_EQ(options.real_unless_word("l2"), std::nullopt);
  options.parse("l2", "1e-3", "--l2");
  EXPECT_EQ(options.real_unless_word("l2"), 1e-3);
  options.set("l2", Option::Value(std::int64_t{0}), "event");
  EXPECT_EQ(options.real_unless_word("l2"), 0.0);
  options.set("l2", Option::Value(std::string("auto")), "event");
  EXPECT_EQ(options.real_unless_word("l2"), std::nullopt);
  EXPECT_EQ(message_of([&] { options.parse("l2", "much", "--l2"); }),
            "--l2: l2 wants a number or auto, not 'much'");
  EXPECT_THAT(message_of([&] { options.parse("l2", "-1", "--l2"); }), HasSubstr("at least 0"));
  EXPECT_THAT(message_of([&] { options.set("lr", Option::Value(std::string("auto")), "event"); }),
              HasSubstr("wants a number, not 'auto'"));
}

TEST(Options, TruthValuesAreTakenAsYamlAndPeopleWriteThem) {
  for (const char* yes : {"true", "True", "TRUE", "yes", "Yes", "on", "ON", "y", "1"}) {
    Options options = sample();
    options.parse("keep", yes, "--keep");
    EXPECT_TRUE(options.flag("keep")) << yes;
  }
  for (const char* no : {"false", "False", "FALSE", "no", "NO", "off", "Off", "n", "0"}) {
    Options options = sample();
    options.parse("keep", no, "--keep");
    EXPECT_TRUE(options.is_set("keep")) << no;
    EXPECT_FALSE(options.flag("keep")) << no;
  }
  for (const char* neither : {"", "yess", "tru", "2", "null"}) {
    Options options = sample();
    EXPECT_THROW(options.parse("keep", neither, "--keep"), Error) << neither;
  }
}

TEST(Options, YesAndNoAreTruthValuesToo) {
  Options options({{.name = "header",
                    .default_value = std::string("auto"),
                    .help = "",
                    .choices = {"auto", "yes", "no"}},
                   {.name = "colour",
                    .default_value = std::string("red"),
                    .help = "",
                    .choices = {"red", "on"}}});
  for (const auto& [text, value] : {std::pair("False", "no"), {"YES", "yes"}, {"auto", "auto"}}) {
    options.parse("header", text, "test");
    EXPECT_EQ(options.text("header"), value);
  }
  EXPECT_THROW(options.parse("colour", "true", "test"), Error);
}

TEST(Options, MessagesSayTheNameThatWasGiven) {
  Options options = sample();
  EXPECT_THAT(message_of([&] { options.parse("learning_rate", "0", "payload"); }),
              HasSubstr("payload: learning_rate must be above 0"));
  EXPECT_THAT(message_of([&] { options.parse("learning-rate", "x", "payload"); }),
              HasSubstr("payload: learning_rate wants a number"));
}

TEST(Options, WrongOnesNameThePlaceAndTheNearest) {
  Options options = sample();
  EXPECT_THAT(message_of([&] { options.parse("batchsize", "3", "job.yaml"); }),
              HasSubstr("job.yaml: unknown option 'batchsize', did you mean 'batch_size'"));
  EXPECT_THAT(message_of([&] { options.parse("model", "svn", "--model"); }),
              HasSubstr("--model: unknown value 'svn' of model, did you mean 'svm'"));
  EXPECT_THAT(message_of([&] { options.parse("batch_size", "0", "--batch-size"); }),
              HasSubstr("must be at least 1, not 0"));
  EXPECT_THAT(message_of([&] { options.parse("batch_size", "1.5", "--batch-size"); }),
              HasSubstr("wants a whole number, not '1.5'"));
  EXPECT_THAT(message_of([&] { options.parse("lr", "0", "--lr"); }), HasSubstr("must be above 0"));
  for (const char* bad : {"nan", "inf", "abc", ""})
    EXPECT_THAT(message_of([&] { options.parse("lr", bad, "--lr"); }), HasSubstr("wants a number"));
  EXPECT_THAT(message_of([&] { options.parse("keep", "maybe", "--keep"); }),
              HasSubstr("true or false"));
}

}  // namespace
}  // namespace lambdaml
