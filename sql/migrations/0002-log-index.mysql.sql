-- The log page asks for the newest rows of one group. (The newest of all are
-- found by the original's index on timestamp.)
CREATE INDEX idx_gptl_request_logs_group_time ON request_logs(group_id, `timestamp`);
