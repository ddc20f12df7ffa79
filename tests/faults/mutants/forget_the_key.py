"""Remembers receipts in the process, and not in the transaction that they are of."""

from twinwright.storage.duckdb_transaction import DuckDBTransaction


def apply() -> None:
    kept = {}
    DuckDBTransaction.keep_receipt = lambda self, receipt: kept.update({(receipt.contract, receipt.key): receipt})
    DuckDBTransaction.kept_receipt = lambda self, contract, key: kept.get((contract, key))
