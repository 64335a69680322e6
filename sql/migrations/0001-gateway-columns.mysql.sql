-- What we keep beyond GPT-Load 1.4. Additions only, each with a default, so that
-- the original can go on with the database. Names and segments compare by bytes.

CREATE TABLE IF NOT EXISTS gptl_meta (
	name varchar(64) NOT NULL PRIMARY KEY,
	value text NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Keys that came, went or were replaced and of which the pool does not know yet:
-- those of group_id with first_id <= id <= last_id.
CREATE TABLE IF NOT EXISTS gptl_outbox (
	id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
	group_id bigint NOT NULL,
	first_id bigint NOT NULL,
	last_id bigint NOT NULL,
	created_at datetime(3) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- How far each node's spool segments are in request_logs.
CREATE TABLE IF NOT EXISTS gptl_spool (
	segment varchar(255) NOT NULL PRIMARY KEY,
	position bigint NOT NULL,
	node varchar(64) NOT NULL,
	updated_at datetime(3) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Who does the background work of the installation, and until when.
CREATE TABLE IF NOT EXISTS gptl_lease (
	name varchar(64) NOT NULL PRIMARY KEY,
	holder varchar(64) NOT NULL,
	fence bigint NOT NULL,
	expires_at datetime(3) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

ALTER TABLE api_keys ADD COLUMN gptl_seq bigint NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN gptl_last_status int;
ALTER TABLE api_keys ADD COLUMN gptl_last_error varchar(255);
ALTER TABLE api_keys ADD COLUMN gptl_failed_at datetime(3);
ALTER TABLE api_keys ADD COLUMN gptl_disabled_reason varchar(255) DEFAULT '';

ALTER TABLE `groups` ADD COLUMN gptl_options json;

ALTER TABLE request_logs ADD COLUMN gptl_request_id varchar(36) DEFAULT '';
ALTER TABLE request_logs ADD COLUMN gptl_attempt int DEFAULT 1;
ALTER TABLE request_logs ADD COLUMN gptl_ttfb_ms bigint DEFAULT -1;
ALTER TABLE request_logs ADD COLUMN gptl_bytes_in bigint DEFAULT 0;
ALTER TABLE request_logs ADD COLUMN gptl_bytes_out bigint DEFAULT 0;
ALTER TABLE request_logs ADD COLUMN gptl_prompt_tokens bigint DEFAULT -1;
ALTER TABLE request_logs ADD COLUMN gptl_completion_tokens bigint DEFAULT -1;
ALTER TABLE request_logs ADD COLUMN gptl_cached_tokens bigint DEFAULT -1;
ALTER TABLE request_logs ADD COLUMN gptl_end varchar(64) DEFAULT '';
