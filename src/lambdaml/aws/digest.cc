#include "lambdaml/aws/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/programs/shared_library.h"
#include "lambdaml/base/sonames.h"

namespace lambdaml::aws {
namespace {

struct Crypto : SharedLibrary {
  Crypto() : SharedLibrary(soname::kCrypto, "a signed request") {}

  decltype(&::EVP_Digest) digest = find("EVP_Digest");
  decltype(&::EVP_sha256) sha256 = find("EVP_sha256");
  decltype(&::EVP_md5) md5 = find("EVP_md5");
  decltype(&::EVP_sha1) sha1 = find("EVP_sha1");
  decltype(&::HMAC) hmac = find("HMAC");
};

const Crypto& crypto() {
  static const Crypto functions;
  return functions;
}

template <class Digest>
Digest digest_of(Bytes bytes, const EVP_MD* kind) {
  Digest out{};
  unsigned size = 0;
  if (crypto().digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(out.data()),
                      &size, kind, nullptr) != 1 ||
      size != out.size())
    fail(Code::internal, "OpenSSL has no {} here",
         out.size() == 32   ? "SHA-256"
         : out.size() == 20 ? "SHA-1"
                            : "MD5");
  return out;
}

}  // namespace

Sha256 sha256(Bytes bytes) { return digest_of<Sha256>(bytes, crypto().sha256()); }
Md5 md5(Bytes bytes) { return digest_of<Md5>(bytes, crypto().md5()); }
Sha1 sha1(Bytes bytes) { return digest_of<Sha1>(bytes, crypto().sha1()); }

Sha256 hmac_sha256(Bytes key, std::string_view text) {
  Sha256 out{};
  unsigned size = 0;
  if (crypto().hmac(crypto().sha256(), key.data(), static_cast<int>(key.size()),
                    reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                    reinterpret_cast<unsigned char*>(out.data()), &size) == nullptr ||
      size != out.size())
    fail(Code::internal, "signing a request: OpenSSL has no HMAC-SHA256");
  return out;
}

}  // namespace lambdaml::aws
