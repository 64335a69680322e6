-- What we keep beyond GPT-Load 1.4. Additions only, each with a default, so that
-- the original can go on with the database.

CREATE TABLE gptl_meta (
	name varchar(64) PRIMARY KEY,
	value text NOT NULL
);

-- Keys that came, went or were replaced and of which the pool does not know yet:
-- those of group_id with first_id <= id <= last_id.
CREATE TABLE gptl_outbox (
	id bigserial PRIMARY KEY,
	group_id bigint NOT NULL,
	first_id bigint NOT NULL,
	last_id bigint NOT NULL,
	created_at timestamptz NOT NULL
);

-- How far each node's spool segments are in request_logs.
CREATE TABLE gptl_spool (
	segment varchar(255) PRIMARY KEY,
	position bigint NOT NULL,
	node varchar(64) NOT NULL,
	updated_at timestamptz NOT NULL
);

-- Who does the background work of the installation, and until when.
CREATE TABLE gptl_lease (
	name varchar(64) PRIMARY KEY,
	holder varchar(64) NOT NULL,
	fence bigint NOT NULL,
	expires_at timestamptz NOT NULL
);

ALTER TABLE api_keys ADD COLUMN gptl_seq bigint NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN gptl_last_status int;
ALTER TABLE api_keys ADD COLUMN gptl_last_error varchar(255);
ALTER TABLE api_keys ADD COLUMN gptl_failed_at timestamptz;
ALTER TABLE api_keys ADD COLUMN gptl_disabled_reason varchar(255) DEFAULT '';

ALTER TABLE "groups" ADD COLUMN gptl_options json;

ALTER TABLE request_logs ADD COLUMN gptl_request_id varchar(36) DEFAULT '';
ALTER TABLE request_logs ADD COLUMN gptl_attempt int DEFAULT 1;
ALTER TABLE request_logs ADD COLUMN gptl_ttfb_ms bigint DEFAULT -1;
ALTER TABLE request_logs ADD COLUMN gptl_bytes_in bigint DEFAULT 0;
ALTER TABLE request_logs ADD COLUMN gptl_bytes_out bigint DEFAULT 0;
ALTER TABLE request_logs ADD COLUMN gptl_prompt_tokens bigint DEFAULT -1;
ALTER TABLE request_logs ADD COLUMN gptl_completion_tokens bigint DEFAULT -1;
ALTER TABLE request_logs ADD COLUMN gptl_cached_tokens bigint DEFAULT -1;
ALTER TABLE request_logs ADD COLUMN gptl_end varchar(64) DEFAULT '';
