-- What became of a key. ARGV: now, group, id, verdict, threshold, end of the rest, next
-- check, status, error. Answers the move (enum pool_move) and the failures in a row.
local OK, BLAMED = '0', '1'
local NONE, OUT, REST, BACK = 0, 1, 2, 3
local REST_FIRST, REST_MAX = 1000, 60000
local k = get_key(ARGV[3])
if not k or k.group ~= ARGV[2] or k.state == DISABLED then
	return {NONE, k and k.group == ARGV[2] and k.fails or 0}
end

-- A key that rests already and is limited again, without an end given, was asked before
-- it went to rest: that doubles nothing.
local function rest_end(now)
	local given = tonumber(ARGV[6])
	if given > now then
		return (k.state ~= RESTING or given > k.at) and given or nil
	end
	if k.state == RESTING and k.at > now then
		return nil
	end
	k.step = k.step == 0 and REST_FIRST or math.min(k.step * 2, REST_MAX)
	return now + k.step
end

local did = NONE
if ARGV[4] == OK then
	if k.state ~= INVALID and k.fails == 0 and k.step == 0 then
		return {NONE, k.fails}
	end
	local dirty = k.fails > 0 or k.state == INVALID
	k.fails, k.step = 0, 0
	if k.state == INVALID then
		did = BACK
		k.checks = 0
		move(k, ACTIVE, 0)
	end
	if dirty then
		changed(k)
	end
elseif k.state == INVALID then
	return {NONE, k.fails}
elseif ARGV[4] == BLAMED then
	local threshold = tonumber(ARGV[5])
	k.fails = k.fails + 1
	set_error(k, ARGV[8], ARGV[9], now_ms(ARGV[1]))
	if threshold > 0 and k.fails >= threshold then
		did = OUT
		k.checks = 0
		move(k, INVALID, tonumber(ARGV[7]))
	end
	changed(k)
else
	local at = rest_end(now_ms(ARGV[1]))
	if not at then
		return {NONE, k.fails}
	end
	if k.state == ACTIVE then
		did = REST
	end
	move(k, RESTING, at)
end
put_key(k)
return {did, k.fails}
