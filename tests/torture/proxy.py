"""A TCP proxy between a job and its server. What it does to the bytes is up to its wire.

Each connection has two threads, one a direction; a wire may sleep in them. A wire is replaced while
connections are open, and the next bytes go through the new one.
"""
import random
import select
import socket
import struct
import threading
import time

# Below the ports that the kernel gives to outgoing connections, so that a port that is closed for a
# while is not taken by one of them.
PORTS = range(20000, 32000)
CHUNK = 65536


def listen(port=None):
    """A listening socket on `port`, or on a free one."""
    while True:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port or random.choice(PORTS)))
            listener.listen(128)
            return listener
        except OSError:
            listener.close()
            if port:
                raise


class Wire:
    """An undisturbed network. Replies take as long as in a data centre: jobs last longer for it and
    leave the processor to others."""
    LATENCY_S = 0.004

    def opened(self, connection):
        """Before the first byte of a new connection."""

    def request(self, connection, data):
        connection.to_server(data)

    def reply(self, connection, data):
        time.sleep(self.LATENCY_S)
        connection.to_client(data)

    def heal(self):
        """The fault is over: whatever sleeps in it goes on."""


class Connection:
    def __init__(self, proxy, client):
        self.proxy = proxy
        self.client = client
        self.server = socket.create_connection(("127.0.0.1", proxy.server_port))
        for end in (self.client, self.server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def to_server(self, data):
        self.server.sendall(data)

    def to_client(self, data):
        self.client.sendall(data)

    def pump(self, source, sink, forward):
        """Everything that `source` says goes to `forward`, then `sink` learns that this was all."""
        try:
            while data := source.recv(CHUNK):
                forward(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self.end()

    def requests(self):
        def forward(data):
            self.proxy.requests += 1
            self.proxy.wire.request(self, data)
        self.pump(self.client, self.server, forward)

    def replies(self):
        self.pump(self.server, self.client, lambda data: self.proxy.wire.reply(self, data))

    def end(self, reset=False):
        """Closes both sides; with `reset` the client finds its connection reset, not ended."""
        if reset:
            no_linger = struct.pack("ii", 1, 0)
            self.attempt(
                lambda: self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger))
        # The threads that wait for bytes wake from a shutdown, not from a close. That of both
        # directions would end the connection in order where a reset is wanted.
        self.attempt(lambda: self.client.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR))
        self.attempt(lambda: self.server.shutdown(socket.SHUT_RDWR))
        self.client.close()
        self.server.close()

    @staticmethod
    def attempt(call):
        try:
            call()
        except OSError:
            pass


class Proxy:
    def __init__(self, server_port):
        self.server_port = server_port
        self.wire = Wire()
        self.requests = 0  # pieces that clients have sent
        self.connections = []
        self.listener = listen()
        self.port = self.listener.getsockname()[1]
        self._start()

    def _start(self):
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                connection = Connection(self, client)
            except OSError:
                client.close()
                continue
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            self.wire.opened(connection)
        except OSError:
            connection.end()
        replies = threading.Thread(target=connection.replies, daemon=True)
        replies.start()
        connection.requests()
        replies.join()
        connection.end()

    def cut_all(self, reset=False):
        connections, self.connections = self.connections, []
        for connection in connections:
            connection.end(reset)

    def refuse(self):
        """As a server that has ended: connections are closed, and new ones refused."""
        listener, self.listener = self.listener, None
        if listener:
            # A close alone does not wake the thread that accepts.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut_all()

    def accept(self):
        if not self.listener:
            self.listener = listen(self.port)
            self._start()


class Gate(Wire):
    """An undisturbed network until a request finds that the moment of the fault has come: it is
    held until the fault has struck, and then goes whatever way there is."""

    def __init__(self, has_come):
        self.has_come = has_come
        self.reached = threading.Event()
        self.struck = threading.Event()

    def request(self, connection, data):
        if self.reached.is_set() or self.has_come():
            self.reached.set()
            self.struck.wait()
            return connection.proxy.wire.request(connection, data)
        super().request(connection, data)


