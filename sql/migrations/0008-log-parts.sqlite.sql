-- The log rows of each combination of what has few values, newest last: whether some match
-- two or more filters, and which, is found without walking through those of one.
CREATE INDEX idx_gptl_request_logs_parts ON request_logs(group_id, status_code, is_success, request_type, timestamp);
