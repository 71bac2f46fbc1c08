"""The engine's stores: keys to bytes, by URI (``docs/channels.md``)."""

from . import _lambdaml


def open(uri):
    """The :class:`Store` at a URI, path or bare name: ``"s3://bucket/prefix"``, ``"redis://host"`` …"""
    return Store(_lambdaml.open_store(str(uri)))


class Store:
    """Keys to bytes that every worker can reach; keys are relative to the store's URI.

    Used as a mapping, too: ``store["a/b"] = b"…"``, ``"a/b" in store``, ``for key in store``.
    """

    def __init__(self, engine):
        self._engine = engine

    def load(self, key):
        """The value, or None if there is none."""
        return self._engine.load(key)

    def load_range(self, key, begin, length):
        """The bytes from `begin` on, at most `length` of them, or None if there is no such key."""
        return self._engine.load_range(key, begin, length)

    def save(self, key, value):
        """Saves bytes, or an array's: the last save of a key wins."""
        self._engine.save(key, value)

    def remove(self, key):
        """Removes a key, if it is there."""
        self._engine.remove(key)

    def list(self, prefix=""):
        """A dict of the keys that begin with `prefix`, in order, to the sizes of their values."""
        return dict(self._engine.list(prefix))

    def clear(self, prefix):
        """Removes all keys that begin with `prefix`."""
        self._engine.clear(prefix)

    def __getitem__(self, key):
        value = self._engine.load(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key, value):
        self._engine.save(key, value)

    def __delitem__(self, key):
        if not self._engine.exists(key):
            raise KeyError(key)
        self._engine.remove(key)

    def __contains__(self, key):
        return self._engine.exists(key)

    def __iter__(self):
        return iter(self.list())

    def __len__(self):
        return len(self.list())

    def __repr__(self):
        return f"lambdaml.storage.Store {self._engine.name}"
