#include "lambdaml/data/integrity.h"

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"

namespace lambdaml::data {
namespace {

std::string named(const Identity& identity) {
  return fmt::format("part {} of the data set {}", identity.part, checksum_text(identity.data_set));
}

}  // namespace

std::uint64_t Written::bytes() const {
  std::uint64_t bytes = 0;
  for (const Bytes piece : pieces) bytes += piece.size();
  return bytes;
}

Content content_of(Bytes bytes) { return {bytes.size(), checksum(bytes)}; }

Written write_part(const Plugin& plugin, const Dataset& part, const Identity& identity) {
  if (plugin.write_part) return plugin.write_part(part, identity);
  const auto bytes = std::make_shared<const Buffer>(plugin.write(part));
  Written written{{bytes->view()}, bytes};
  written.checksum = written.rows_checksum = checksum(*bytes);
  return written;
}

Statement statement_of(const Plugin& plugin, const std::shared_ptr<const Buffer>& bytes,
                       const std::string& what) {
  return plugin.statement ? plugin.statement(bytes, what) : Statement();
}

void require_content(const Plugin& plugin, const std::shared_ptr<const Buffer>& bytes,
                     const ReadOptions& options, const Content& content) {
  const Statement statement = statement_of(plugin, bytes, options.what);
  const std::uint64_t found = plugin.statement ? statement.checksum.value_or(0) : checksum(*bytes);
  if (bytes->size() == content.bytes && found == content.checksum) return;
  // A damaged file fails its own checksum; this one is whole but was exchanged.
  if (plugin.statement) plugin.read(bytes, options);
  fail(Code::data_corrupt,
       "reading {}: its {} bytes of checksum {} are not what was written there, {} bytes of "
       "checksum {}{}; prepare the data set again",
       options.what, bytes->size(), checksum_text(found), content.bytes,
       checksum_text(content.checksum),
       statement.identity ? ": this is " + named(*statement.identity) : "");
}

void require_one_set(const std::vector<Statement>& parts, const std::string& what) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::optional<Identity>& identity = parts[i].identity;
    const std::string key = part_key(i, parts.size());
    if (identity && identity->part != key)
      fail(Code::data_corrupt,
           "reading {}/{}: this is {}, at the place of another; prepare the data set again", what,
           key, named(*identity));
    if (identity && parts[0].identity && identity->data_set != parts[0].identity->data_set)
      fail(Code::data_corrupt,
           "reading {}/{}: this is {}, and {} is {}; prepare the data set again", what, key,
           named(*identity), part_key(0, parts.size()), named(*parts[0].identity));
    if (identity.has_value() != parts[0].identity.has_value())
      fail(Code::data_corrupt,
           "reading {}: {} says which data set it is a part of, and {} does not; prepare the data "
           "set again",
           what, part_key(identity ? i : 0, parts.size()),
           part_key(identity ? 0 : i, parts.size()));
  }
}

void warn_of_no_checksums(const std::string& what) {
  log::warn_once(fmt::format(
      "{}: an old version prepared it, without checksums of its files, so damage may not be seen; "
      "prepare it again with lambdaml data split",
      what));
}

}  // namespace lambdaml::data
