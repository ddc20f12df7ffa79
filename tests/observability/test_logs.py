"""Logs: machine-readable, correlated, and without secrets."""

import io
import json
import logging
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinwright.observability import logs


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def lines():
    stream = io.StringIO()
    before = logging.getLogger().handlers[:]
    logs.configure("debug", json=True, stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.getLogger().handlers[:] = before


def test_a_line_is_one_json_object_with_level_time_name_and_details(lines):
    logs.get_logger("storage").info("batch_committed", contract="pump", readings=512)
    (line,) = lines()
    assert line["event"] == "batch_committed"
    assert (line["contract"], line["readings"], line["level"], line["logger"]) == ("pump", 512, "info", "twinwright.storage")
    assert line["timestamp"].endswith("Z")


def test_a_terminal_gets_text_and_anything_else_json():
    before = logging.getLogger().handlers[:]
    try:
        terminal, pipe = Terminal(), io.StringIO()
        logs.configure(stream=terminal)
        logs.get_logger("x").info("seen", a=1)
        logs.configure(stream=pipe)
        logs.get_logger("x").info("seen", a=1)
    finally:
        logging.getLogger().handlers[:] = before
    assert "seen" in terminal.getvalue()
    assert not terminal.getvalue().lstrip().startswith("{")
    assert json.loads(pipe.getvalue())["a"] == 1


def test_configuring_again_does_not_double_the_lines(lines):
    stream = io.StringIO()
    logs.configure("info", json=True, stream=stream)
    logs.configure("info", json=True, stream=stream)
    logs.get_logger("x").info("once")
    assert len(stream.getvalue().splitlines()) == 1


def test_less_than_the_level_is_left_out(lines):
    stream = io.StringIO()
    logs.configure("warning", json=True, stream=stream)
    log = logs.get_logger("x")
    log.info("quiet")
    log.warning("loud")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


def test_an_imported_library_writes_nothing_until_configured():
    code = "from twinwright.observability.logs import get_logger; get_logger('x').error('boom', a=1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_standard_output_stays_clean():
    code = "from twinwright.observability import logs; logs.configure('info'); logs.get_logger('x').error('boom', a=1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b""
    assert json.loads(done.stderr)["event"] == "boom"


def test_a_correlation_id_goes_with_every_line_of_its_block_and_no_other(lines):
    log = logs.get_logger("x")
    log.info("before")
    with logs.correlated("req-1") as id:
        log.info("inside")
        with logs.correlated() as inner:
            log.info("nested")
        with logs.correlated("req-2"):
            log.info("other")
        log.info("again")
    log.info("after")
    assert id == inner == "req-1"
    assert [line.get("correlation_id") for line in lines()] == [None, "req-1", "req-1", "req-2", "req-1", None]


def test_a_block_without_an_id_gets_a_fresh_one():
    with logs.correlated() as first:
        assert logs.current_correlation() == first
    with logs.correlated() as second:
        pass
    assert first != second
    assert logs.current_correlation() is None


def test_each_thread_has_its_own_correlation():
    seen = {}

    def work(name):
        logs.bind_correlation(name)
        barrier.wait(60)
        seen[name] = logs.current_correlation()

    barrier = threading.Barrier(2)
    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"a": "a", "b": "b"}
    assert logs.current_correlation() is None


def test_an_id_from_a_header_cannot_break_the_line():
    with logs.correlated('x\n{"event": "forged"}' + "y" * 500) as id:
        assert id.isprintable()
        assert len(id) <= 64
        assert "\n" not in id
    with logs.correlated("\n") as id:
        assert len(id) == 16


@pytest.mark.parametrize(
    "key", ["token", "password", "Authorization", "client_secret", "api_key", "apikey", "X-Api-Key", "set-cookie", "private_key"]
)
def test_a_secret_is_redacted_by_its_key_at_any_depth(lines, key):
    logs.get_logger("x").info("e", **{key: "hunter2"}, headers=[{key: b"hunter2"}], outer={"inner": {key: ["hunter2"]}})
    (line,) = lines()
    assert "hunter2" not in json.dumps(line)
    assert line[key] == logs.REDACTED


@pytest.mark.parametrize(
    "text",
    [
        "Bearer hunter2hunter2",
        "sent authorization: bearer hunter2hunter2.abc to peer",
        "mqtt://user:hunter2hunter2@broker:1883",
        "GET /?token=hunter2hunter2&x=1",
        "password: hunter2hunter2",
        "open http://127.0.0.1:8080/?code=hunter2hunter2",
    ],
)
def test_a_secret_in_a_value_or_message_is_redacted_by_its_form(lines, text):
    log = logs.get_logger("x")
    log.info(text, note=text, error=ValueError(text), raw=text.encode())
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("failed")
    logging.getLogger("some.library").warning("says %s", text)
    assert len(lines()) == 3
    assert "hunter2" not in json.dumps(lines())


def test_a_commit_token_is_not_a_secret(lines):
    logs.get_logger("x").info("committed", token=17, user="ann", code="NotFound")
    assert lines()[0]["token"] == 17
    assert lines()[0]["code"] == "NotFound"
    assert lines()[0]["user"] == "ann"


def test_an_exception_keeps_its_traceback(lines):
    try:
        raise ValueError("no such thing")
    except ValueError:
        logs.get_logger("x").exception("failed")
    assert "ValueError: no such thing" in lines()[0]["exception"]


def test_lines_of_libraries_come_through_the_same_way(lines):
    logging.getLogger("some.library").warning("odd: %d", 3)
    logging.getLogger("some.library").info("chatter")
    assert [(line["event"], line["logger"]) for line in lines()] == [("odd: 3", "some.library")]


def test_long_text_and_deep_nesting_are_cut(lines):
    deep = {"a": 1}
    for _ in range(50):
        deep = {"a": deep}
    logs.get_logger("x").info("e", text="x" * 100_000, deep=deep)
    (line,) = lines()
    assert len(line["text"]) < logs.MAX_TEXT + 100
    assert "(100000 characters)" in line["text"]
    assert len(json.dumps(line["deep"])) < 200


def test_a_logger_keeps_what_is_bound_to_it(lines):
    logs.get_logger("twinwright.connectors", connector="mqtt").info("up")
    assert (lines()[0]["connector"], lines()[0]["logger"]) == ("mqtt", "twinwright.connectors")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=20,
)


@given(plain)
def test_no_value_makes_redaction_fail_or_leaves_a_bearer_token(value):
    text = json.dumps(logs.redact({"data": value, "more": [value, "Bearer abcdefghijkl"]}))
    assert "abcdefghijkl" not in text
