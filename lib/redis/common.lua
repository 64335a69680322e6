-- SPDX-License-Identifier: MIT
-- Stands before every script: the store's keys, and the few operations its scripts
-- share. Redis runs a script alone, so each is one atomic step.
--
--	gptl:id          hash    installation, generation, complete
--	gptl:alive       string  installation and name of this pool; goes by itself
--	gptl:version     string  of the snapshot
--	gptl:snapshot    string
--	gptl:groups      zset    groups that have, or had, keys
--	gptl:g:GROUP     hash    turn (the next), last (had the last place), owed
--	gptl:k:ID        string  the key's record: HEAD, stored key, last error
--	gptl:ring:GROUP  zset    the ACTIVE ones by id: the circle
--	gptl:out:GROUP   zset    all others by id
--	gptl:rest:GROUP  zset    of these the RESTING ones by their end
--	gptl:due:GROUP   zset    of these the INVALID ones by their next check
--	gptl:dirty       zset    by id: state that the DB does not have yet
--
-- Ids and groups are strings here; numbers are doubles, exact up to 2^53.
local call = redis.call
local ACTIVE, RESTING, INVALID, DISABLED = 0, 1, 2, 3
-- group, seq, at (end of the rest, next check), failed at, fails, checks, step of the
-- rest, length of the stored key, status, state, hash; as in pool_redis.h.
local HEAD, HEAD_SIZE = '<I8I8I8I8I4I4I4I2I2Bc32', 81

local function now_ms(given)
	if given ~= '0' then
		return tonumber(given)
	end
	local t = call('TIME')
	return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function parse(id, v)
	local k, group, n = {id = id}, nil, nil
	group, k.seq, k.at, k.failed, k.fails, k.checks, k.step, n, k.status, k.state, k.hash =
		struct.unpack(HEAD, v)
	k.group = string.format('%.0f', group)
	k.stored = string.sub(v, HEAD_SIZE + 1, HEAD_SIZE + n)
	k.error = string.sub(v, HEAD_SIZE + n + 1)
	return k
end

local function get_key(id)
	local v = call('GET', 'gptl:k:' .. id)
	return v and parse(id, v)
end

local function put_key(k)
	call('SET', 'gptl:k:' .. k.id,
		struct.pack(HEAD, tonumber(k.group), k.seq, k.at, k.failed, k.fails, k.checks,
			k.step, #k.stored, k.status, k.state, k.hash) .. k.stored .. k.error)
end

-- The key leaves every place of its group.
local function unplace(group, id)
	if call('ZREM', 'gptl:ring:' .. group, id) == 0 then
		call('ZREM', 'gptl:out:' .. group, id)
		call('ZREM', 'gptl:rest:' .. group, id)
		call('ZREM', 'gptl:due:' .. group, id)
	end
end

-- Takes the key to another state, or to another time of the same one.
local function move(k, state, at)
	unplace(k.group, k.id)
	k.state = state
	k.at = math.max(at, 0)
	if state == ACTIVE then
		call('ZADD', 'gptl:ring:' .. k.group, k.id, k.id)
		return
	end
	call('ZADD', 'gptl:out:' .. k.group, k.id, k.id)
	if state == RESTING then
		call('ZADD', 'gptl:rest:' .. k.group, k.at, k.id)
	elseif state == INVALID then
		call('ZADD', 'gptl:due:' .. k.group, k.at, k.id)
	end
end

-- The DB has to know.
local function changed(k)
	k.seq = k.seq + 1
	call('ZADD', 'gptl:dirty', k.id, k.id)
end

local function set_error(k, status, text, now)
	k.status, k.error, k.failed = tonumber(status), text, now
end

-- A record that is not there any more was evicted: the DB has to give it again.
local function lost(group, id)
	unplace(group, id)
	call('ZREM', 'gptl:dirty', id)
	call('HSET', 'gptl:id', 'complete', '0')
end

-- Keys of the group may not be used any more: those who remember them are told.
local function gone(group)
	pcall(call, 'PUBLISH', CHANNEL, '-' .. group)
end

local function remove(group, id)
	unplace(group, id)
	call('DEL', 'gptl:k:' .. id)
	call('ZREM', 'gptl:dirty', id)
end
