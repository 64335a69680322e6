-- The groups that have keys.
local have = {}
for _, group in ipairs(call('ZRANGE', 'gptl:groups', 0, -1)) do
	if call('EXISTS', 'gptl:ring:' .. group, 'gptl:out:' .. group) > 0 then
		have[#have + 1] = group
	end
end
return have
