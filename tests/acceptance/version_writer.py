"""A client of one version that changes a twin, whichever version that is of, and reads it back as every version that is served."""

from __future__ import annotations

import math
import random
import time
from typing import Any

import httpx
from tests.acceptance.versions import VERSIONS, WRITTEN, Client, Fleet, dtmi, expected


class Writer(Client):
    """Only it writes to its twin. `held` has the number of each quantity that it wrote, and has not removed."""

    def __init__(self, fleet: Fleet, version: int) -> None:
        super().__init__(fleet, version)
        self.rng = random.Random(200 + version)
        self.twin = f"/digitaltwins/{WRITTEN[version]}"
        self.names = VERSIONS[version]
        self.number = 0
        self.held: dict[str, int] = {}
        self.coming: dict[str, int] | None = None  # what is held once a write is done of which no answer has come
        self.etag = ""
        self.moved = 0  # writes that were to be read again first

    def once(self, client: httpx.Client) -> None:
        if self.coming is not None:  # the platform was killed in the midst of it: all of it was done, or nothing
            shown = self.get(client, self.version)
            if self.fits(shown, self.version, self.coming):
                self.held = self.coming
        self.number += 1
        way = self.rng.choice([self.patch, self.patch, self.put, self.remove])
        if way(client):
            self.held = self.coming or {}
        self.coming = None
        for version in self.fleet.served:
            shown = self.get(client, version)
            assert shown["$metadata"]["$model"] == dtmi(version)
            assert self.fits(shown, version, self.held), (self.version + 1, version + 1, self.held, shown)
        time.sleep(0.2)

    def get(self, client: httpx.Client, version: int) -> dict[str, Any]:
        answer = client.get(self.twin, params={"interface": dtmi(version)})
        assert answer.status_code == 200, answer.text
        if version == self.version:
            self.etag = answer.headers["etag"]
        return dict(answer.json())

    def fits(self, shown: dict[str, Any], version: int, held: dict[str, int]) -> bool:
        for quantity, one in VERSIONS[version].items():
            if (quantity in held) != (one.name in shown):
                return False
            if quantity in held and not math.isclose(shown[one.name], expected(version, quantity, held[quantity]), rel_tol=1e-9):
                return False
        return True

    def patch(self, client: httpx.Client) -> bool:
        """Some of the quantities: only if they are as this client knows them."""
        chosen = self.rng.sample(sorted(self.names), self.rng.randint(1, len(self.names)))
        shown = self.get(client, self.version)
        steps: list[dict[str, Any]] = [{"op": "test", "path": f"/{name}", "value": shown[name]} for name in self.called(self.held)]
        steps += [{"op": "add", "path": f"/{self.names[one].name}", "value": expected(self.version, one, self.number)} for one in chosen]
        self.coming = {**self.held, **dict.fromkeys(chosen, self.number)}
        return self.change(client, steps)

    def remove(self, client: httpx.Client) -> bool:
        if not self.held:
            return self.put(client)
        gone = self.rng.choice(sorted(self.held))
        self.get(client, self.version)
        self.coming = {quantity: number for quantity, number in self.held.items() if quantity != gone}
        return self.change(client, [{"op": "remove", "path": f"/{self.names[gone].name}"}])

    def change(self, client: httpx.Client, steps: list[dict[str, Any]]) -> bool:
        """Whether it was done; not where the twin was moved since it was read, which is a change like others."""
        answer = client.patch(self.twin, params={"interface": dtmi(self.version)}, json=steps, headers={"if-match": self.etag})
        assert answer.status_code in (204, 412), answer.text
        self.moved += answer.status_code == 412
        return answer.status_code == 204

    def put(self, client: httpx.Client) -> bool:
        """A whole document, which says of which version it is."""
        values = {one.name: expected(self.version, quantity, self.number) for quantity, one in self.names.items()}
        self.coming = dict.fromkeys(self.names, self.number)
        answer = client.put(self.twin, json={"$metadata": {"$model": dtmi(self.version)}, **values})
        assert answer.status_code == 200, answer.text
        assert self.fits(answer.json(), self.version, self.coming)
        return True

    def called(self, quantities: dict[str, int]) -> list[str]:
        return [self.names[quantity].name for quantity in quantities]
