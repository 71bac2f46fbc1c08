#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"
#include "lambdaml/data/array.h"
#include "lambdaml/data/rows.h"
#include "lambdaml/data/source.h"
#include "lambdaml/data/summary.h"
#include "lambdaml/data/testing/test_util.h"

/// Real targets and names accompany their rows wherever these go.
namespace lambdaml::data {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::HasSubstr;

const Names kNames{.features = {"age", "colour=red", "colour=blue"},
                   .labels = {},
                   .label = "y",
                   .fills = {1, 0, 0}};

/// Row r has the target r + 0.25.
Dataset with_targets_and_names(Form form, std::size_t rows = 7) {
  Array<float> values(rows * 3);
  Array<float> targets(rows);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  for (std::size_t r = 0; r < rows; ++r) targets[r] = static_cast<float>(r) + 0.25F;
  Labelling labelling(std::move(targets));
  labelling.names = std::make_shared<const Names>(kNames);
  return in_form(dense_dataset(std::move(values), rows, 3, std::move(labelling)), form);
}

Dataset with_named_labels() {
  Array<float> values(4);
  Array<std::int32_t> labels(4);
  for (std::size_t r = 0; r < 4; ++r) {
    values[r] = static_cast<float>(r);
    labels[r] = static_cast<std::int32_t>(r % 2);
  }
  Labelling labelling(std::move(labels));
  labelling.names = std::make_shared<const Names>(Names{{"age"}, {"no", "yes"}});
  return dense_dataset(std::move(values), 4, 1, std::move(labelling));
}

class TargetsAndNames : public testing::TestWithParam<Form> {
 protected:
  Dataset all = with_targets_and_names(GetParam());
};
INSTANTIATE_TEST_SUITE_P(, TargetsAndNames, testing::Values(Form::dense, Form::sparse));

TEST_P(TargetsAndNames, AreOfTheRowsThatAreTaken) {
  EXPECT_TRUE(all.labelled());
  const std::uint32_t order[] = {6, 0, 3};
  for (const auto& [rows, targets] : {std::pair{all.slice(2, 4), std::vector<float>{2.25, 3.25}},
                                      {take_part(all, 1, 3), {1.25, 4.25}},
                                      {take_rows(all, order), {6.25, 0.25, 3.25}},
                                      {in_form(all, Form::dense).slice(6, 7), {6.25}},
                                      {in_form(all, Form::sparse).slice(6, 7), {6.25}}}) {
    EXPECT_EQ(to_targets(rows), targets);
    EXPECT_EQ(names_in(rows), kNames);
    EXPECT_TRUE(rows.labels.empty());
  }
}

TEST_P(TargetsAndNames, OfColumns) {
  const Dataset two = with_cols(all, 2);
  EXPECT_THAT(names_in(two).features, ElementsAre("age", "colour=red"));
  EXPECT_THAT(names_in(two).fills, ElementsAre(1, 0));
  EXPECT_EQ(to_targets(two), to_targets(all));
  // There is no name for a column that was added.
  EXPECT_TRUE(names_in(with_cols(all, 4)).features.empty());
  EXPECT_EQ(names_in(with_cols(all, 4)).label, "y");
  EXPECT_EQ(to_targets(with_cols(all, 4)), to_targets(all));
}

TEST_P(TargetsAndNames, AreOfJoinedRows) {
  EXPECT_TRUE(same(interleave({take_part(all, 0, 2), take_part(all, 1, 2)}), all));
  EXPECT_TRUE(same(concatenate({all.slice(0, 3), all.slice(3, 7)}), all));
}

TEST_P(TargetsAndNames, ChangeTheChecksum) {
  Dataset other = all;
  other.names = nullptr;
  EXPECT_NE(checksum_of(other), checksum_of(all));
  Dataset untargeted = other;
  untargeted.targets = {};
  EXPECT_NE(checksum_of(untargeted), checksum_of(other));
}

TEST_P(TargetsAndNames, SurviveAPreparedSet) {
  const TemporaryFolder folder;
  const Uri uri = Uri::parse(folder.path().string());
  const Manifest made = split(all, 3, *storage::open(uri));
  EXPECT_TRUE(made.targets);
  EXPECT_TRUE(same(data::read(uri), all));
  const Manifest manifest = find_manifest(uri).value();
  EXPECT_TRUE(manifest.targets && manifest.labelled());
  EXPECT_EQ(*manifest.names, kNames);
  // An event has no names, and its parts have them.
  const Manifest facts = Manifest::from_json(json_text(manifest.facts()), "EVENT");
  EXPECT_TRUE(facts.targets);
  EXPECT_FALSE(facts.names);
  EXPECT_EQ(names_in(read_part(*storage::open(uri), 2, facts)), kNames);
  // Without its manifest, too.
  std::filesystem::remove(folder.path() / "manifest.json");
  EXPECT_TRUE(same(in_form(data::read(uri), GetParam()), all));
  const Summary summary = summarize(uri, "auto", 1);
  ASSERT_TRUE(summary.targets);
  EXPECT_EQ(summary.targets->min, 0.25);
  EXPECT_EQ(summary.targets->mean, 3.25);
  EXPECT_EQ(summary.targets->max, 6.25);
  EXPECT_EQ(*summary.names, kNames);
}

TEST(JoinedRows, HaveTargetsIfOnePartHas) {
  const Dataset reals = with_targets_and_names(Form::dense, 2);
  Dataset whole = parse_text("3 1:1 2:1 3:1\n");
  EXPECT_EQ(to_targets(concatenate({whole, reals})), (std::vector<float>{3, 0.25, 1.25}));
  const Dataset unlabelled = concatenate({reals, parse_text("1:1 2:1 3:1\n")});
  EXPECT_TRUE(unlabelled.targets.empty() && unlabelled.labels.empty());
}

TEST(JoinedRows, OfSparsePartsAreSparse) {
  const Dataset a = parse_text("1 1:1 70000:2\n0 3:4\n");
  const Dataset b = parse_text("1 2:5\n", Form::sparse);
  EXPECT_TRUE(same(concatenate({a, b}), parse_text("1 1:1 70000:2\n0 3:4\n1 2:5\n")));
}

TEST(NamedLabels, SurviveAShard) {
  const Dataset rows = with_named_labels();
  const Plugin& shard = registry().get("shard");
  const auto bytes = std::make_shared<const Buffer>(shard.write(rows));
  EXPECT_TRUE(same(shard.read(bytes, {"FILE"}), rows));
}

TEST(NamedLabels, MustHaveANameEach) {
  Dataset rows = with_named_labels();
  rows.names = std::make_shared<const Names>(Names{{"age"}, {"no"}});
  const auto bytes = std::make_shared<const Buffer>(registry().get("shard").write(rows));
  EXPECT_THAT(error_of([&] { registry().get("shard").read(bytes, {"FILE"}); }),
              HasSubstr("FILE: a label has no name among those of the labels"));
}

TEST(PartsWithoutAManifest, HaveTheSameNames) {
  const TemporaryFolder folder;
  const Uri uri = Uri::parse(folder.path().string());
  const auto store = storage::open(uri);
  const Plugin& shard = registry().get("shard");
  Dataset rows = with_named_labels();
  store->save("0_2", shard.write(rows));
  rows.names = nullptr;
  store->save("1_2", shard.write(rows));
  EXPECT_THAT(error_of([&] { data::read(uri); }), HasSubstr("the parts' names differ"));
}

TEST(NamesText, SurvivesAndIsChecked) {
  for (const Names& names : {kNames, Names{{}, {"a", "b"}}, Names{{"x", "y", "z"}, {}}})
    EXPECT_EQ(*names_from(names_text(names), 3, "FILE"), names);
  EXPECT_EQ(names_from("", 3, "FILE"), nullptr);
  const std::pair<const char*, const char*> bad[] = {
      {"{", "its names are no JSON object"},
      {"[]", "its names are no JSON object"},
      {R"({"features":"a"})", "its names are of another form than this program writes"},
      {R"({"features":[1,2,3]})", "its names are of another form than this program writes"},
      {R"({"features":["a","b"]})", "it names 2 features and has 3"},
      {R"({"fills":[1,2,3]})", "the values for missing ones are not one number per feature"},
      {R"({"features":["a","b","c"],"fills":[1,2,1e99]})",
       "the values for missing ones are not one number per feature"},
      {R"({"labels":["b","a"]})", "the names of its labels do not ascend"},
      {R"({"labels":["a","a"]})", "the names of its labels do not ascend"}};
  for (const auto& [text, why] : bad)
    EXPECT_EQ(error_of([&, t = text] { names_from(t, 3, "FILE"); }),
              fmt::format("data_corrupt: FILE: {}", why));
}

}  // namespace
}  // namespace lambdaml::data
