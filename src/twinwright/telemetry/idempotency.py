"""Deliveries that their senders name, so that one which is sent again is answered as before and taken in once.

The receipt is kept under the key in the transaction that takes the delivery in: killed at any instant, either both are durable or
neither is. A key belongs to its contract, for a day; of all keys the newest `MOST` are remembered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from twinwright.clock import HOUR
from twinwright.errors import FenceError, KeyReusedError
from twinwright.storage.layout import KeptReceipt
from twinwright.storage.protocol import Transaction
from twinwright.telemetry.payloads import Delivery, IdempotencyKey, Payload, Receipt

KEPT: Final = 24 * HOUR
MOST: Final = 100_000


class AnsweredError(FenceError):
    """A delivery with this key was taken in before; `receipt` is what was answered then."""

    def __init__(self, receipt: Receipt) -> None:
        super().__init__("it was delivered before")
        self.receipt = receipt


def key_of(text: str, payloads: Sequence[Payload]) -> IdempotencyKey:
    """The key of a delivery, with a digest of what its sender named so: bodies and captures."""
    digest = hashlib.sha256()
    for payload in payloads:
        beside = msgspec.msgpack.encode(sorted(payload.captures.items()))
        for part in (beside, payload.body):
            digest.update(len(part).to_bytes(8, "big") + part)
    return IdempotencyKey(text, digest.hexdigest())


def claim(transaction: Transaction, contract: str, deliveries: Sequence[Delivery]) -> None:
    """Raises AnsweredError for one that was taken in before, KeyReusedError for another under its key.

    Raises FenceError where two have one key: the second can be answered when the first is committed.
    """
    keys = [delivery.key for delivery in deliveries if delivery.key is not None]
    if len({key.text for key in keys}) < len(keys):
        raise FenceError("two deliveries of one batch have the same key", where=contract, remedy="Commit each by itself")
    for key in keys:
        kept = transaction.kept_receipt(contract, key.text)
        if kept is None or kept.at <= transaction.at - KEPT:
            continue
        if kept.digest != key.digest:
            raise KeyReusedError(
                f"the key '{key.text}' was used for another body", where=contract, remedy="Give every delivery a key of its own"
            )
        raise AnsweredError(msgspec.json.decode(kept.receipt, type=Receipt))


def keep(transaction: Transaction, contract: str, deliveries: Sequence[Delivery], receipts: Sequence[Receipt]) -> None:
    """Remember what each delivery with a key is answered."""
    for delivery, receipt in zip(deliveries, receipts, strict=True):
        if delivery.key is not None:
            text = msgspec.json.encode(receipt.as_json()).decode()
            transaction.keep_receipt(KeptReceipt(contract, delivery.key.text, delivery.key.digest, text, transaction.at))
