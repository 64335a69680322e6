-- Looks through the whole store; answers the first fault, or an empty text.
local places = {[ACTIVE] = 'gptl:ring:', [RESTING] = 'gptl:rest:', [INVALID] = 'gptl:due:'}
local groups, by_state = {}, {[ACTIVE] = 0, [RESTING] = 0, [INVALID] = 0, [DISABLED] = 0}
for _, name in ipairs(call('KEYS', 'gptl:k:*')) do
	local k = get_key(string.sub(name, 8))
	local place = places[k.state]
	by_state[k.state] = by_state[k.state] + 1
	groups[k.group] = true
	if place and not call('ZSCORE', place .. k.group, k.id) then
		return 'key ' .. k.id .. ', state ' .. k.state .. ': not in its place'
	end
	if k.state ~= ACTIVE and not call('ZSCORE', 'gptl:out:' .. k.group, k.id) then
		return 'key ' .. k.id .. ' is out, and not among those'
	end
	if k.state ~= ACTIVE and k.state ~= DISABLED and
			tonumber(call('ZSCORE', place .. k.group, k.id)) ~= k.at then
		return 'key ' .. k.id .. ' stands at another time than its own'
	end
end
-- That no key is anywhere else follows from the sizes.
local sizes = {ring = by_state[ACTIVE], rest = by_state[RESTING], due = by_state[INVALID],
	out = by_state[RESTING] + by_state[INVALID] + by_state[DISABLED]}
for kind, want in pairs(sizes) do
	local n = 0
	for _, name in ipairs(call('KEYS', 'gptl:' .. kind .. ':*')) do
		n = n + call('ZCARD', name)
	end
	if n ~= want then
		return kind .. ': ' .. n .. ' entries, ' .. want .. ' keys'
	end
end
for group in pairs(groups) do
	if not call('ZSCORE', 'gptl:groups', group) then
		return 'group ' .. group .. ' has keys and is not listed'
	end
end
for _, id in ipairs(call('ZRANGE', 'gptl:dirty', 0, -1)) do
	if call('EXISTS', 'gptl:k:' .. id) == 0 then
		return 'a key that is not there is dirty'
	end
end
return ''
