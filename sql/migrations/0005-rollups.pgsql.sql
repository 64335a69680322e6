-- What log rows add up to, for the dashboard: per minute, hour and day (step, in
-- seconds; time is the beginning in seconds since 1970), once for each latency slot.
-- kind and item say of what: lib/rollup.h.
CREATE TABLE gptl_rollups (
	step bigint NOT NULL,
	kind bigint NOT NULL,
	time bigint NOT NULL,
	group_id bigint NOT NULL,
	item varchar(300) NOT NULL,
	slot bigint NOT NULL,
	requests bigint NOT NULL DEFAULT 0,
	errors bigint NOT NULL DEFAULT 0,
	retries bigint NOT NULL DEFAULT 0,
	prompt_tokens bigint NOT NULL DEFAULT 0,
	completion_tokens bigint NOT NULL DEFAULT 0,
	c2xx bigint NOT NULL DEFAULT 0,
	c3xx bigint NOT NULL DEFAULT 0,
	c4xx bigint NOT NULL DEFAULT 0,
	c5xx bigint NOT NULL DEFAULT 0,
	PRIMARY KEY (step, kind, time, group_id, item, slot)
);

-- Which models and keys of a group have rows of their own on a day; those beyond a
-- limit share one.
CREATE TABLE gptl_rollup_items (
	day bigint NOT NULL,
	kind bigint NOT NULL,
	group_id bigint NOT NULL,
	item varchar(300) NOT NULL,
	PRIMARY KEY (day, kind, group_id, item)
);

-- 1: the row is in the sums. Rows that were there before are added in the background.
ALTER TABLE request_logs ADD COLUMN gptl_rolled int DEFAULT 0;
