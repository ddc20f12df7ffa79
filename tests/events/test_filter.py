"""Filters of event routes: true, false and unknown as in the query language; what can't be read is told with its place."""

import pytest

from twinwright.errors import EventRouteFilterError
from twinwright.events.filter import EventFilter

EVENT = {
    "type": "Microsoft.DigitalTwins.Twin.Update",
    "subject": "pump-1",
    "source": "/x",
    "data": {"modelId": "dtmi:t:Pump;1", "patch": [], "n": 3, "on": True, "$metadata": {"$model": "m"}},
}


@pytest.mark.parametrize(
    ("text", "admitted"),
    [
        ("true", True),
        ("false", False),
        ("type = 'Microsoft.DigitalTwins.Twin.Update'", True),
        ("type != 'microsoft.iot.telemetry' AND subject = 'pump-1'", True),
        ("(type = 'a' OR subject = 'pump-1') AND NOT source = '/y'", True),
        ("STARTS_WITH(subject, 'pump') and ends_with(subject, '-1') and CONTAINS(subject, 'mp')", True),
        ("$body.modelId IN ['a', 'dtmi:t:Pump;1']", True),
        ("$body.modelId NIN ['a']", True),
        ("$body.$metadata.$model = 'm'", True),
        ("data.n >= 3 AND data.n < 3.5", True),
        ("data.n = '3'", False),
        ("data.on = 1", False),
        ("data.on = true", True),
        ("dataschema = 'x'", False),
        ("NOT dataschema = 'x'", False),  # unknown is not true either way round
        ("dataschema = 'x' OR true", True),
        ("IS_DEFINED(dataschema)", False),
        ("NOT IS_DEFINED(data.none)", True),
        ("data.n > 'a'", False),
    ],
)
def test_a_filter_admits_what_it_is_true_of(text, admitted):
    assert EventFilter(text).admits(EVENT) is admitted


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("x" * 5_000, "5000 characters"),
        ("type = 'a", "quote"),
        ("(type = 'a'", r"'\)' is expected"),
        ("type = 'a' subject = 'b'", "could end"),
        ("typo = 'a'", "no attribute 'typo'"),
        ("data.n + 1 = 2", "only comparisons"),
        ("data.n = 3 bar", "only comparisons"),
        ("AVG(data.n) = 1", "no meaning"),
        ("STARTS_WITH(subject)", "takes 2"),
        ("NOSUCH(subject)", "no function"),
    ],
)
def test_what_can_not_be_read_is_refused(text, says):
    with pytest.raises(EventRouteFilterError, match=says):
        EventFilter(text)
