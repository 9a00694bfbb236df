"""The tables, as numbered steps that only ever go forward.

A step is never edited once it has shipped; what changes is a new step. `PRAGMA user_version` holds the number of steps
taken. A store from a newer version is refused, since writing to it could lose what that version put there.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from workbench.core.errors import StoreError

_RUNS = """
CREATE TABLE runs (
    id          TEXT PRIMARY KEY,
    created_s   REAL NOT NULL,
    session     TEXT NOT NULL,
    kind        TEXT NOT NULL,
    name        TEXT NOT NULL DEFAULT '',
    system      TEXT,
    prompt      TEXT,
    params      TEXT NOT NULL DEFAULT '{}',
    starred     INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX runs_by_time ON runs (created_s DESC);
CREATE TABLE answers (
    id              TEXT PRIMARY KEY,
    run_id          TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    position        INTEGER NOT NULL,
    sample          INTEGER NOT NULL DEFAULT 0,
    ended_s         REAL NOT NULL,
    model           TEXT NOT NULL,
    provider        TEXT NOT NULL,
    wire_model      TEXT NOT NULL,
    key_alias       TEXT,
    params          TEXT NOT NULL DEFAULT '{}',
    finish_reason   TEXT NOT NULL,
    text            TEXT,
    reasoning       TEXT,
    error_title     TEXT,
    error_message   TEXT,
    ttft_s          REAL,
    ttfa_s          REAL,
    tpot_s          REAL,
    queue_s         REAL,
    service_s       REAL,
    e2e_s           REAL,
    timing          TEXT NOT NULL DEFAULT '{}',
    input_tokens    INTEGER,
    cached_tokens   INTEGER,
    written_tokens  INTEGER,
    output_tokens   INTEGER,
    reasoning_tokens INTEGER,
    usage_source    TEXT,
    cost_usd        REAL,
    saved_usd       REAL,
    saved_by        TEXT,
    cached          INTEGER NOT NULL DEFAULT 0,
    attempts        INTEGER NOT NULL DEFAULT 1,
    request_id      TEXT,
    notes           TEXT NOT NULL DEFAULT '[]'
);
CREATE INDEX answers_by_run ON answers (run_id, position, sample);
CREATE INDEX answers_by_time ON answers (ended_s);
CREATE VIRTUAL TABLE found USING fts5 (
    run_id UNINDEXED, place UNINDEXED, text, tokenize = "unicode61 remove_diacritics 2"
);
"""

_CONVERSATIONS = """
CREATE TABLE conversations (
    id          TEXT PRIMARY KEY,
    created_s   REAL NOT NULL,
    updated_s   REAL NOT NULL,
    model       TEXT NOT NULL,
    title       TEXT NOT NULL DEFAULT ''
);
CREATE TABLE turns (
    conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    position        INTEGER NOT NULL,
    role            TEXT NOT NULL,
    text            TEXT NOT NULL,
    answer_id       TEXT,
    PRIMARY KEY (conversation_id, position)
) WITHOUT ROWID;
CREATE TABLE prompts (
    name        TEXT NOT NULL,
    version     INTEGER NOT NULL,
    created_s   REAL NOT NULL,
    system      TEXT NOT NULL DEFAULT '',
    text        TEXT NOT NULL,
    PRIMARY KEY (name, version)
) WITHOUT ROWID;
"""

_JOBS = """
CREATE TABLE jobs (
    id           TEXT PRIMARY KEY,
    created_s    REAL NOT NULL,
    ended_s      REAL,
    name         TEXT NOT NULL DEFAULT '',
    model        TEXT NOT NULL,
    provider     TEXT NOT NULL,
    wire_model   TEXT NOT NULL,
    base_url     TEXT NOT NULL,
    key_alias    TEXT,
    fingerprint  TEXT NOT NULL DEFAULT '',
    group_id     TEXT,
    rows         INTEGER NOT NULL DEFAULT 0,
    estimate_usd REAL,
    problem      TEXT NOT NULL DEFAULT '',
    imported     INTEGER NOT NULL DEFAULT 0,
    retry_of     TEXT,
    cancel_asked INTEGER NOT NULL DEFAULT 0,
    notes        TEXT NOT NULL DEFAULT '[]',
    revision     INTEGER NOT NULL DEFAULT 0,
    owner        TEXT NOT NULL DEFAULT '',
    owner_until_s REAL NOT NULL DEFAULT 0
);
CREATE INDEX jobs_by_time ON jobs (created_s DESC);
CREATE UNIQUE INDEX jobs_by_retry ON jobs (retry_of) WHERE retry_of IS NOT NULL;
CREATE TABLE job_parts (
    job_id      TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position    INTEGER NOT NULL,
    state       TEXT NOT NULL,
    step        TEXT NOT NULL DEFAULT 'new',
    name        TEXT NOT NULL DEFAULT '',
    rows        INTEGER NOT NULL,
    file_id     TEXT,
    sent_s      REAL,
    batch_id    TEXT,
    over        INTEGER NOT NULL DEFAULT 0,
    way         TEXT NOT NULL DEFAULT '',
    total       INTEGER NOT NULL DEFAULT 0,
    succeeded   INTEGER NOT NULL DEFAULT 0,
    failed      INTEGER NOT NULL DEFAULT 0,
    created_s   REAL,
    ended_s     REAL,
    expires_s   REAL,
    results_until_s REAL,
    last_poll_s REAL,
    next_poll_s REAL,
    polls       INTEGER NOT NULL DEFAULT 0,
    misses      INTEGER NOT NULL DEFAULT 0,
    raw_state   TEXT NOT NULL DEFAULT '',
    problem     TEXT NOT NULL DEFAULT '',
    cost_usd    REAL,
    saved_usd   REAL,
    PRIMARY KEY (job_id, position)
) WITHOUT ROWID;
CREATE INDEX job_parts_by_batch ON job_parts (batch_id);
CREATE INDEX job_parts_open ON job_parts (job_id) WHERE NOT over;
CREATE TABLE job_rows (
    job_id      TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position    INTEGER NOT NULL,
    part        INTEGER NOT NULL,
    row_id      TEXT NOT NULL,
    wire_id     TEXT NOT NULL,
    messages    TEXT NOT NULL DEFAULT '[]',
    params      TEXT NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX job_rows_by_position ON job_rows (job_id, position);
CREATE UNIQUE INDEX job_rows_by_wire_id ON job_rows (job_id, wire_id);
CREATE TABLE job_answers (
    job_id      TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    wire_id     TEXT NOT NULL,
    part        INTEGER NOT NULL,
    ended_s     REAL NOT NULL,
    text        TEXT NOT NULL DEFAULT '',
    reasoning   TEXT NOT NULL DEFAULT '',
    tool_calls  TEXT NOT NULL DEFAULT '',
    finish_reason TEXT,
    error_title TEXT,
    error_message TEXT,
    error_code  TEXT,
    input_tokens INTEGER,
    cached_tokens INTEGER,
    written_tokens INTEGER,
    output_tokens INTEGER,
    reasoning_tokens INTEGER,
    usage_source TEXT,
    cost_usd    REAL,
    saved_usd   REAL,
    request_id  TEXT
);
CREATE UNIQUE INDEX job_answers_by_wire_id ON job_answers (job_id, wire_id);
CREATE INDEX job_answers_by_time ON job_answers (ended_s);
"""

_TURNS_BY_ANSWER = """
CREATE INDEX turns_by_answer ON turns (answer_id) WHERE answer_id IS NOT NULL;
"""

STEPS: tuple[str, ...] = (_RUNS, _CONVERSATIONS, _JOBS, _TURNS_BY_ANSWER)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Take the steps that are missing, all or none. Two processes that start at once take them once.

    Raises StoreError when the store has had steps that this version does not know.
    """
    if _version(connection) == len(STEPS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        taken = _version(connection)
        _refuse_newer(taken, path)
        for step in STEPS[taken:]:
            for statement in _statements(step):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(STEPS)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _refuse_newer(taken: int, path: Path) -> None:
    if taken > len(STEPS):
        raise StoreError(
            f"The store {path} was written by a newer version of this program.",
            hint="Upgrade llm-workbench, or set LLM_DATA_DIR to another directory.",
        )


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _statements(step: str) -> list[str]:
    # `executescript` would commit the transaction that makes a migration all or nothing.
    return [statement for statement in step.split(";\n") if statement.strip()]
