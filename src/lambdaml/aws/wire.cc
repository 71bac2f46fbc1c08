#include "lambdaml/aws/wire.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "lambdaml/aws/curl_library.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/text.h"

namespace lambdaml::aws {
namespace {

/// A limit that no service exceeds, for all headers before the answer (100 Continue), in it and
/// after it.
constexpr std::size_t kMostHeaders = 200;
constexpr std::size_t kMostHeaderBytes = 256U << 10U;
/// Memory allocated for an announced length; more is allocated as bytes arrive.
constexpr std::size_t kTrustedLength = 64U << 20U;
constexpr std::size_t kFirstGrowth = 4096;
constexpr double kLongestPoll_s = 60;
constexpr std::size_t kIdleWires = 64;
constexpr long kKeptConnections = 64;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

}  // namespace

/// An easy handle and its exchange in progress.
struct Slot {
  explicit Slot(const WireOptions& options);
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  ~Slot() {
    libcurl().slist_free_all(headers);
    libcurl().easy_cleanup(curl);
  }

  template <class Value>
  void set(CURLoption option, Value value) const {
    if (libcurl().easy_setopt(curl, option, value) != CURLE_OK)
      fail(Code::internal, "libcurl refuses option {}", static_cast<int>(option));
  }
  void begin(Exchange& what, Patience& patience);
  void end(CURLcode code);
  /// Reports the bytes sent since the last call to the try, and returns its deadline.
  Deadline deadline();

  CURL* curl;
  curl_slist* headers = nullptr;
  Exchange* exchange = nullptr;
  std::size_t received = 0;
  std::size_t header_bytes = 0;
  bool misfit = false;
  bool has_head = false;  ///< the answer's head has come whole
  char error[CURL_ERROR_SIZE] = {};
  std::optional<Patience::Try> attempt;
  curl_off_t uploaded = 0;
};

namespace {

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user) {
  auto& slot = *static_cast<Slot*>(user);
  Response& response = slot.exchange->response;
  const std::size_t n = size * count;
  slot.attempt->received(n);
  slot.header_bytes += n;
  if (slot.header_bytes > kMostHeaderBytes || response.headers.size() >= kMostHeaders) {
    slot.exchange->failure = "the answer has more headers than any of a service";
    return 0;
  }
  const std::string_view line = trim({data, n});
  if (line.starts_with("HTTP/")) {  // also after a 100 Continue
    slot.exchange->begun = true;
    slot.has_head = false;
    response.headers.clear();
  } else if (line.empty()) {
    slot.has_head = true;
  } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
    response.headers.emplace_back(lower(line.substr(0, colon)), trim(line.substr(colon + 1)));
  }
  return n;
}

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& slot = *static_cast<Slot*>(user);
  Exchange& exchange = *slot.exchange;
  const std::size_t n = size * count;
  if (n == 0) return 0;
  slot.attempt->received(n);
  if (slot.received == 0) {
    long status = 0;
    libcurl().easy_getinfo(slot.curl, CURLINFO_RESPONSE_CODE, &status);
    exchange.response.status = static_cast<int>(status);
  }
  if (!exchange.into.empty() && exchange.response.ok()) {
    if (n > exchange.into.size() - slot.received) {
      slot.misfit = true;
      return 0;
    }
    std::memcpy(exchange.into.data() + slot.received, data, n);
    slot.received += n;
    return n;
  }
  Buffer& body = exchange.response.body;
  const std::size_t needed = slot.received + n;
  if (needed > body.size()) {
    curl_off_t length = -1;
    libcurl().easy_getinfo(slot.curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    const std::size_t announced = length < 0 ? 0 : static_cast<std::size_t>(length);
    const bool ok = exchange.response.ok();
    const std::size_t most = ok ? exchange.most_bytes : kMostAnswerBytes;
    if (std::max(needed, announced) > most) {
      exchange.failure =
          fmt::format("the answer is longer than the {} bytes that it may have", most);
      // Probably the page of a proxy: another try may reach the service.
      exchange.failure_code = ok ? Code::data_corrupt : Code::unavailable;
      return 0;
    }
    try {
      Buffer larger(std::max({needed, std::min(announced, kTrustedLength), 2 * body.size(),
                              length < 0 ? kFirstGrowth : std::size_t{0}}));
      if (slot.received > 0) std::memcpy(larger.data(), body.data(), slot.received);
      body = std::move(larger);
    } catch (const std::bad_alloc&) {
      exchange.failure = "there is no memory for the answer";
      exchange.failure_code = Code::resource_exhausted;
      return 0;
    }
  }
  std::memcpy(body.data() + slot.received, data, n);
  slot.received += n;
  return n;
}

