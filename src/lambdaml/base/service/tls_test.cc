#include "lambdaml/base/service/tls.h"

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/testing/testing.h"

namespace lambdaml {
namespace {

constexpr std::size_t kMostInARecord = 16 << 10;

template <class T, void (*free)(T*)>
struct Freed {
  void operator()(T* one) const { free(one); }
};
template <class T, void (*free)(T*)>
using Owned = std::unique_ptr<T, Freed<T, free>>;

/// A server's end of TLS for the host `peer`, in memory.
class TlsPeer {
 public:
  explicit TlsPeer(const std::filesystem::path& folder) : ca_((folder / "ca.pem").string()) {
    key_.reset(EVP_EC_gen("P-256"));
    certificate_.reset(X509_new());
    X509* const made = certificate_.get();
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    X509_gmtime_adj(X509_getm_notBefore(made), -60);
    X509_gmtime_adj(X509_getm_notAfter(made), 3600);
    X509_NAME* const name = X509_get_subject_name(made);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("peer"), -1, -1, 0);
    X509_set_issuer_name(made, name);
    X509_set_pubkey(made, key_.get());
    EXPECT_GT(X509_sign(made, key_.get(), EVP_sha256()), 0);
    const Owned<BIO, BIO_free_all> file(BIO_new_file(ca_.c_str(), "w"));
    EXPECT_EQ(PEM_write_bio_X509(file.get(), made), 1);

    context_.reset(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_use_certificate(context_.get(), made);
    SSL_CTX_use_PrivateKey(context_.get(), key_.get());
    ssl_.reset(SSL_new(context_.get()));
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_accept_state(ssl_.get());
  }

  TlsSession::Line line() {
    return {.receive = [this](std::span<char> to, bool) -> std::optional<std::size_t> {
              if (BIO_ctrl_pending(out_) == 0) SSL_do_handshake(ssl_.get());
              const int n = BIO_read(out_, to.data(), static_cast<int>(to.size()));
              return n > 0 ? std::optional(static_cast<std::size_t>(n)) : std::nullopt;
            },
            .send =
                [this](std::string_view bytes) {
                  sent_ += bytes;
                  BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
                }};
  }
  TlsOptions options() const { return {.ca = ca_, .name = "peer"}; }

  std::string received(std::size_t bytes) {
    std::string out(bytes, '\0');
    std::size_t done = 0, n = 0;
    while (done < bytes && SSL_read_ex(ssl_.get(), out.data() + done, bytes - done, &n) == 1)
      done += n;
    out.resize(done);
    return out;
  }
  /// The sizes of the records since the last call, as they travel.
  std::vector<std::size_t> records() {
    std::vector<std::size_t> out;
    constexpr std::size_t kHead = 5;
    for (std::string_view rest = sent_; rest.size() >= kHead;) {
      const auto byte = [&](int i) { return static_cast<unsigned char>(rest[i]); };
      out.push_back(byte(3) * std::size_t{256} + byte(4));
      rest.remove_prefix(std::min(rest.size(), kHead + out.back()));
    }
    sent_.clear();
    return out;
  }

 private:
  const std::string ca_;
  Owned<EVP_PKEY, EVP_PKEY_free> key_;
  Owned<X509, X509_free> certificate_;
  Owned<SSL_CTX, SSL_CTX_free> context_;
  Owned<SSL, SSL_free> ssl_;
  BIO *in_ = nullptr, *out_ = nullptr;  ///< of the session
  std::string sent_;
};

/// A record costs the peer as much as a system call or two, however little is in it.
TEST(TlsSessions, SendFullRecords) {
  const Scratch folder("lambdaml-tls-");
  TlsPeer peer(folder.path());
  TlsSession session(peer.line(), peer.options());
  std::string all(1'000'000, '\0');
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<char>(i * i >> 3);
  peer.received(1);  // ends the handshake on its side
  peer.records();
  for (const std::vector<std::size_t>& sizes :
       std::vector<std::vector<std::size_t>>{{1},
                                             {kMostInARecord},
                                             {kMostInARecord + 1},
                                             {40, 188'948, 90},
                                             {40, 20, 0, 70},
                                             {40, kMostInARecord - 40, 3 * kMostInARecord, 1},
                                             {kMostInARecord - 1, 4, kMostInARecord - 3},
                                             {30, 5000, 5000, 5000, 5000, 5000, 500'000, 2}}) {
    std::vector<iovec> pieces;
    std::size_t total = 0;
    for (const std::size_t size : sizes) {
      pieces.push_back({all.data() + total, size});
      total += size;
    }
    session.send(pieces);
    EXPECT_TRUE(peer.received(total) == all.substr(0, total)) << total;
    EXPECT_EQ(peer.records().size(), (total + kMostInARecord - 1) / kMostInARecord) << total;
  }
}

}  // namespace
}  // namespace lambdaml
