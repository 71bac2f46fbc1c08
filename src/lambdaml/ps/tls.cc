#include "lambdaml/ps/tls.h"

#include <exception>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <thrift/transport/TVirtualTransport.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/shared_library.h"
#include "lambdaml/base/sonames.h"

namespace lambdaml::ps {
namespace {

using ::apache::thrift::transport::TTransport;
using ::apache::thrift::transport::TTransportException;

/// The functions used of libssl, and of libcrypto, which it loads.
struct SslLibrary : SharedLibrary {
  SslLibrary() : SharedLibrary(soname::kSsl, "a parameter server with TLS") {}

  decltype(&::TLS_client_method) client_method = find("TLS_client_method");
  decltype(&::SSL_CTX_new) context_new = find("SSL_CTX_new");
  decltype(&::SSL_CTX_free) context_free = find("SSL_CTX_free");
  decltype(&::SSL_CTX_ctrl) context_ctrl = find("SSL_CTX_ctrl");
  decltype(&::SSL_CTX_set_verify) context_set_verify = find("SSL_CTX_set_verify");
  decltype(&::SSL_CTX_load_verify_file) load_verify_file = find("SSL_CTX_load_verify_file");
  decltype(&::SSL_CTX_set_default_verify_paths) set_default_verify_paths =
      find("SSL_CTX_set_default_verify_paths");
  decltype(&::SSL_new) ssl_new = find("SSL_new");
  decltype(&::SSL_free) ssl_free = find("SSL_free");
  decltype(&::SSL_ctrl) ctrl = find("SSL_ctrl");
  decltype(&::SSL_set1_host) set1_host = find("SSL_set1_host");
  decltype(&::SSL_get0_param) get0_param = find("SSL_get0_param");
  decltype(&::SSL_set_bio) set_bio = find("SSL_set_bio");
  decltype(&::SSL_connect) connect = find("SSL_connect");
  decltype(&::SSL_read_ex) read_ex = find("SSL_read_ex");
  decltype(&::SSL_write_ex) write_ex = find("SSL_write_ex");
  decltype(&::SSL_pending) pending = find("SSL_pending");
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
};

const SslLibrary& libssl() {
  static const SslLibrary library;
  return library;
}

/// The socket for libssl. Exceptions of the socket must not pass through C code, so they are stored
/// here.
struct Line {
  std::shared_ptr<TTransport> socket;
  std::exception_ptr failure = {};
  bool ended = false;

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

Line& line_of(BIO* bio) { return *static_cast<Line*>(libssl().bio_get_data(bio)); }

const BIO_METHOD* line_method() {
  static const BIO_METHOD* const method = [] {
    const SslLibrary& ssl = libssl();
    BIO_METHOD* made = ssl.meth_new(ssl.new_index() | BIO_TYPE_SOURCE_SINK, "thrift");
    if (made == nullptr) throw std::bad_alloc();
    ssl.meth_set_read(made, [](BIO* bio, char* to, int size) {
      Line& line = line_of(bio);
      const int n = line.guarded([&] {
        return static_cast<int>(line.socket->read(reinterpret_cast<std::uint8_t*>(to),
                                                  static_cast<std::uint32_t>(size)));
      });
      line.ended |= n == 0;
      return n;
    });
    ssl.meth_set_write(made, [](BIO* bio, const char* from, int size) {
      Line& line = line_of(bio);
      return line.guarded([&] {
        line.socket->write(reinterpret_cast<const std::uint8_t*>(from),
                           static_cast<std::uint32_t>(size));
        return size;
      });
    });
    ssl.meth_set_ctrl(made, [](BIO*, int command, long, void*) -> long {
      return command == BIO_CTRL_FLUSH ? 1 : 0;
    });
    return made;
  }();
  return method;
}

class Tls final : public ::apache::thrift::transport::TVirtualTransport<Tls> {
 public:
  Tls(std::shared_ptr<TTransport> socket, const Address& address) : line_{std::move(socket)} {
    // The system's certificates, or those of SSL_CERT_FILE.
    const std::unique_ptr<SSL_CTX, decltype(&::SSL_CTX_free)> context(
        ssl_.context_new(ssl_.client_method()), ssl_.context_free);
    if (!context) throw std::bad_alloc();
    ssl_.context_ctrl(context.get(), SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, nullptr);
    ssl_.context_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    ssl_.clear_error();
    if (address.ca.empty())
      ssl_.set_default_verify_paths(context.get());
    else if (ssl_.load_verify_file(context.get(), address.ca.c_str()) != 1)
      fail(Code::invalid_argument, "{}: TLS: {} holds no certificates that can be read: {}",
           address.endpoint(), address.ca, reason());
    session_.reset(ssl_.ssl_new(context.get()));
    BIO* const bio = ssl_.bio_new(line_method());
    if (!session_ || bio == nullptr) throw std::bad_alloc();
    ssl_.bio_set_data(bio, &line_);
    ssl_.bio_set_init(bio, 1);
    ssl_.set_bio(session_.get(), bio, bio);
    expect(address.host);
    shake_hands(address);
  }

  bool isOpen() const override { return line_.socket->isOpen(); }
  bool peek() override { return ssl_.pending(session_.get()) > 0 || line_.socket->peek(); }
  /// Messages carry their length, so a truncated one is noticed; there is no need to wait for TLS's
  /// closing message.
  void close() override { line_.socket->close(); }

  std::uint32_t read(std::uint8_t* to, std::uint32_t size) {
    std::size_t n = 0;
    ssl_.clear_error();
    if (ssl_.read_ex(session_.get(), to, size, &n) != 1) {
      rethrow();
      // The peer has closed the connection without an error.
      if (const std::string why = reason(); !line_.ended && !why.empty())
        throw TTransportException(TTransportException::CORRUPTED_DATA, "TLS: " + why);
      return 0;
    }
    return static_cast<std::uint32_t>(n);
  }

  void write(const std::uint8_t* from, std::uint32_t size) {
    std::size_t n = 0;
    ssl_.clear_error();
    if (size > 0 && ssl_.write_ex(session_.get(), from, size, &n) != 1) {
      rethrow();
      throw TTransportException(TTransportException::NOT_OPEN, "TLS: " + reason());
    }
  }

 private:
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

  void shake_hands(const Address& address) {
    ssl_.clear_error();
    if (ssl_.connect(session_.get()) == 1) return;
    rethrow();
    if (const long verified = ssl_.get_verify_result(session_.get()); verified != X509_V_OK)
      fail(Code::permission_denied,
           "{}: TLS: the server's certificate: {}; &ca=FILE or LAMBDAML_PS_CA say whom to trust",
           address.endpoint(), ssl_.verify_error(verified));
    if (line_.ended)
      throw TTransportException(TTransportException::END_OF_FILE,
                                "TLS: closed in the handshake; has it --tls-cert?");
    fail(Code::permission_denied, "{}: TLS: {}; has it --tls-cert?", address.endpoint(), reason());
  }

  void rethrow() const {
    if (line_.failure) std::rethrow_exception(line_.failure);
  }
  std::string reason() const {
    const char* const text = ssl_.reason(ssl_.get_error());
    return text == nullptr ? "" : text;
  }

  const SslLibrary& ssl_ = libssl();
  Line line_;
  std::unique_ptr<SSL, decltype(&::SSL_free)> session_{nullptr, ssl_.ssl_free};
};

}  // namespace

std::shared_ptr<TTransport> secure(std::shared_ptr<TTransport> socket, const Address& address) {
  return std::make_shared<Tls>(std::move(socket), address);
}

}  // namespace lambdaml::ps