int on_send(void* user, char*, char*, int, int) {
  ++static_cast<Slot*>(user)->exchange->sent;
  return CURL_PREREQFUNC_OK;
}

}  // namespace

Slot::Slot(const WireOptions& options) : curl(libcurl().easy_init()) {
  if (curl == nullptr) throw std::bad_alloc();
  set(CURLOPT_PRIVATE, static_cast<void*>(this));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_NOPROGRESS, 1L);
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_TCP_NODELAY, 1L);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_BUFFERSIZE, 512L * 1024);
  set(CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024);
  set(CURLOPT_CONNECTTIMEOUT_MS, std::max(1L, static_cast<long>(options.connect_timeout_s * 1000)));
  set(CURLOPT_USERAGENT, "lambdaml/0.1");
  set(CURLOPT_ERRORBUFFER, static_cast<char*>(error));
  set(CURLOPT_HEADERFUNCTION, on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(CURLOPT_WRITEFUNCTION, on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  set(CURLOPT_PREREQFUNCTION, on_send);
  set(CURLOPT_PREREQDATA, static_cast<void*>(this));
  // Aborting a request does not wait for a host lookup in progress.
  set(CURLOPT_QUICK_EXIT, 1L);
  if (options.no_proxy) set(CURLOPT_NOPROXY, "*");
  if (const char* bundle = std::getenv("AWS_CA_BUNDLE"); bundle != nullptr && *bundle != '\0')
    set(CURLOPT_CAINFO, bundle);
}

void Slot::begin(Exchange& what, Patience& patience) {
  exchange = &what;
  what.response = {};
  what.response.method = what.method;
  what.begun = false;
  what.failure.clear();
  what.failure_code = Code::unavailable;
  received = 0;
  header_bytes = 0;
  misfit = has_head = false;
  error[0] = '\0';
  attempt.emplace(patience);
  uploaded = 0;

  libcurl().slist_free_all(headers);
  headers = nullptr;
  const auto add = [&](const std::string& line) {
    curl_slist* longer = libcurl().slist_append(headers, line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    headers = longer;
  };
  for (const auto& [name, value] : what.headers) {
    if ((name + value).find_first_of("\r\n") != std::string::npos)
      fail(Code::invalid_argument, "the header '{}' holds a line break", printable(name));
    add(value.empty() ? name + ";" : name + ": " + value);
  }
  // Headers that libcurl would add by itself.
  add("Accept:");
  add("Expect:");
  const bool has_body = !what.body.empty() || what.method == "PUT" || what.method == "POST";
  const bool has_type = std::ranges::any_of(
      what.headers, [](const auto& header) { return header.first == "content-type"; });
  if (has_body && !has_type) add("Content-Type:");

  set(CURLOPT_URL, what.url.c_str());
  set(CURLOPT_HTTPHEADER, headers);
  if (has_body) {
    // Bodies of up to 64 KB are sent in one packet train with the headers; larger ones are read in
    // place.
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDS,
        what.body.empty() ? "" : reinterpret_cast<const char*>(what.body.data()));
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(what.body.size()));
    set(CURLOPT_CUSTOMREQUEST, what.method.c_str());
  } else if (what.method == "HEAD") {
    set(CURLOPT_CUSTOMREQUEST, static_cast<char*>(nullptr));
    set(CURLOPT_NOBODY, 1L);
  } else {
    set(CURLOPT_HTTPGET, 1L);
    set(CURLOPT_CUSTOMREQUEST, what.method.c_str());
  }
}

