-- Keeps the newer configuration, and tells those who serve. ARGV: version, text, force
local there = tonumber(call('GET', 'gptl:version') or '0')
if tonumber(ARGV[1]) > there or ARGV[3] == '1' then
	call('SET', 'gptl:version', ARGV[1])
	call('SET', 'gptl:snapshot', ARGV[2])
	pcall(call, 'PUBLISH', CHANNEL, ARGV[1])
end
return 1
