"""`[store]` of twinwright.toml: which engine, with which options, and no secret in a folder that is kept in git."""

import pytest

from twinwright.documents import Problems
from twinwright.errors import WorkspaceError
from twinwright.workspace import load_workspace
from twinwright.workspace.settings import load_settings, load_store_settings


def write(folder, text):
    (folder / "twinwright.toml").write_text(text)
    return folder


def test_without_a_file_it_is_the_embedded_engine(tmp_path):
    assert (load_store_settings(tmp_path).engine, load_store_settings(tmp_path).options) == ("duckdb", {})


def test_the_environment_goes_over_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TWINWRIGHT_STORE__DSN", "postgresql://me:hunter2@db/plant")
    folder = write(tmp_path, '[store]\nengine = "postgres"\ndsn = "postgresql://db/other"\nschema = "plant"\n')
    chosen = load_store_settings(folder)
    assert (chosen.engine, chosen.options) == ("postgres", {"dsn": "postgresql://me:hunter2@db/plant", "schema": "plant"})


@pytest.mark.parametrize("dsn", ["postgresql://me:hunter2@db/plant", "host=db password=hunter2", "host=db PASSWORD = 'hunter2'"])
def test_a_password_in_the_file_is_refused_and_not_repeated(tmp_path, dsn):
    folder = write(tmp_path, f'# ours\n[store]\nengine = "postgres"\ndsn = "{dsn}"\n')
    problems = Problems()
    load_settings(folder, problems, {})
    assert [(problem.file, problem.line, problem.code) for problem in problems.items] == [("twinwright.toml", 4, "secret")]
    for load in (load_store_settings, load_workspace):
        with pytest.raises(WorkspaceError, match="there is a password in it") as refused:
            load(folder)
        assert "TWINWRIGHT_STORE__DSN" in str(refused.value)
        assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("dsn", ["postgresql://me@db:5432/plant", "postgresql:///plant?host=/run/postgresql", "host=db user=me"])
def test_an_address_without_a_password_is_taken(tmp_path, dsn):
    folder = write(tmp_path, f'[store]\nengine = "postgres"\ndsn = "{dsn}"\n')
    assert load_workspace(folder).settings.store.options == {"dsn": dsn}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[store]\nengine = "postgre"\n', "Did you mean 'postgres'"),
        ('[store]\nengine = "postgres"\n', "dsn"),
        ('[store]\nengine = "duckdb"\npath = "x"\n', "path"),
        ("[store]\nengine = 3\n", "engine"),
    ],
)
def test_what_is_wrong_with_it_is_told_with_its_file(tmp_path, text, said):
    with pytest.raises(WorkspaceError) as refused:
        load_workspace(write(tmp_path, text))
    assert said in str(refused.value)
    assert "twinwright.toml" in str(refused.value)


def test_a_file_that_can_not_be_read_opens_no_store(tmp_path):
    with pytest.raises(WorkspaceError, match="not valid TOML"):
        load_store_settings(write(tmp_path, "[store\n"))
