"""Python's Thrift against ours.

ps_clients.py train HOST PORT FOLDER   clients of the original train a model on our server
ps_clients.py serve FOLDER             a server of the original, for our client; prints its port

FOLDER holds what `thrift --gen py` made of original_parameter_server.thrift.
"""
import sys
import threading

mode = sys.argv[1]
sys.path.insert(0, sys.argv[-1])
from original import ParameterServer
from original.ttypes import Grad, InvalidOperation, Model, Update
from thrift.protocol import TBinaryProtocol
from thrift.server import TServer
from thrift.transport import TSocket, TTransport

WORKERS, ROUNDS, LENGTH = 4, 20, 1000


def connect(host, port):
    transport = TTransport.TBufferedTransport(TSocket.TSocket(host, int(port)))
    client = ParameterServer.Client(TBinaryProtocol.TBinaryProtocol(transport))
    transport.open()
    return client


def work(host, port, worker, length, each_registers, failures):
    """One worker: each round, pulls what all have pushed, and pushes worker + 1 + round."""
    try:
        client = connect(host, port)
        if worker == 0 or each_registers:
            client.register_model("old", length, WORKERS)
        while not client.exist_model("old"):
            pass
        start = None
        for n in range(ROUNDS):
            while not client.can_pull("old", n, worker):
                pass
            model = client.pull_model("old", n, worker)
            assert model.id == "old" and model.length == length == len(model.data)
            start = start or model.data
            moved = sum(w + 1 + past for w in range(WORKERS) for past in range(n))
            wrong = max(abs(b - a + moved / 4) for a, b in zip(start, model.data))
            assert n > 0 or max(map(abs, start)) <= 0.1, "not a new model"
            assert wrong < 1e-3, (n, wrong)
            while not client.can_push("old", n, worker):
                pass
            data = [float(worker + 1 + n)] * length
            if n % 2 == 0:
                client.push_grad(Grad("old", -0.25, length, data, n, worker))
            else:
                client.push_update(Update("old", length, [-0.25 * x for x in data], n, worker))
    except Exception as error:  # told by the main thread
        failures.append((worker, error))


def train(host, port):
    client = connect(host, port)
    client.ping()
    client.zip()
    assert not client.exist_model("old")
    # Jobs of the original name their models alike; of its workers only worker 0 registers.
    for length, each_registers in ((LENGTH, True), (7, False), (LENGTH, False), (LENGTH, False)):
        failures = []
        threads = [threading.Thread(target=work, args=(host, port, w, length, each_registers, failures))
                   for w in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures, failures
        assert client.exist_model("old")
    for refused in (lambda: client.pull_model("nobody", 0, 0),
                    lambda: client.can_pull("old", 1, 99),
                    lambda: client.push_grad(Grad("old", 1, 2, [1.0, 2.0], 99, 0)),
                    lambda: client.push_grad(Grad("old", 1, LENGTH, [float("nan")] * LENGTH, 99, 1))):
        try:
            refused()
        except InvalidOperation as error:
            assert error.whatOp in range(1, 9) and error.why
        else:
            raise AssertionError("it was taken")
    print("all trained")


class Original:
    """What the original's server does, one model of zeros a name."""

    def __init__(self):
        self.models, self.pulls, self.pushes = {}, {}, {}

    def ping(self):
        pass

    def zip(self):
        pass

    def register_model(self, id, length, parallelism):
        if id not in self.models:
            self.models[id], self.pulls[id], self.pushes[id] = [0.0] * length, 0, 0

    def exist_model(self, id):
        return id in self.models

    def can_pull(self, id, n_iter, worker_id):
        return self.pushes[id] == n_iter

    def can_push(self, id, n_iter, worker_id):
        return self.pulls[id] == n_iter + 1

    def pull_model(self, id, n_iter, worker_id):
        if id not in self.models:
            raise InvalidOperation(6, "no such model")
        self.pulls[id] += 1
        return Model(id, len(self.models[id]), self.models[id])

    def push_grad(self, g):
        self.models[g.id] = [x + g.learning_rate * y for x, y in zip(self.models[g.id], g.data)]
        self.pushes[g.id] += 1

    def push_update(self, u):
        self.push_grad(Grad(u.id, 1.0, u.length, u.data, u.n_iter, u.worker_id))


def serve():
    listener = TSocket.TServerSocket("127.0.0.1", 0)
    listener.listen()
    print("listening on", listener.handle.getsockname()[1], flush=True)
    listener.listen = lambda: None
    TServer.TThreadedServer(ParameterServer.Processor(Original()), listener,
                            TTransport.TBufferedTransportFactory(),
                            TBinaryProtocol.TBinaryProtocolFactory()).serve()


if mode == "train":
    train(sys.argv[2], sys.argv[3])
else:
    serve()
