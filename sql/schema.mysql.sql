-- The schema of GPT-Load 1.4 in MySQL, as its ORM creates it: same names, types and
-- indexes. What we add is in migrations/.
--
-- The server commits each statement by itself. `groups` is the sign that all of it
-- is there, so it comes last: a run that was cut off is done again.
-- Statements end with a semicolon at a line's end.

CREATE TABLE IF NOT EXISTS `system_settings` (
	`id` bigint unsigned NOT NULL AUTO_INCREMENT,
	`setting_key` varchar(255) NOT NULL,
	`setting_value` text NOT NULL,
	`description` varchar(512) DEFAULT NULL,
	`created_at` datetime(3) DEFAULT NULL,
	`updated_at` datetime(3) DEFAULT NULL,
	PRIMARY KEY (`id`),
	UNIQUE KEY `uni_system_settings_setting_key` (`setting_key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE IF NOT EXISTS `group_sub_groups` (
	`id` bigint unsigned NOT NULL AUTO_INCREMENT,
	`group_id` bigint unsigned NOT NULL,
	`sub_group_id` bigint unsigned NOT NULL,
	`weight` bigint DEFAULT 0,
	`created_at` datetime(3) DEFAULT NULL,
	`updated_at` datetime(3) DEFAULT NULL,
	PRIMARY KEY (`id`),
	UNIQUE KEY `idx_group_sub` (`group_id`, `sub_group_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE IF NOT EXISTS `api_keys` (
	`id` bigint unsigned NOT NULL AUTO_INCREMENT,
	`key_value` text NOT NULL,
	`key_hash` varchar(128) DEFAULT NULL,
	`group_id` bigint unsigned NOT NULL,
	`status` varchar(50) NOT NULL DEFAULT 'active',
	`notes` varchar(255) DEFAULT '',
	`request_count` bigint NOT NULL DEFAULT 0,
	`failure_count` bigint NOT NULL DEFAULT 0,
	`last_used_at` datetime(3) DEFAULT NULL,
	`created_at` datetime(3) DEFAULT NULL,
	`updated_at` datetime(3) DEFAULT NULL,
	PRIMARY KEY (`id`),
	KEY `idx_api_keys_key_hash` (`key_hash`),
	KEY `idx_api_keys_group_id` (`group_id`),
	KEY `idx_api_keys_status` (`status`),
	KEY `idx_api_keys_group_last_used_id` (`group_id`, `last_used_at`, `id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE IF NOT EXISTS `request_logs` (
	`id` varchar(36) NOT NULL,
	`timestamp` datetime(3) NOT NULL,
	`group_id` bigint unsigned NOT NULL,
	`group_name` varchar(255) DEFAULT NULL,
	`parent_group_id` bigint unsigned DEFAULT NULL,
	`parent_group_name` varchar(255) DEFAULT NULL,
	`key_value` text,
	`key_hash` varchar(128) DEFAULT NULL,
	`model` varchar(255) DEFAULT NULL,
	`is_success` tinyint(1) NOT NULL,
	`source_ip` varchar(64) DEFAULT NULL,
	`status_code` bigint NOT NULL,
	`request_path` varchar(500) DEFAULT NULL,
	`duration` bigint NOT NULL,
	`error_message` text,
	`user_agent` varchar(512) DEFAULT NULL,
	`request_type` varchar(20) NOT NULL DEFAULT 'final',
	`upstream_addr` varchar(500) DEFAULT NULL,
	`is_stream` tinyint(1) NOT NULL,
	`request_body` text,
	PRIMARY KEY (`id`),
	KEY `idx_request_logs_timestamp` (`timestamp`),
	KEY `idx_request_logs_group_id` (`group_id`),
	KEY `idx_request_logs_group_name` (`group_name`),
	KEY `idx_request_logs_parent_group_id` (`parent_group_id`),
	KEY `idx_request_logs_parent_group_name` (`parent_group_name`),
	KEY `idx_request_logs_key_hash` (`key_hash`),
	KEY `idx_request_logs_model` (`model`),
	KEY `idx_request_logs_request_type` (`request_type`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE IF NOT EXISTS `group_hourly_stats` (
	`id` bigint unsigned NOT NULL AUTO_INCREMENT,
	`time` datetime(3) NOT NULL,
	`group_id` bigint unsigned NOT NULL,
	`success_count` bigint NOT NULL DEFAULT 0,
	`failure_count` bigint NOT NULL DEFAULT 0,
	`created_at` datetime(3) DEFAULT NULL,
	`updated_at` datetime(3) DEFAULT NULL,
	PRIMARY KEY (`id`),
	UNIQUE KEY `idx_group_time` (`time`, `group_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE `groups` (
	`id` bigint unsigned NOT NULL AUTO_INCREMENT,
	`name` varchar(255) NOT NULL,
	`display_name` varchar(255) DEFAULT NULL,
	`proxy_keys` text,
	`description` varchar(512) DEFAULT NULL,
	`group_type` varchar(50) DEFAULT 'standard',
	`upstreams` json NOT NULL,
	`validation_endpoint` varchar(255) DEFAULT NULL,
	`channel_type` varchar(50) NOT NULL,
	`sort` bigint DEFAULT 0,
	`test_model` varchar(255) NOT NULL,
	`param_overrides` json DEFAULT NULL,
	`config` json DEFAULT NULL,
	`header_rules` json DEFAULT NULL,
	`model_redirect_rules` json DEFAULT NULL,
	`model_redirect_strict` tinyint(1) DEFAULT 0,
	`last_validated_at` datetime(3) DEFAULT NULL,
	`created_at` datetime(3) DEFAULT NULL,
	`updated_at` datetime(3) DEFAULT NULL,
	PRIMARY KEY (`id`),
	UNIQUE KEY `uni_groups_name` (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

ALTER TABLE `api_keys` ADD CONSTRAINT `fk_groups_api_keys`
	FOREIGN KEY (`group_id`) REFERENCES `groups` (`id`);
