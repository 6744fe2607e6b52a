-- Where users and groups come from.
CREATE TABLE source (
    name TEXT PRIMARY KEY,
    spec TEXT NOT NULL
);

-- Where reading what changed in a source begins the next time.
CREATE TABLE source_mark (
    source TEXT PRIMARY KEY REFERENCES source (name) ON DELETE CASCADE,
    mark TEXT NOT NULL
);

ALTER TABLE users ADD COLUMN department TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN office TEXT NOT NULL DEFAULT '';
-- One a line.
ALTER TABLE users ADD COLUMN other_emails TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN alias TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN home TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN pin TEXT;
-- NULL: made here. No reference: a source may go, its users stay.
ALTER TABLE users ADD COLUMN source TEXT;
ALTER TABLE users ADD COLUMN source_key TEXT;
CREATE UNIQUE INDEX user_of_source ON users (source, source_key);

-- As before, and a user's cards follow when the user is renamed.
CREATE TABLE card_next (
    number TEXT PRIMARY KEY,
    user_name TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE ON UPDATE CASCADE,
    slot BIGINT NOT NULL,
    UNIQUE (user_name, slot)
);
INSERT INTO card_next (number, user_name, slot) SELECT number, user_name, slot FROM card;
DROP TABLE card;
ALTER TABLE card_next RENAME TO card;

CREATE TABLE user_group (
    name TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    source_key TEXT NOT NULL
);

-- Members of groups inside a group are its members, too: here they stand in both.
CREATE TABLE user_group_member (
    group_name TEXT NOT NULL REFERENCES user_group (name) ON DELETE CASCADE ON UPDATE CASCADE,
    user_name TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE ON UPDATE CASCADE,
    PRIMARY KEY (group_name, user_name)
);
CREATE INDEX group_of_user ON user_group_member (user_name);

-- Each run of a sync.
INSERT INTO counter (name, value) VALUES ('sync', 0);
CREATE TABLE sync_run (
    number BIGINT PRIMARY KEY,
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    why TEXT NOT NULL,
    began BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    -- JSON: what was read, what there is to do, what is left alone.
    told TEXT NOT NULL,
    digest TEXT NOT NULL,
    -- The state of the site that the plan was made from.
    as_of BIGINT NOT NULL,
    -- JSON: where reading what changed begins once the plan is carried out, by source.
    marks TEXT NOT NULL,
    -- The run that this one takes back, and the run that took this one back.
    undoes BIGINT,
    undone_by BIGINT
);

-- What a run did or would do, in order: some hundreds of changes a row, as JSON.
CREATE TABLE sync_part (
    run BIGINT NOT NULL REFERENCES sync_run (number) ON DELETE CASCADE,
    part BIGINT NOT NULL,
    changes TEXT NOT NULL,
    PRIMARY KEY (run, part)
);

-- Who was removed by which run, as JSON: events and jobs tell of them by name.
CREATE TABLE archived_user (
    run BIGINT NOT NULL REFERENCES sync_run (number) ON DELETE CASCADE,
    name TEXT NOT NULL,
    at BIGINT NOT NULL,
    spec TEXT NOT NULL,
    PRIMARY KEY (run, name)
);
