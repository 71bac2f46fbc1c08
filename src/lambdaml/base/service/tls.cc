#include "lambdaml/base/service/tls.h"

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/programs/shared_library.h"
#include "lambdaml/base/sonames.h"

namespace lambdaml {
/// Not unnamed: members of TlsSession::State, which the header names, have these types.
namespace tls_details {

/// libssl writes a record (16 KB) at a time, and reads its head and its body; both are collected
/// here, so that a value of megabytes does not take two system calls for each of them.
constexpr std::size_t kSentTogether = 256 << 10;
constexpr std::size_t kReceivedTogether = 128 << 10;
/// The most that a record of TLS can hold.
constexpr std::size_t kRecord = 16 << 10;

/// The functions used of libssl, and of libcrypto, which it loads.
struct SslLibrary : SharedLibrary {
  SslLibrary() : SharedLibrary(soname::kSsl, "an encrypted connection") {}

  decltype(&::TLS_client_method) client_method = find("TLS_client_method");
  decltype(&::SSL_CTX_new) context_new = find("SSL_CTX_new");
  decltype(&::SSL_CTX_free) context_free = find("SSL_CTX_free");
  decltype(&::SSL_CTX_ctrl) context_ctrl = find("SSL_CTX_ctrl");
  decltype(&::SSL_CTX_set_verify) context_set_verify = find("SSL_CTX_set_verify");
  decltype(&::SSL_CTX_load_verify_file) load_verify_file = find("SSL_CTX_load_verify_file");
  decltype(&::SSL_CTX_set_default_verify_paths) set_default_verify_paths =
      find("SSL_CTX_set_default_verify_paths");
  decltype(&::SSL_CTX_set_default_read_buffer_len) set_read_buffer =
      find("SSL_CTX_set_default_read_buffer_len");
  decltype(&::SSL_new) ssl_new = find("SSL_new");
  decltype(&::SSL_free) ssl_free = find("SSL_free");
  decltype(&::SSL_ctrl) ctrl = find("SSL_ctrl");
  decltype(&::SSL_set1_host) set1_host = find("SSL_set1_host");
  decltype(&::SSL_get0_param) get0_param = find("SSL_get0_param");
  decltype(&::SSL_set_bio) set_bio = find("SSL_set_bio");
  decltype(&::SSL_connect) connect = find("SSL_connect");
  decltype(&::SSL_read_ex) read_ex = find("SSL_read_ex");
  decltype(&::SSL_peek_ex) peek_ex = find("SSL_peek_ex");
  decltype(&::SSL_write_ex) write_ex = find("SSL_write_ex");
  decltype(&::SSL_get_error) error_of = find("SSL_get_error");
  decltype(&::SSL_get_verify_result) get_verify_result = find("SSL_get_verify_result");
  decltype(&::X509_verify_cert_error_string) verify_error = find("X509_verify_cert_error_string");
  decltype(&::X509_VERIFY_PARAM_set1_ip_asc) set1_ip = find("X509_VERIFY_PARAM_set1_ip_asc");
  decltype(&::ERR_clear_error) clear_error = find("ERR_clear_error");
  decltype(&::ERR_get_error) get_error = find("ERR_get_error");
  decltype(&::ERR_reason_error_string) reason = find("ERR_reason_error_string");
  decltype(&::BIO_meth_new) meth_new = find("BIO_meth_new");
  decltype(&::BIO_meth_set_read) meth_set_read = find("BIO_meth_set_read");
  decltype(&::BIO_meth_set_write) meth_set_write = find("BIO_meth_set_write");
  decltype(&::BIO_meth_set_ctrl) meth_set_ctrl = find("BIO_meth_set_ctrl");
  decltype(&::BIO_get_new_index) new_index = find("BIO_get_new_index");
  decltype(&::BIO_new) bio_new = find("BIO_new");
  decltype(&::BIO_set_init) bio_set_init = find("BIO_set_init");
  decltype(&::BIO_set_data) bio_set_data = find("BIO_set_data");
  decltype(&::BIO_get_data) bio_get_data = find("BIO_get_data");
  decltype(&::BIO_set_flags) bio_set_flags = find("BIO_set_flags");
  decltype(&::BIO_clear_flags) bio_clear_flags = find("BIO_clear_flags");
};

inline const SslLibrary& libssl() {
  static const SslLibrary library;
  return library;
}

/// The connection as libssl uses it. Exceptions must not pass through C code, so they are stored
/// here.
struct GuardedLine {
  TlsSession::Line line;
  std::string unsent = {};
  std::exception_ptr failure = {};
  bool ended = false;
  bool may_wait = true;

