-- The DB has these states. ARGV: id and seq of each; who changed again stays.
for i = 1, #ARGV, 2 do
	local k = get_key(ARGV[i])
	if not k or k.seq == tonumber(ARGV[i + 1]) then
		call('ZREM', 'gptl:dirty', ARGV[i])
	end
end
return 1
