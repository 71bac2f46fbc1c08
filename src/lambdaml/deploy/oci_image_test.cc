#include "lambdaml/deploy/oci_image.h"

#include <cstdlib>
#include <filesystem>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "lambdaml/aws/sigv4.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/own_folder.h"

namespace lambdaml::deploy {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

ZipEntries some_files() {
  ZipEntries entries;
  entries["bootstrap"] = {Buffer(as_bytes("#!/bin/sh\necho started\n")), true};
  entries["bin/worker"] = {Buffer(as_bytes(std::string(100'000, 'w'))), true};
  entries["etc/empty"] = {Buffer(), false};
  entries["etc/block"] = {Buffer(as_bytes(std::string(512, 'b'))), false};
  return entries;
}

ImageOptions options() {
  return {.architecture = "arm64",
          .folder = "/var/task",
          .entrypoint = {"/var/task/bootstrap"},
          .command = {"worker"},
          .environment = {"A=b"},
          .version = "1.2"};
}

/// A blob, whose name and size must be those of its contents.
std::string blob(const fs::path& image, const nlohmann::json& descriptor) {
  const std::string digest = descriptor.at("digest").get<std::string>();
  const auto bytes = read_file(image / "blobs" / "sha256" / digest.substr(7));
  if (!bytes) return "there is no blob " + digest;
  EXPECT_EQ(digest, "sha256:" + aws::sha256_hex(bytes->view()));
  EXPECT_EQ(descriptor.at("size").get<std::size_t>(), bytes->size());
  return std::string(bytes->text());
}

TEST(OciImage, IsFoundFromItsIndex) {
  const Scratch folder("lambdaml-oci-");
  const fs::path image = folder.path() / "image";
  write_oci_image(image, some_files(), options());
  EXPECT_EQ(read_file(image / "oci-layout")->text(), R"({"imageLayoutVersion":"1.0.0"})");
  const auto index = parse_json(read_file(image / "index.json")->text());
  EXPECT_EQ(index.at("schemaVersion"), 2);
  const auto& named = index.at("manifests").at(0);
  EXPECT_EQ(named.at("platform").at("architecture"), "arm64");
  EXPECT_EQ(named.at("annotations").at("org.opencontainers.image.ref.name"), "latest");
  const auto manifest = parse_json(blob(image, named));
  const auto config = parse_json(blob(image, manifest.at("config")));
  EXPECT_EQ(config.at("os"), "linux");
  EXPECT_EQ(config.at("config").at("Entrypoint").at(0), "/var/task/bootstrap");
  EXPECT_EQ(config.at("config").at("Cmd").at(0), "worker");
  EXPECT_EQ(config.at("config").at("Env").at(0), "A=b");
  ASSERT_EQ(manifest.at("layers").size(), 1U);
  // The layer as tar(1) unpacks it.
  write_file(folder.path() / "layer.gz", as_bytes(blob(image, manifest.at("layers").at(0))));
  const auto run = [&](const std::string& command) {
    return std::system(("cd " + folder.path().string() + " && " + command).c_str());
  };
  ASSERT_EQ(run("gunzip -k layer.gz && mkdir out && tar -xf layer -C out"), 0);
  EXPECT_EQ(config.at("rootfs").at("diff_ids").at(0),
            "sha256:" + aws::sha256_hex(read_file(folder.path() / "layer")->view()));
  const fs::path task = folder.path() / "out" / "var" / "task";
  for (const auto& [name, entry] : some_files()) {
    ASSERT_TRUE(read_file(task / name)) << name;
    EXPECT_TRUE(read_file(task / name)->text() == entry.content.text()) << name;
  }
  EXPECT_EQ(run("test \"$(out/var/task/bootstrap)\" = started"), 0);
  EXPECT_FALSE(fs::status(task / "etc" / "block").permissions() ==
               fs::status(task / "bootstrap").permissions());
}

TEST(OciImage, DependsOnItsFilesOnly) {
  const Scratch folder("lambdaml-oci-");
  const auto index = [&](const char* name) {
    write_oci_image(folder.path() / name, some_files(), options());
    return std::string(read_file(folder.path() / name / "index.json")->text());
  };
  EXPECT_EQ(index("a"), index("b"));
  EXPECT_EQ(index("a"), index("a")) << "an earlier one is replaced";
}

TEST(OciImage, DoesNotMixWithOtherFiles) {
  const Scratch folder("lambdaml-oci-");
  write_file(folder.path() / "mine", as_bytes("x"));
  for (const fs::path& path : {folder.path(), folder.path() / "mine"}) {
    try {
      write_oci_image(path, some_files(), options());
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::already_exists);
      EXPECT_THAT(error.what(), HasSubstr("something else is there"));
    }
  }
}

}  // namespace
}  // namespace lambdaml::deploy