  int read(BIO* bio, char* to, int size) noexcept {
    libssl().bio_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
    return guarded([&] {
      const auto n = line.receive({to, static_cast<std::size_t>(size)}, may_wait);
      if (!n) {
        libssl().bio_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
        return -1;
      }
      ended |= *n == 0;
      return static_cast<int>(*n);
    });
  }
  int write(const char* from, int size) noexcept {
    return guarded([&] {
      unsent.append(from, static_cast<std::size_t>(size));
      if (unsent.size() >= kSentTogether) flush();
      return size;
    });
  }
  void flush() {
    if (unsent.empty()) return;
    line.send(unsent);
    unsent.clear();
  }
  template <class Use>
  int guarded(Use&& use) noexcept {
    try {
      return use();
    } catch (...) {
      failure = std::current_exception();
      return -1;
    }
  }
};

inline GuardedLine& line_of(BIO* bio) {
  return *static_cast<GuardedLine*>(libssl().bio_get_data(bio));
}

inline const BIO_METHOD* line_method() {
  static const BIO_METHOD* const method = [] {
    const SslLibrary& ssl = libssl();
    BIO_METHOD* made = ssl.meth_new(ssl.new_index() | BIO_TYPE_SOURCE_SINK, "connection");
    if (made == nullptr) throw std::bad_alloc();
    ssl.meth_set_read(
        made, [](BIO* bio, char* to, int size) { return line_of(bio).read(bio, to, size); });
    ssl.meth_set_write(
        made, [](BIO* bio, const char* from, int size) { return line_of(bio).write(from, size); });
    ssl.meth_set_ctrl(made, [](BIO* bio, int command, long, void*) -> long {
      if (command != BIO_CTRL_FLUSH) return 0;
      GuardedLine& line = line_of(bio);
      return line.guarded([&] {
        line.flush();
        return 1;
      });
    });
    return made;
  }();
  return method;
}

}  // namespace tls_details

class TlsSession::State {
 public:
  State(Line line, const TlsOptions& options) : line_{std::move(line)} {
    const std::unique_ptr<SSL_CTX, decltype(&::SSL_CTX_free)> context(
        ssl_.context_new(ssl_.client_method()), ssl_.context_free);
    if (!context) throw std::bad_alloc();
    ssl_.context_ctrl(context.get(), SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, nullptr);
    ssl_.context_ctrl(context.get(), SSL_CTRL_SET_READ_AHEAD, 1, nullptr);
    ssl_.set_read_buffer(context.get(), tls_details::kReceivedTogether);
    ssl_.context_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    ssl_.clear_error();
    if (options.ca.empty())
      ssl_.set_default_verify_paths(context.get());
    else if (ssl_.load_verify_file(context.get(), options.ca.c_str()) != 1)
      fail(Code::invalid_argument, "TLS: {} holds no certificates that can be read: {}", options.ca,
           reason());
    session_.reset(ssl_.ssl_new(context.get()));
    BIO* const bio = ssl_.bio_new(tls_details::line_method());
    if (!session_ || bio == nullptr) throw std::bad_alloc();
    ssl_.bio_set_data(bio, &line_);
    ssl_.bio_set_init(bio, 1);
    ssl_.set_bio(session_.get(), bio, bio);
    expect(options.name);
    shake_hands(options);
  }

