-- Long tasks: imports, deletions and validations that the background does. Of one
-- group one may wait or run at a time: then active_group is the group, else NULL.
CREATE TABLE gptl_tasks (
	id bigserial PRIMARY KEY,
	type varchar(32) NOT NULL,
	group_id bigint NOT NULL,
	active_group bigint,
	group_name varchar(255) NOT NULL DEFAULT '',
	state varchar(16) NOT NULL,
	key_status varchar(16) NOT NULL DEFAULT '',
	total bigint NOT NULL DEFAULT 0,
	processed bigint NOT NULL DEFAULT 0,
	good bigint NOT NULL DEFAULT 0,
	position bigint NOT NULL DEFAULT 0,
	cancelled boolean NOT NULL DEFAULT false,
	error text,
	created_at timestamptz NOT NULL,
	started_at timestamptz,
	finished_at timestamptz
);
CREATE UNIQUE INDEX idx_gptl_tasks_active ON gptl_tasks(active_group);

-- The keys of an import or deletion that are still to be done, in portions, stored
-- like keys are.
CREATE TABLE gptl_task_input (
	task_id bigint NOT NULL,
	part bigint NOT NULL,
	n bigint NOT NULL,
	key_values text NOT NULL,
	PRIMARY KEY (task_id, part)
);