void Slot::end(CURLcode code) {
  Exchange& what = *exchange;
  exchange = nullptr;
  what.response.tries = what.sent;
  long status = 0;
  libcurl().easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  what.response.status = static_cast<int>(status);
  if (!what.failure.empty()) return;
  // For libcurl, a connection that is closed within the head ends the head.
  if (code == CURLE_OK && !has_head) {
    what.failure = "the connection was closed within the head of the answer";
    return;
  }
  if (code == CURLE_OK && !what.into.empty() && what.response.ok() && received != what.into.size())
    misfit = true;
  if (misfit) {
    what.failure =
        fmt::format("the answer is {} than the {} bytes that were asked for",
                    received < what.into.size() ? "shorter" : "longer", what.into.size());
    what.failure_code = Code::data_corrupt;
    return;
  }
  if (code == CURLE_OK) {
    what.response.body.truncate(received);
    return;
  }
  what.failure = printable(error[0] != '\0' ? error : libcurl().easy_strerror(code), 300);
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
      what.failure += "; AWS_CA_BUNDLE names the file of certificates to trust";
      what.failure_code = Code::permission_denied;
      break;
    case CURLE_URL_MALFORMAT:
      what.failure_code = Code::invalid_argument;
      break;
    case CURLE_OUT_OF_MEMORY:
      what.failure_code = Code::resource_exhausted;
      break;
    default:
      break;
  }
}

Deadline Slot::deadline() {
  curl_off_t up = 0;
  libcurl().easy_getinfo(curl, CURLINFO_SIZE_UPLOAD_T, &up);
  if (up > uploaded) attempt->sent(static_cast<std::uint64_t>(up - uploaded));
  uploaded = up;
  return attempt->deadline();
}

std::string_view Response::header(std::string_view name) const {
  for (const auto& [known, value] : headers)
    if (known == name) return value;
  return {};
}

bool Response::has_header_like(std::string_view beginning) const {
  return std::ranges::any_of(
      headers, [&](const auto& header) { return header.first.starts_with(beginning); });
}

std::optional<std::int64_t> parse_date(std::string_view text) {
  const std::time_t date = libcurl().getdate(std::string(text).c_str(), nullptr);
  if (date < 0) return {};
  return date;
}

class Wire::Impl {
 public:
  explicit Impl(WireOptions options) : options_(std::move(options)) {
    if (!options_.patience) options_.patience = std::make_shared<Patience>();
    multi_ = libcurl().multi_init();
    if (multi_ == nullptr) throw std::bad_alloc();
    // By default libcurl keeps up to four connections per handle in use.
    libcurl().multi_setopt(multi_, CURLMOPT_MAXCONNECTS, kKeptConnections);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    stop_all();
    idle_.clear();
    libcurl().multi_cleanup(multi_);
  }

  void start(Exchange& exchange) {
    std::unique_ptr<Slot> slot;
    if (idle_.empty()) {
      slot = std::make_unique<Slot>(options_);
    } else {
      slot = std::move(idle_.back());
      idle_.pop_back();
    }
    slot->begin(exchange, *options_.patience);
    if (libcurl().multi_add_handle(multi_, slot->curl) != CURLM_OK)
      fail(Code::internal, "libcurl takes no further request");
    busy_.push_back(std::move(slot));
  }

  std::vector<Exchange*> wait(double seconds) {
    std::vector<Exchange*> ended;
    advance(ended);
    if (!ended.empty()) return ended;
    Deadline next = Deadline::in(seconds);
    for (const auto& slot : busy_) next = next.earlier(slot->deadline());
    const double left_s = std::min(next.seconds_left(), kLongestPoll_s);
    curl_waitfd interrupt{.fd = interrupt_fd(), .events = CURL_WAIT_POLLIN, .revents = 0};
    int events = 0;
    libcurl().multi_poll(multi_, &interrupt, interrupt.fd < 0 ? 0 : 1,
                         static_cast<int>(std::ceil(left_s * 1000)), &events);
    throw_if_interrupted();
    advance(ended);
    end_late(ended);
    return ended;
  }