  /// Each record costs the peer an event and two system calls, so all but the last are full.
  void send(std::span<const iovec> pieces) {
    record_.clear();
    for (const iovec& piece : pieces) {
      std::string_view rest(static_cast<const char*>(piece.iov_base), piece.iov_len);
      while (!rest.empty()) {
        const std::size_t full = rest.size() / tls_details::kRecord * tls_details::kRecord;
        const bool copies = !record_.empty() || full == 0;
        const std::string_view part =
            rest.substr(0, copies ? tls_details::kRecord - record_.size() : full);
        rest.remove_prefix(part.size());
        if (!copies) {
          write(part);
          continue;
        }
        record_ += part;
        if (record_.size() < tls_details::kRecord) continue;
        write(record_);
        record_.clear();
      }
    }
    if (!record_.empty()) write(record_);
    line_.flush();
  }

  std::size_t receive(std::span<char> to) {
    std::size_t n = 0;
    ssl_.clear_error();
    if (ssl_.read_ex(session_.get(), to.data(), to.size(), &n) == 1) return n;
    rethrow();
    if (line_.ended) return 0;
    // The peer has closed the connection without an error.
    if (const std::string why = reason(); !why.empty()) fail(Code::unavailable, "TLS: {}", why);
    return 0;
  }

  bool is_readable() {
    char byte = 0;
    std::size_t n = 0;
    ssl_.clear_error();
    line_.may_wait = false;
    const int peeked = ssl_.peek_ex(session_.get(), &byte, 1, &n);
    line_.may_wait = true;
    if (peeked == 1) return true;
    rethrow();
    return ssl_.error_of(session_.get(), peeked) != SSL_ERROR_WANT_READ;
  }

 private:
  void write(std::string_view bytes) {
    std::size_t n = 0;
    ssl_.clear_error();
    if (ssl_.write_ex(session_.get(), bytes.data(), bytes.size(), &n) == 1) return;
    rethrow();
    fail(Code::unavailable, "TLS: {}", reason());
  }

  /// Requires that the peer's certificate is for this host: a name, which is also sent (SNI), or an
  /// address.
  void expect(const std::string& host) {
    if (ssl_.set1_ip(ssl_.get0_param(session_.get()), host.c_str()) == 1) return;
    std::string name = host;
    if (ssl_.set1_host(session_.get(), name.c_str()) != 1 ||
        ssl_.ctrl(session_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                  name.data()) != 1)
      fail(Code::invalid_argument, "TLS: no certificate can be for the host {}", host);
  }

  void shake_hands(const TlsOptions& options) {
    ssl_.clear_error();
    if (ssl_.connect(session_.get()) == 1) return line_.flush();
    rethrow();
    if (const long verified = ssl_.get_verify_result(session_.get()); verified != X509_V_OK) {
      const bool has_another_name =
          verified == X509_V_ERR_HOSTNAME_MISMATCH || verified == X509_V_ERR_IP_ADDRESS_MISMATCH;
      fail(Code::permission_denied, "TLS: the server's certificate for {}: {}{}", options.name,
           ssl_.verify_error(verified),
           has_another_name ? "; give the host as the certificate has it" : options.about_trust);
    }
    if (line_.ended)
      fail(Code::unavailable, "TLS: closed in the handshake{}", options.about_server);
    // An alert is a refusal; anything else comes from another than the server, perhaps for a while.
    const std::string why = reason();
    fail(why.find(" alert ") != std::string::npos ? Code::permission_denied : Code::unavailable,
         "TLS: {}{}", why, options.about_server);
  }

  void rethrow() const {
    if (line_.failure) std::rethrow_exception(line_.failure);
  }
  std::string reason() const {
    const char* const text = ssl_.reason(ssl_.get_error());
    return text == nullptr ? "" : text;
  }

  const tls_details::SslLibrary& ssl_ = tls_details::libssl();
  tls_details::GuardedLine line_;
  std::unique_ptr<SSL, decltype(&::SSL_free)> session_{nullptr, ssl_.ssl_free};
  std::string record_;  ///< that is being filled
};

TlsSession::TlsSession(Line line, const TlsOptions& options)
    : state_(std::make_unique<State>(std::move(line), options)) {}

TlsSession::~TlsSession() = default;

void TlsSession::send(std::span<const iovec> pieces) { state_->send(pieces); }
std::size_t TlsSession::receive(std::span<char> to) { return state_->receive(to); }
bool TlsSession::is_readable() { return state_->is_readable(); }

}  // namespace lambdaml
