// The parameter server of the original system, as its clients and servers in the field speak it:
// what the service of src/lambdaml/ps/parameter_server.thrift was before it grew.
namespace py original

exception InvalidOperation {
  1: i32 whatOp,
  2: string why,
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
}
