-- Takes keys whose next check has come. ARGV: group, now, the next check of those taken,
-- how many; answers id and record of each.
local found = {}
for _, id in ipairs(call('ZRANGEBYSCORE', 'gptl:due:' .. ARGV[1], '-inf', ARGV[2],
		'LIMIT', 0, ARGV[4])) do
	local k = get_key(id)
	if k then
		move(k, INVALID, tonumber(ARGV[3]))
		put_key(k)
		found[#found + 1] = id
		found[#found + 1] = call('GET', 'gptl:k:' .. id)
	else
		lost(ARGV[1], id)
	end
end
return found
