"""Positions are stored, but not looked at: what was read is read again and counted again."""

from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.duckdb_transaction import DuckDBTransaction


def apply():
    DuckDBStore.position = lambda self, principal, contract, stream: 0
    move = DuckDBTransaction.move_positions

    def unfenced(self, contract, moves):
        for stream, _, next in moves:
            self._con.execute("DELETE FROM positions WHERE contract = ? AND stream = ?", [contract, stream])
            move(self, contract, [(stream, 0, next)])

    DuckDBTransaction.move_positions = unfenced
