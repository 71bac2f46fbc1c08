#include "lambdaml/storage/s3/answers.h"

#include <algorithm>
#include <cstring>
#include <sstream>

#include <fmt/core.h>
#include <pugixml.hpp>

#include "lambdaml/base/service/answers.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::storage::s3 {
namespace {

/// The document's root, which must have that name. Any other document was cut off or comes from
/// elsewhere, and the request is retried.
pugi::xml_node root_of(pugi::xml_document& document, std::string_view xml, const char* name) {
  const pugi::xml_parse_result result = document.load_buffer(xml.data(), xml.size());
  const pugi::xml_node root = document.document_element();
  if (!result || std::strcmp(root.name(), name) != 0)
    fail(Code::unavailable, "an answer of S3 should be a {} and is not{}", name,
         repeats_answers() ? fmt::format(": '{}'", printable(xml, 60)) : "");
  return root;
}

Fault fault_of(const pugi::xml_node& node) {
  return {node.child_value("Code"), printable(node.child_value("Message"), 300),
          node.child_value("Region")};
}

std::string text_of(const pugi::xml_document& document) {
  std::ostringstream out;
  document.save(out, "", pugi::format_raw);
  return out.str();
}

}  // namespace

std::string what_for(std::string_view verb, std::string_view key) {
  return fmt::format("{} '{}'", verb, key);
}

Fault parse_fault(std::string_view xml) {
  pugi::xml_document document;
  if (!document.load_buffer(xml.data(), xml.size())) return {};
  const pugi::xml_node root = document.document_element();
  if (std::strcmp(root.name(), "Error") == 0) return fault_of(root);
  return {};
}

bool is_result(std::string_view xml) {
  if (xml.find('<') == std::string_view::npos) return false;
  pugi::xml_document document;
  if (!document.load_buffer(xml.data(), xml.size())) return false;
  const std::string_view root = document.document_element().name();
  return root == "ListBucketResult" || root == "DeleteResult" ||
         root == "InitiateMultipartUploadResult" || root == "CompleteMultipartUploadResult" ||
         root == "CreateSessionResult";
}

Page parse_page(std::string_view xml) {
  pugi::xml_document document;
  const pugi::xml_node root = root_of(document, xml, "ListBucketResult");
  const bool encoded = std::strcmp(root.child_value("EncodingType"), "url") == 0;
  Page page;
  for (const pugi::xml_node& node : root.children("Contents")) {
    const std::string key = node.child_value("Key");
    const std::optional<std::string> plain = encoded ? decode_key(key) : key;
    const std::optional<std::int64_t> bytes = to_integer(node.child_value("Size"));
    if (!plain || !bytes || *bytes < 0)
      fail(Code::data_corrupt, "S3's list holds a key '{}' of size '{}'", printable(key),
           printable(node.child_value("Size")));
    page.entries.push_back({*plain, static_cast<std::uint64_t>(*bytes)});
  }
  if (std::strcmp(root.child_value("IsTruncated"), "true") == 0) {
    page.next = root.child_value("NextContinuationToken");
    if (page.next.empty())
      fail(Code::data_corrupt, "S3's list is truncated but has no continuation token");
  }
  return page;
}

aws::Credentials parse_session(std::string_view xml) {
  pugi::xml_document document;
  const pugi::xml_node node = root_of(document, xml, "CreateSessionResult").child("Credentials");
  aws::Credentials out{.access_key = node.child_value("AccessKeyId"),
                       .secret_key = node.child_value("SecretAccessKey"),
                       .session_token = node.child_value("SessionToken")};
  if (out.access_key.empty() || out.secret_key.empty() || out.session_token.empty())
    fail(Code::data_corrupt, "S3 began a session without credentials");
  return out;
}

std::string parse_upload_id(std::string_view xml) {
  pugi::xml_document document;
  const pugi::xml_node root = root_of(document, xml, "InitiateMultipartUploadResult");
  std::string id = root.child_value("UploadId");
  if (id.empty()) fail(Code::data_corrupt, "S3 began an upload without an UploadId");
  return id;
}

std::vector<NotDeleted> parse_not_deleted(std::string_view xml) {
  pugi::xml_document document;
  std::vector<NotDeleted> out;
  for (const pugi::xml_node& node : root_of(document, xml, "DeleteResult").children("Error"))
    out.push_back({node.child_value("Key"), fault_of(node)});
  return out;
}

std::string delete_request(std::span<const std::string> keys) {
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("Delete");
  root.append_attribute("xmlns") = "http://s3.amazonaws.com/doc/2006-03-01/";
  for (const std::string& key : keys)
    root.append_child("Object").append_child("Key").text() = key.c_str();
  root.append_child("Quiet").text() = "true";
  return text_of(document);
}

std::string complete_request(std::span<const std::string> etags) {
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("CompleteMultipartUpload");
  root.append_attribute("xmlns") = "http://s3.amazonaws.com/doc/2006-03-01/";
  for (std::size_t i = 0; i < etags.size(); ++i) {
    pugi::xml_node part = root.append_child("Part");
    part.append_child("PartNumber").text() = static_cast<unsigned>(i + 1);
    part.append_child("ETag").text() = etags[i].c_str();
  }
  return text_of(document);
}

std::optional<std::string> decode_key(std::string_view text) {
  std::string spaced(text);
  std::ranges::replace(spaced, '+', ' ');
  return percent_decoded(spaced);
}

}  // namespace lambdaml::storage::s3
