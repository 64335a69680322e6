-- Forgets a group, unless keys came while the others went. ARGV: group
if call('EXISTS', 'gptl:ring:' .. ARGV[1], 'gptl:out:' .. ARGV[1]) == 0 then
	call('DEL', 'gptl:g:' .. ARGV[1])
	call('ZREM', 'gptl:groups', ARGV[1])
	gone(ARGV[1])
end
return 1
