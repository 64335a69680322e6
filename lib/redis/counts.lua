-- Keys of a group by state. ARGV: group
local rest, due = call('ZCARD', 'gptl:rest:' .. ARGV[1]), call('ZCARD', 'gptl:due:' .. ARGV[1])
return {call('ZCARD', 'gptl:ring:' .. ARGV[1]), rest, due,
	call('ZCARD', 'gptl:out:' .. ARGV[1]) - rest - due}
