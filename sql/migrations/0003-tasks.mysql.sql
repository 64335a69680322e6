-- Long tasks: imports, deletions and validations that the background does. Of one
-- group one may wait or run at a time: then active_group is the group, else NULL.
CREATE TABLE IF NOT EXISTS gptl_tasks (
	id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
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
	cancelled tinyint(1) NOT NULL DEFAULT 0,
	error text,
	created_at datetime(3) NOT NULL,
	started_at datetime(3),
	finished_at datetime(3),
	UNIQUE KEY idx_gptl_tasks_active (active_group)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The keys of an import or deletion that are still to be done, in portions, stored
-- like keys are.
CREATE TABLE IF NOT EXISTS gptl_task_input (
	task_id bigint NOT NULL,
	part bigint NOT NULL,
	n bigint NOT NULL,
	key_values longtext NOT NULL,
	PRIMARY KEY (task_id, part)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
