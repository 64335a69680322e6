-- The next turn of a group without taking a key. ARGV: group
return call('HINCRBY', 'gptl:g:' .. ARGV[1], 'turn', 1) - 1
