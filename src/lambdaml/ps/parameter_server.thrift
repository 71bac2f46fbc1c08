// The parameter server. The first part is the service of the original system, as its clients in the
// field speak it; the second is what was added. Transport: buffered sockets, TBinaryProtocol.
namespace cpp lambdaml.ps.wire
namespace py parameter_server

enum Operation {
  PING = 1,
  REGISTER = 2,
  EXIST_MODEL = 3,
  CAN_PULL = 4,
  CAN_PUSH = 5,
  PULL_MODEL = 6,
  PUSH_GRAD = 7,
  PUSH_UPDATE = 8,
  // Added.
  PUSH_PULL = 9,
  KEYS = 10,
  HELLO = 11,
  DELETE = 12,
}

exception InvalidOperation {
  1: i32 whatOp,
  2: string why,
  // Added: an error code of docs/reference/errors.md. Clients of the original skip it.
  3: optional string code,
}

struct Grad {
  1: string id,
  2: double learning_rate,
  3: optional i32 length,
  4: list<double> data,
  5: i32 n_iter,
  6: i32 worker_id,
}

struct Update {
  1: string id,
  2: optional i32 length,
  3: list<double> data,
  4: i32 n_iter,
  5: i32 worker_id,
}

struct Model {
  1: string id,
  2: optional i32 length,
  3: list<double> data,
}

// ---- Added: raw little-endian numbers, push and pull in one call, waiting in the server.

enum Kind {
  // The sum of one round over all workers, in worker order, once all have pushed.
  ROUND = 1,
  // A vector that every push modifies at once; the answer is the vector after the push.
  RUNNING = 2,
  // The sum over workers of each one's newest push.
  NEWEST = 3,
  // Restores the result of a round that a restarted server may have lost.
  RESULT = 4,
}

// What one worker pushes and requests. Numbers are little-endian: float64 in totals,
// float32 in values, uint32 in indices. All of them must be finite. Fields that are inconsistent, or
// set where they have no meaning, are refused.
struct Part {
  1: string id,
  2: Kind kind,
  3: i64 round,
  4: i32 worker,
  5: i32 workers,
  // The longest that the server waits, in milliseconds, before it answers with `missing`.
  6: i32 wait_ms,
  // This worker will never ask again for a round before this one.
  7: i64 retired,
  8: binary totals,
  // All values, or those at `indices`, which ascend; the rest are 0.
  9: binary values,
  10: optional binary indices,
  // Of the whole vector.
  11: i64 length,
  // RUNNING: how many pushes a worker may be ahead of the slowest; absent: any number.
  12: optional i32 staleness,
  // RUNNING: the worker has finished and pushes nothing; the answer waits until all have.
  13: bool last,
  // Nothing is pushed: `values` and `totals` are those of an earlier call. If the server does not have
  // them it answers `resend`. Not for a RESULT.
  14: bool again,
  // RUNNING: only pulls; neither `last` nor `again`.
  15: bool pull_only,
  // RUNNING: the indices of the values wanted back; absent: all.
  16: optional binary wanted,
  // For a model: pushed values times this are added to it; 1 by default.
  17: optional double scale,
  // For a model with a learning rate: the one of this push.
  18: optional double learning_rate,
  // RUNNING: the vector's generation that this worker knows; absent: any. If it differs, nothing is
  // done, and the answer has only `generation` and `resend`.
  19: optional i64 generation,
}

struct Sum {
  // How many pushes it is the sum of (RUNNING: all so far).
  1: i64 merged,
  2: binary totals,
  3: binary values,
  // As in Part: the server sends a vector that is mostly zeros in this form.
  4: optional binary indices,
  5: i64 length,
  // Workers whose push has not arrived: then there are no numbers.
  6: list<i32> missing,
  7: bool resend,
  // RUNNING: a random number drawn when the vector was made; changes if it is lost or cleared.
  8: i64 generation,
}

// A model that the server updates. With a learning rate, pushes are shares of a gradient g:
//   v = momentum v + (sum of g + l2 w),  w = w - learning_rate v
// l2 w for the penalized parameters only. Without one, pushes are added.
struct Registration {
  1: string id,
  2: i64 length,
  3: i32 workers,
  // It starts as zeros; else uniform in [-0.1, 0.1], as the original's do.
  4: bool zeros,
  5: optional double learning_rate,
  6: double momentum,
  7: double l2,
  // [begin, end) pairs; absent: all parameters.
  8: optional list<i64> penalized,
}

struct Welcome {
  1: i32 version,
  // Changes with each start of the server.
  2: i64 incarnation,
  // Keys survive a crash of the server.
  3: bool durable,
  // The longest `binary` that it accepts.
  4: i64 largest,
}

struct Value {
  1: optional binary value,
}

struct KeyEntry {
  1: string key,
  2: i64 bytes,
}

service ParameterServer {
  void ping() throws (1: InvalidOperation e),
  void register_model(1: string id, 2: i32 length, 3: i32 parallelism) throws (1: InvalidOperation e),
  bool exist_model(1: string id) throws (1: InvalidOperation e),
  bool can_pull(1: string id, 2: i32 n_iter, 3: i32 worker_id) throws (1: InvalidOperation e),
  bool can_push(1: string id, 2: i32 n_iter, 3: i32 worker_id) throws (1: InvalidOperation e),
  Model pull_model(1: string id, 2: i32 n_iter, 3: i32 worker_id) throws (1: InvalidOperation e),
  void push_grad(1: Grad g) throws (1: InvalidOperation e),
  void push_update(1: Update u) throws (1: InvalidOperation e),
  oneway void zip(),

  // Added. The first call of a connection if the server requires a token; returns the server's properties.
  Welcome hello(1: string token) throws (1: InvalidOperation e),
  Sum push_pull(1: Part part) throws (1: InvalidOperation e),
  void register_vector(1: Registration r) throws (1: InvalidOperation e),
  void delete_model(1: string id) throws (1: InvalidOperation e),

  // Keys to values: what a job keeps besides vectors.
  void put(1: string key, 2: binary value) throws (1: InvalidOperation e),
  // Saves only if the key is absent; returns whether it was.
  bool create(1: string key, 2: binary value) throws (1: InvalidOperation e),
  Value get(1: string key) throws (1: InvalidOperation e),
  void remove(1: list<string> keys) throws (1: InvalidOperation e),
  // Keys that begin with the prefix and sort after `after`, in byte order, one page; empty at the end.
  list<KeyEntry> find(1: string prefix, 2: string after) throws (1: InvalidOperation e),
  // Removes keys, models and sums that begin with the prefix.
  void clear(1: string prefix) throws (1: InvalidOperation e),
}