class Cut(Wire):
    """Replies end after a few bytes, in their head or in their body, by an end or by a reset."""

    def __init__(self, rng):
        self.rng = rng

    def reply(self, connection, data):
        kept = self.rng.choice([0, self.rng.randrange(1, 40), self.rng.randrange(len(data))])
        connection.to_client(data[:kept])
        # What was sent has to arrive before the reset throws it away.
        time.sleep(self.LATENCY_S)
        connection.end(reset=self.rng.random() < 0.5)


class CutAtOnce(Wire):
    """Replies end before the shortest one of any protocol is whole."""
    SHORTEST = 4

    def __init__(self, rng):
        self.rng = rng

    def reply(self, connection, data):
        connection.to_client(data[:self.rng.randrange(self.SHORTEST)])
        time.sleep(self.LATENCY_S)
        connection.end(reset=self.rng.random() < 0.5)


class Truncate(Wire):
    """Some replies lack their end, and the connection stays open."""
    MOST = 3

    def __init__(self, rng):
        self.rng = rng
        self.left = rng.randint(1, self.MOST)

    def reply(self, connection, data):
        if self.left > 0:
            self.left -= 1
            data = data[:self.rng.randrange(len(data))]
        super().reply(connection, data)


class Garbage(Wire):
    """Some bytes of replies are others, half of the time among the first."""

    def __init__(self, rng):
        self.rng = rng

    def reply(self, connection, data):
        data = bytearray(data)
        reach = min(len(data), 32) if self.rng.random() < 0.5 else len(data)
        for _ in range(self.rng.randint(1, 16)):
            data[self.rng.randrange(reach)] = self.rng.randrange(256)
        super().reply(connection, bytes(data))


class RepeatBytes(Wire):
    """Some replies, or parts of them, come twice."""

    def __init__(self, rng):
        self.rng = rng

    def reply(self, connection, data):
        first = self.rng.choice([0, self.rng.randrange(len(data))])
        super().reply(connection, data + data[first:])


class RepeatConnections(Wire):
    """The server gets everything twice: each connection has a twin that says the same before it,
    and what the server answers to the twin is lost."""
    PATIENCE_S = 0.05

    def __init__(self, rng):
        pass

    def opened(self, connection):
        connection.twin = socket.create_connection(("127.0.0.1", connection.proxy.server_port))

    def request(self, connection, data):
        twin = getattr(connection, "twin", None)
        if twin:
            try:
                twin.sendall(data)
                # A request that waits in the server is not waited for.
                if select.select([twin], [], [], self.PATIENCE_S)[0] and not twin.recv(CHUNK):
                    raise OSError("the server has closed the twin")
            except OSError:
                twin.close()
                connection.twin = None
        super().request(connection, data)


class Delay(Wire):
    """Replies take up to half a second."""

    def __init__(self, rng):
        self.rng = rng

    def reply(self, connection, data):
        time.sleep(self.rng.uniform(0.05, 0.5))
        super().reply(connection, data)


class Silence(Wire):
    """Connections are accepted and stay open, and no byte passes."""

    def __init__(self, rng):
        self.healed = threading.Event()

    def request(self, connection, data):
        self.healed.wait()
        super().request(connection, data)

    def reply(self, connection, data):
        self.healed.wait()
        super().reply(connection, data)

    def heal(self):
        self.healed.set()


class Drip(Wire):
    """Requests or replies pass byte by byte, at less than 1 KB/s."""
    SLOWEST, FASTEST = 100, 500  # bytes a second

    def __init__(self, rng):
        self.pause_s = 1 / rng.uniform(self.SLOWEST, self.FASTEST)
        self.drips_requests = rng.random() < 0.5
        self.healed = threading.Event()

    def drip(self, send, data):
        for at in range(len(data)):
            if self.healed.wait(self.pause_s):
                return send(data[at:])
            send(data[at:at + 1])

    def request(self, connection, data):
        if self.drips_requests:
            return self.drip(connection.to_server, data)
        super().request(connection, data)

    def reply(self, connection, data):
        if self.drips_requests:
            return super().reply(connection, data)
        self.drip(connection.to_client, data)

    def heal(self):
        self.healed.set()


class DripBothWays(Drip):
    """Requests and replies pass byte by byte, at less than 1 KB/s."""
    SLOWEST, FASTEST = 400, 800

    def __init__(self, rng):
        super().__init__(rng)
        self.drips_requests = True

    def reply(self, connection, data):
        self.drip(connection.to_client, data)
