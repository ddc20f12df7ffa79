"""An event as CloudEvents 1.0 has it (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md), in its JSON format.

Types, subjects and bodies of what Azure Digital Twins notifies of are as there; what it has no name for is `Twinwright.*`. `sequence`
and `partitionkey` are the extensions of that name: events of one partition key are in the order of their sequence, the commit number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from twinwright.clock import to_iso

TWIN_CREATE: Final = "Microsoft.DigitalTwins.Twin.Create"
TWIN_UPDATE: Final = "Microsoft.DigitalTwins.Twin.Update"
TWIN_DELETE: Final = "Microsoft.DigitalTwins.Twin.Delete"
RELATIONSHIP_CREATE: Final = "Microsoft.DigitalTwins.Relationship.Create"
RELATIONSHIP_UPDATE: Final = "Microsoft.DigitalTwins.Relationship.Update"
RELATIONSHIP_DELETE: Final = "Microsoft.DigitalTwins.Relationship.Delete"
TELEMETRY: Final = "microsoft.iot.telemetry"
CORRECTION: Final = "Twinwright.Twin.Correction"  # what was said of a time is said otherwise, or no more
QUALITY: Final = "Twinwright.Twin.Quality"  # a value that is bad
LANE_UPDATE: Final = "Twinwright.Twin.LaneUpdate"  # a value of another lane than `observed`, which `lane` names
TWIN_MIGRATE: Final = "Twinwright.Twin.Migration"  # a twin went to another version of its interface, or back
MIGRATION_STAGE: Final = "Twinwright.Migration.Stage"  # an apply began a migration, or changed its share
INTERFACE_RETIRE: Final = "Twinwright.Interface.Retire"  # a version that serves nobody from now on
RUN_END: Final = "Twinwright.Run.End"
PARAMETERS_PROMOTE: Final = "Twinwright.Parameters.Promote"
VALIDATION_CREATE: Final = "Twinwright.Validation.Create"

CONTENT_TYPE: Final = "application/cloudevents+json"
_OWN: Final = ("sequence", "partitionkey", "lane", "datasource")
ATTRIBUTES: Final = frozenset(["id", "source", "type", "specversion", "subject", "time", "datacontenttype", "dataschema", "data", *_OWN])


@dataclass(frozen=True, slots=True)
class Event:
    """`key`: what it is ordered by, a twin's id; empty where it is of none. `body` is the CloudEvent."""

    commit: int
    key: str
    body: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.body["id"])


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the events of one commit. `source` is a URI reference that names the platform."""

    source: str
    commit: int

    def event(
        self,
        type: str,
        key: str,
        at: int,
        data: Any,
        *,
        subject: str | None = None,
        source: str | None = None,
        dataschema: str | None = None,
        lane: str | None = None,
        datasource: str | None = None,
        discriminator: object = "",
    ) -> Event:
        """At a time in microseconds. The id is the same whenever the event is made again: the commit, and a digest of what tells it from
        others of the commit; `discriminator` where its attributes don't."""
        time = to_iso(at)
        what = "\0".join(str(part) for part in (type, key, subject, time, lane, datasource, discriminator))
        digest = hashlib.sha256(what.encode("utf-8", "surrogatepass")).hexdigest()[:24]
        optional = {"subject": subject, "dataschema": dataschema, "lane": lane, "datasource": datasource}
        body = {
            "specversion": "1.0",
            "id": f"{self.commit}-{digest}",
            "type": type,
            "source": source or self.source,
            **{name: value for name, value in optional.items() if value},
            "time": time,
            "datacontenttype": "application/json",
            "sequence": f"{self.commit:020d}",
            **({"partitionkey": key} if key else {}),
            "data": data,
        }
        return Event(self.commit, key, body)
