-- The nodes of this installation. One is alive while seen_at, in seconds of this
-- database's own clock, is recent. The digests are slow and salted; pool says which
-- key pool the node has, '' being one of its own.
CREATE TABLE gptl_nodes (
	node varchar(64) PRIMARY KEY,
	place varchar(255) NOT NULL,
	version varchar(32) NOT NULL,
	pool varchar(128) NOT NULL,
	auth_digest varchar(64) NOT NULL,
	encryption_digest varchar(64) NOT NULL,
	seen_at bigint NOT NULL
);
