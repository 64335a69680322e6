-- Keeps the newer configuration. ARGV: version, text, force, and the
-- channel on which those who serve are told.
local there = tonumber(call('GET', 'gptl:version') or '0')
if tonumber(ARGV[1]) > there or ARGV[3] == '1' then
	call('SET', 'gptl:version', ARGV[1])
	call('SET', 'gptl:snapshot', ARGV[2])
	pcall(call, 'PUBLISH', ARGV[4], ARGV[1])
end
return 1
