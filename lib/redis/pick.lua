-- Who is next. ARGV: now, group, ids tried already…
-- Answers version, turn, id, record; or version, when the first rest ends (0: no key
-- rests) and whether the pool is whole (1). A circle by id: who comes after the last is
-- next; a key that was passed over because it had been tried is owed a turn, and comes
-- first at the next pick.
local group = ARGV[2]
local ring, rest, facts = 'gptl:ring:' .. group, 'gptl:rest:' .. group, 'gptl:g:' .. group
local version = call('GET', 'gptl:version') or '0'
local tried = {}
for i = 3, #ARGV do
	tried[ARGV[i]] = true
end

-- Rests that are over, a few at a time. Mostly no key rests, and the time is not asked.
if call('ZCARD', rest) > 0 then
	local now = now_ms(ARGV[1])
	for _, id in ipairs(call('ZRANGEBYSCORE', rest, '-inf', now, 'LIMIT', 0, 16)) do
		local k = get_key(id)
		if k then
			move(k, ACTIVE, 0)
			put_key(k)
		else
			lost(group, id)
		end
	end
end

local function after(id)
	return call('ZRANGEBYSCORE', ring, '(' .. id, '+inf', 'LIMIT', 0, 1)[1] or
		call('ZRANGE', ring, 0, 0)[1]
end

local g = call('HMGET', facts, 'turn', 'last', 'owed')
local turn, last, owed = tonumber(g[1] or '0'), g[2] or '0', g[3] or '0'

local function take()
	if owed ~= '0' and not tried[owed] then
		local id = owed
		owed = '0'
		if call('ZSCORE', ring, id) then
			return id
		end
	end
	local first, id = nil, last
	-- Once round at most; one step is enough where nothing was tried.
	for i = 1, #ARGV > 2 and math.min(#ARGV - 1, call('ZCARD', ring)) or 1 do
		id = after(id)
		if not id then
			return nil
		end
		first = first or id
		if not tried[id] then
			if id ~= first and owed == '0' then
				owed = first
			end
			last = id
			return id
		end
	end
	last = first or last
	return first
end

while true do
	local id = take()
	if not id then
		local first = call('ZRANGE', rest, 0, 0, 'WITHSCORES')
		return {version, first[2] or '0', call('HGET', 'gptl:id', 'complete') or '0'}
	end
	local record = call('GET', 'gptl:k:' .. id)
	if record then
		call('HSET', facts, 'turn', turn + 1, 'last', last, 'owed', owed)
		return {version, turn, id, record}
	end
	lost(group, id)
end
