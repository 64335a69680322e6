-- An installation says that it lives here. ARGV: installation, a name for this pool
-- should it have none yet, seconds for which this holds. Answers the pool's name; an
-- empty text where another installation lives.
local mine = ARGV[1] .. ' '
local name = call('GET', 'gptl:alive') or mine .. ARGV[2]
if string.sub(name, 1, #mine) ~= mine then
	return ''
end
call('SETEX', 'gptl:alive', ARGV[3], name)
return name
