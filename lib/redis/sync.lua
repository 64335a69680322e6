-- Makes the keys of a range exactly these. ARGV: group, first, last, force, then for
-- each key its id and its record. Answers 0 when there was more to remove than one step
-- takes: nothing is added then, and it is to be called again.
local STEP, CHUNK = 1000, 500
local group, force = ARGV[1], ARGV[4] == '1'
local ring, out, due = 'gptl:ring:' .. group, 'gptl:out:' .. group, 'gptl:due:' .. group
local stay, placed, limit, more, removed = {}, {}, STEP, false, false
for i = 5, #ARGV, 2 do
	stay[ARGV[i]] = true
	limit = limit + 1
end
for _, place in ipairs({ring, out}) do
	local ids = call('ZRANGEBYSCORE', place, ARGV[2], ARGV[3], 'LIMIT', 0, limit)
	more = more or #ids == limit
	for _, id in ipairs(ids) do
		placed[id] = true
		if not stay[id] then
			removed = true
			remove(group, id)
		end
	end
end
if removed then
	gone(group)
end
if more then
	return 0
end

-- What comes new, put in a chunk at a time: where Redis is full the first of these is
-- refused, and with it the script.
local records, places

local function add(id, record)
	local state = string.byte(record, HEAD_SIZE - 32)
	records[#records + 1] = 'gptl:k:' .. id
	records[#records + 1] = record
	local to = places[state == ACTIVE and ring or out]
	to[#to + 1] = id
	to[#to + 1] = id
	if state == INVALID then
		to = places[due]
		to[#to + 1] = '0'
		to[#to + 1] = id
	end
end

-- One that is there: its text follows the DB always, its state when the DB has the
-- later one.
local function merge(k, new)
	local take_state = force or new.seq > k.seq
	if not take_state and new.hash == k.hash and new.stored == k.stored then
		return
	end
	if take_state then
		k.seq, k.fails, k.step = new.seq, new.fails, 0
		if k.state ~= new.state then
			k.checks = 0
			move(k, new.state, 0)
		end
		call('ZREM', 'gptl:dirty', k.id)
	end
	k.hash, k.stored = new.hash, new.stored
	put_key(k)
end

for from = 5, #ARGV, 2 * CHUNK do
	local to, names = math.min(from + 2 * CHUNK - 1, #ARGV), {}
	for i = from, to, 2 do
		names[#names + 1] = 'gptl:k:' .. ARGV[i]
	end
	local there = call('MGET', unpack(names))
	records, places = {}, {[ring] = {}, [out] = {}, [due] = {}}
	for i = from, to, 2 do
		local id, old = ARGV[i], there[(i - from) / 2 + 1]
		local k = old and parse(id, old)
		if k and k.group == group then
			merge(k, parse(id, ARGV[i + 1]))
		else
			-- An id belongs to one group: the other one loses it.
			if k then
				gone(k.group)
				remove(k.group, id)
			elseif placed[id] then
				unplace(group, id) -- its record was evicted
			end
			add(id, ARGV[i + 1])
		end
	end
	if #records > 0 then
		call('MSET', unpack(records))
	end
	for place, pairs_ in pairs(places) do
		if #pairs_ > 0 then
			call('ZADD', place, unpack(pairs_))
		end
	end
end
if #ARGV > 4 then
	call('ZADD', 'gptl:groups', group, group)
end
return 1
