"""What a shadow says is published by a transaction of its own, once it has caught up: its states and its place are ahead of it."""

from contextlib import contextmanager

from twinwright.simulation.shadow.consumer import KIND, ShadowConsumer


class Held:
    """A store whose transactions put what is published aside."""

    def __init__(self, store, aside):
        self._store, self._aside = store, aside

    def __getattr__(self, name):
        return getattr(self._store, name)

    @contextmanager
    def transaction(self, principal, kind):
        with self._store.transaction(principal, kind) as whole:
            yield HeldTransaction(whole, self._aside)


class HeldTransaction:
    def __init__(self, whole, aside):
        self._whole, self._aside = whole, aside

    def __getattr__(self, name):
        if name == "append_values":
            return lambda *given: self._aside.append((name, given))
        return getattr(self._whole, name)


def apply():
    write, catch_up, aside = ShadowConsumer._write, ShadowConsumer.catch_up, []

    def write_without(self, one, said, through):
        store, self._store = self._store, Held(self._store, aside)
        try:
            write(self, one, said, through)
        finally:
            self._store = store

    def catch_up_and_publish(self):
        catch_up(self)
        if aside:
            with self._store.transaction(self._principal, KIND) as transaction:
                for name, given in aside:
                    getattr(transaction, name)(*given)
            aside.clear()

    ShadowConsumer._write, ShadowConsumer.catch_up = write_without, catch_up_and_publish
