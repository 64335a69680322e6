-- A group's keys in each order that a page can ask for, so that any page of half a million is
-- found without a look at their rows: by age, by requests, by failures and by use, with a
-- state and without. (By use: the original's index has what was never used at the wrong
-- end. By use with a state: 0006.)
CREATE INDEX idx_gptl_api_keys_id ON api_keys(group_id, id);
CREATE INDEX idx_gptl_api_keys_status_id ON api_keys(group_id, status, id);
CREATE INDEX idx_gptl_api_keys_requests ON api_keys(group_id, request_count, id);
CREATE INDEX idx_gptl_api_keys_status_requests ON api_keys(group_id, status, request_count, id);
CREATE INDEX idx_gptl_api_keys_failures ON api_keys(group_id, failure_count, id);
CREATE INDEX idx_gptl_api_keys_status_failures ON api_keys(group_id, status, failure_count, id);
CREATE INDEX idx_gptl_api_keys_use ON api_keys(group_id, last_used_at NULLS FIRST, id);