  void stop(Exchange& exchange) {
    const auto at =
        std::ranges::find_if(busy_, [&](const auto& slot) { return slot->exchange == &exchange; });
    if (at == busy_.end()) return;
    libcurl().multi_remove_handle(multi_, (*at)->curl);
    busy_.erase(at);
  }

  void stop_all() {
    for (const auto& slot : busy_) libcurl().multi_remove_handle(multi_, slot->curl);
    busy_.clear();
  }

 private:
  void advance(std::vector<Exchange*>& ended) {
    int running = 0;
    if (libcurl().multi_perform(multi_, &running) != CURLM_OK)
      fail(Code::internal, "libcurl cannot make progress");
    int left = 0;
    while (const CURLMsg* message = libcurl().multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      CURL* curl = message->easy_handle;
      const CURLcode code = message->data.result;
      const auto at =
          std::ranges::find_if(busy_, [&](const auto& slot) { return slot->curl == curl; });
      if (at != busy_.end()) release(at, code, ended);
    }
  }

  /// Ends exchanges that have been silent or too slow for too long.
  void end_late(std::vector<Exchange*>& ended) {
    for (std::size_t i = 0; i < busy_.size();) {
      Slot& slot = *busy_[i];
      if (!slot.deadline().passed()) {
        ++i;
        continue;
      }
      throw_if_interrupted();  // which ends the time too, perhaps just now
      slot.exchange->failure = slot.attempt->why_late();
      release(busy_.begin() + static_cast<std::ptrdiff_t>(i), CURLE_OPERATION_TIMEDOUT, ended);
    }
  }

  void release(std::vector<std::unique_ptr<Slot>>::iterator at, CURLcode code,
               std::vector<Exchange*>& ended) {
    std::unique_ptr<Slot> slot = std::move(*at);
    busy_.erase(at);
    const Exchange& exchange = *slot->exchange;
    ended.push_back(slot->exchange);
    slot->end(code);
    if (!exchange.failure.empty() && exchange.failure_code == Code::unavailable)
      options_.patience->failed(slot->attempt->silent_since());
    libcurl().multi_remove_handle(multi_, slot->curl);
    idle_.push_back(std::move(slot));
  }

  WireOptions options_;
  CURLM* multi_ = nullptr;
  std::vector<std::unique_ptr<Slot>> busy_, idle_;
};

Wire::Wire(WireOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Wire::~Wire() = default;
void Wire::start(Exchange& exchange) { impl_->start(exchange); }
std::vector<Exchange*> Wire::wait(double seconds) { return impl_->wait(seconds); }
void Wire::stop(Exchange& exchange) { impl_->stop(exchange); }
void Wire::stop_all() { impl_->stop_all(); }

void Wire::perform(Exchange& exchange, double seconds) {
  const Deadline deadline = Deadline::in(seconds);
  start(exchange);
  while (wait(deadline.seconds_left()).empty()) {
    if (!deadline.passed()) continue;
    stop_all();
    exchange.failure = fmt::format("no answer within {:.3g} s", seconds);
    exchange.failure_code = Code::unavailable;
    return;
  }
}

WirePool::Lease WirePool::take() {
  std::unique_ptr<Wire> wire;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      wire = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!wire) wire = std::make_unique<Wire>(options_);
  return {*this, std::move(wire)};
}

WirePool::Lease::~Lease() {
  wire_->stop_all();
  const std::lock_guard lock(pool_.mutex_);
  if (pool_.idle_.size() < kIdleWires) pool_.idle_.push_back(std::move(wire_));
}

}  // namespace lambdaml::aws
