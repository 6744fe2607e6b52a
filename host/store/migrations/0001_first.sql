-- One schema for SQLite and PostgreSQL: TEXT and BIGINT only, times in milliseconds since 1970, JSON in TEXT.

-- Numbers that are never given twice. The row lock also puts the writers of events in order.
CREATE TABLE counter (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counter (name, value) VALUES ('event', 0), ('job', 0), ('site', 0);

CREATE TABLE config (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE users (
    name TEXT PRIMARY KEY,
    full_name TEXT NOT NULL,
    email TEXT NOT NULL
);

-- The primary key is what makes a card belong to one user, whoever writes.
CREATE TABLE card (
    number TEXT PRIMARY KEY,
    user_name TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    slot BIGINT NOT NULL,
    UNIQUE (user_name, slot)
);

CREATE TABLE printer (
    name TEXT PRIMARY KEY,
    spec TEXT NOT NULL
);

CREATE TABLE queue (
    name TEXT PRIMARY KEY,
    printer TEXT REFERENCES printer (name),
    spec TEXT NOT NULL
);

CREATE TABLE device (
    name TEXT PRIMARY KEY,
    printer TEXT NOT NULL REFERENCES printer (name),
    spec TEXT NOT NULL
);

CREATE TABLE reader (
    name TEXT PRIMARY KEY,
    device TEXT NOT NULL REFERENCES device (name),
    spec TEXT NOT NULL
);

-- What drivers ask to be remembered, sealed by the host.
CREATE TABLE reader_memory (
    reader TEXT NOT NULL REFERENCES reader (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    sealed TEXT NOT NULL,
    PRIMARY KEY (reader, name)
);

CREATE TABLE driver (
    digest TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    version TEXT NOT NULL,
    manifest TEXT NOT NULL,
    installed BIGINT NOT NULL,
    UNIQUE (id, version)
);

CREATE TABLE job (
    id TEXT PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    queue TEXT NOT NULL,
    owner TEXT NOT NULL,
    -- The owner as a user name, folded as those are; NULL where it can be none.
    owner_name TEXT,
    user_name TEXT,
    name TEXT NOT NULL,
    format TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    options TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    doubtful BIGINT NOT NULL,
    printer TEXT,
    device TEXT,
    remote BIGINT,
    attempt BIGINT NOT NULL,
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL
);
CREATE INDEX job_of_user ON job (user_name, state);
CREATE INDEX job_of_owner ON job (owner_name, state);
CREATE INDEX job_of_queue ON job (queue, state);
CREATE INDEX job_by_state ON job (state);

CREATE TABLE event (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    trace TEXT NOT NULL,
    kind TEXT NOT NULL,
    level TEXT NOT NULL,
    reader TEXT,
    device TEXT,
    user_name TEXT,
    job TEXT,
    message TEXT NOT NULL,
    facts TEXT NOT NULL
);
CREATE INDEX event_of_trace ON event (trace);
CREATE INDEX event_of_job ON event (job);
