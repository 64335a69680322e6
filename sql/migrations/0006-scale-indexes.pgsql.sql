-- The newest of the log rows that have one value in a column, and keys of a group by their
-- state: pages of tables with millions of rows. (NULLS FIRST: never used is the longest ago.)
CREATE INDEX idx_gptl_request_logs_status_time ON request_logs(status_code, timestamp);
CREATE INDEX idx_gptl_request_logs_success_time ON request_logs(is_success, timestamp);
CREATE INDEX idx_gptl_request_logs_type_time ON request_logs(request_type, timestamp);
CREATE INDEX idx_gptl_request_logs_key_time ON request_logs(key_hash, timestamp);
CREATE INDEX idx_gptl_request_logs_source_time ON request_logs(source_ip, timestamp);
CREATE INDEX idx_gptl_request_logs_request ON request_logs(gptl_request_id);
CREATE INDEX idx_gptl_api_keys_group_status ON api_keys(group_id, status, last_used_at NULLS FIRST, id);
