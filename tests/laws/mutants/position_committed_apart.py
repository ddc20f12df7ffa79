"""The position has a transaction of its own, before that of the data."""

from twinwright.storage.duckdb_transaction import DuckDBTransaction


def apply(monkeypatch):
    move = DuckDBTransaction.move_position

    def apart(self, contract, stream, start, next):
        move(self, contract, stream, start, next)
        self._con.execute("COMMIT")
        self._con.execute("BEGIN")

    monkeypatch.setattr(DuckDBTransaction, "move_position", apart)
