-- Who signed in to print a job, and what passwords are checked against.
ALTER TABLE users ADD COLUMN password_hash TEXT;
ALTER TABLE job ADD COLUMN signed_in TEXT;
