#include "lambdaml/tune/begin_search.h"

#include <gmock/gmock.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/wrapper.h"
#include "lambdaml/tune/testing/small_search.h"

namespace lambdaml::tune {
namespace {

/// Whose server ignores the condition of a write.
class Careless : public storage::Wrapper {
 public:
  using Wrapper::Wrapper;
  storage::Capabilities capabilities() const override {
    storage::Capabilities out = Wrapper::capabilities();
    out.create_varies = true;
    return out;
  }
  bool create(std::string_view key, Bytes value) override {
    save(key, value);
    return true;
  }
};
const AddedPlugin<storage::Registry> careless([](storage::Registry& registry) {
  registry.add({.name = "careless",
                .help = "a store that ignores the condition of a write",
                .open =
                    [](Uri uri, const Options&, const std::shared_ptr<Patience>&) {
                      uri.scheme = "memory";
                      return std::make_shared<Careless>(storage::open(uri.text()));
                    },
                .default_uri = [] { return Uri::parse("careless://x"); }});
});

TEST(BeginSearch, DoesNotBeginWhereTheConditionOfAWriteIsIgnored) {
  const Scratch scratch("lambdaml-careless-");
  Search search;
  read_search_text("data: " + data_in(scratch.path()).string() +
                       "\nworkers: 1\ntune:\n  space:\n    lr: {uniform: [0.1, 1]}\n",
                   "job.yaml", search);
  search.id = "tune-3";
  Records records("careless://" + unique_id());
  try {
    begin(search, records);
    FAIL() << "it began";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(), testing::HasSubstr("a search needs conditional writes"));
  }
  EXPECT_FALSE(records.search());
}

}  // namespace
}  // namespace lambdaml::tune
