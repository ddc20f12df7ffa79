"""The position has a transaction of its own, before that of the data."""

from twinwright.storage.duckdb_transaction import DuckDBTransaction


def apply(monkeypatch):
    move = DuckDBTransaction.move_positions

    def apart(self, contract, moves):
        move(self, contract, moves)
        self._con.execute("COMMIT")
        self._con.execute("BEGIN")

    monkeypatch.setattr(DuckDBTransaction, "move_positions", apart)
