"""What a client of another version writes is stored in the unit of the version that the twin is of."""

from twinwright.twins.graph import draft
from twinwright.twins.values import value_row


def apply(monkeypatch):
    def row(self, life, path, value, at):
        own = self.world.ontology.paths(self.current(life.twin).interface)
        info = own.get(path) or self.world.ontology.paths(life.interface)[path]
        return value_row(life.number, info, value, time=at, correction=self.commit)

    monkeypatch.setattr(draft.Draft, "row", row)
