-- The numbers that the secrets of readers' callback addresses are derived from; a secret itself is kept nowhere. None is given
-- twice: a reader that is removed and added again under its name has another secret.
INSERT INTO counter (name, value) VALUES ('reader-secret', 0);

CREATE TABLE reader_secret (
    number BIGINT PRIMARY KEY,
    reader TEXT NOT NULL REFERENCES reader (name) ON DELETE CASCADE,
    -- Until when it is good, in milliseconds since 1970; NULL: the one that the reader is given now.
    ends BIGINT
);
CREATE INDEX reader_secret_of_reader ON reader_secret (reader);
