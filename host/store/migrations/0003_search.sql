-- Owner, user and name of a job in lower case, to search in; NULL until the host has filled it in.
ALTER TABLE job ADD COLUMN folded TEXT;
CREATE INDEX job_unfolded ON job (id) WHERE folded IS NULL;

-- Lists are newest first, so every index ends in the number: no list is sorted.
DROP INDEX job_of_user;
DROP INDEX job_of_owner;
DROP INDEX job_of_queue;
DROP INDEX job_by_state;
CREATE INDEX job_of_user ON job (user_name, state, number);
CREATE INDEX job_unassigned ON job (owner_name) WHERE user_name IS NULL;
CREATE INDEX job_of_queue ON job (queue, state, number);
CREATE INDEX job_by_state ON job (state, number);
CREATE INDEX job_open ON job (number) WHERE state NOT IN ('delivered', 'cancelled');
CREATE INDEX job_open_of_queue ON job (queue, number) WHERE state NOT IN ('delivered', 'cancelled');
-- What retention looks for.
CREATE INDEX job_ended ON job (changed) WHERE state IN ('delivered', 'cancelled');

CREATE INDEX event_of_kind ON event (kind, seq);
CREATE INDEX event_of_reader ON event (reader, seq) WHERE reader IS NOT NULL;
CREATE INDEX event_of_user ON event (user_name, seq) WHERE user_name IS NOT NULL;
