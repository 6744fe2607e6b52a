-- Most events are of no job, and an index that holds them all the same costs every tap a page.
DROP INDEX event_of_job;
CREATE INDEX event_of_job ON event (job, seq) WHERE job IS NOT NULL;
