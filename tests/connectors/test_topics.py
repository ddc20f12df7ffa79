"""Topic templates against the wildcard rules of MQTT."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from twinwright.connectors.topics import TopicTemplate, check_template, covers, widest
from twinwright.errors import InvalidError


@pytest.mark.parametrize(
    ("template", "filter", "topic", "captures"),
    [
        ("plant/{twin}/telemetry", "plant/+/telemetry", "plant/pump-1/telemetry", {"twin": "pump-1"}),
        ("plant/{twin}/telemetry", "plant/+/telemetry", "plant/pump-1/status", None),
        ("plant/{twin}/telemetry", "plant/+/telemetry", "plant/a/b/telemetry", None),
        ("plant/{twin}/telemetry", "plant/+/telemetry", "plant//telemetry", {"twin": ""}),
        ("{site}/{line}/x", "+/+/x", "a/b/x", {"site": "a", "line": "b"}),
        ("plant/pump-{unit}/t", "plant/+/t", "plant/pump-7/t", {"unit": "7"}),
        ("plant/pump-{unit}/t", "plant/+/t", "plant/fan-7/t", None),
        ("plant/{rest...}", "plant/#", "plant/a/b/c", {"rest": "a/b/c"}),
        ("plant/{rest...}", "plant/#", "plant", {"rest": ""}),
        ("plant/{rest...}", "plant/#", "plants/a", None),
        ("{all...}", "#", "a/b", {"all": "a/b"}),
        ("#", "#", "a/b", {}),
        ("+/{twin}", "+/+", "a/b", {"twin": "b"}),
        ("{a}/x", "+/x", "$SYS/x", None),
        ("a.c/{t}", "a.c/+", "abc/1", None),
        ("pump-{unit}", "+", "$SYS", None),
        ("$share/g/plant/{twin}", "$share/g/plant/+", "plant/p-1", {"twin": "p-1"}),
        ("$share/g/{all...}", "$share/g/#", "a/b", {"all": "a/b"}),
        ("$share/g/{all...}", "$share/g/#", "$SYS/b", None),
    ],
)
def test_a_template_subscribes_and_captures(template, filter, topic, captures):
    parsed = TopicTemplate.parse(template)
    assert parsed.filter == filter
    assert parsed.match(topic) == captures


@pytest.mark.parametrize(
    ("template", "count"),
    [
        ("", 1),
        ("a\0b", 1),
        ("x" * 70_000, 1),
        ("{rest...}/a", 1),
        ("#/a", 1),
        ("a/b#", 1),
        ("a/b+", 1),
        ("{a}{b}", 1),
        ("{a}/{a}", 1),
        ("{1a}/x", 1),
        ("{a/x}", 2),
        ("x-{rest...}", 1),
        ("{a}/{a}/b+/#/c", 3),
        ("$share/g", 1),
        ("$share//a", 1),
        ("$share/{g}/a", 1),
    ],
)
def test_every_problem_of_a_template_is_told_with_its_remedy(template, count):
    problems = check_template(template)
    assert len(problems) == count
    assert all(problem.message and problem.remedy for problem in problems)
    with pytest.raises(InvalidError) as caught:
        TopicTemplate.parse(template)
    assert len(caught.value.problems) == count


level = st.sampled_from(["", "a", "b", "pump-1", "$x"])
step = st.sampled_from(["a", "pump-1", "+", "{x}", ""])


@given(st.lists(step, min_size=1, max_size=4), st.sampled_from(["", "#", "{rest...}"]), st.lists(level, min_size=1, max_size=5))
def test_a_template_covers_exactly_the_topics_that_its_filter_covers(steps, tail, topic_levels):
    steps = [f"{{x{index}}}" if part == "{x}" else part for index, part in enumerate(steps)]
    text, topic = "/".join([*steps, *([tail] if tail else [])]), "/".join(topic_levels)
    if not text or not topic:
        return
    template = TopicTemplate.parse(text)
    assert (template.match(topic) is not None) == topic_matches_sub(template.filter, topic)


@given(
    st.lists(step, min_size=1, max_size=3),
    st.sampled_from(["", "#"]),
    st.lists(step, min_size=1, max_size=3),
    st.sampled_from(["", "#"]),
    st.lists(level, min_size=1, max_size=4),
)
def test_what_a_covered_filter_matches_its_cover_matches(wide, wide_tail, narrow, narrow_tail, topic_levels):
    first = "/".join([*wide, *([wide_tail] if wide_tail else [])]).replace("{x}", "+")
    second = "/".join([*narrow, *([narrow_tail] if narrow_tail else [])]).replace("{x}", "+")
    topic = "/".join(topic_levels)
    if topic and first and second and covers(first, second) and topic_matches_sub(second, topic):
        assert topic_matches_sub(first, topic)


def test_only_the_widest_filters_are_subscribed():
    assert widest(["plant/+/t", "plant/#", "site/+", "plant/#", "site/a", "+/b", "$SYS/#"]) == ["$SYS/#", "+/b", "plant/#", "site/+"]
    assert widest(["#", "a/b", "$x/y"]) == ["#", "$x/y"]
    assert widest(["a/+", "a", "a/#"]) == ["a/#"]
