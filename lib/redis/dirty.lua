-- Keys whose state the DB does not have. ARGV: the index of the last wanted; answers id
-- and record of each.
local found = {}
for _, id in ipairs(call('ZRANGE', 'gptl:dirty', 0, ARGV[1])) do
	local record = call('GET', 'gptl:k:' .. id)
	if record then
		found[#found + 1] = id
		found[#found + 1] = record
	else
		call('ZREM', 'gptl:dirty', id)
	end
end
return found
