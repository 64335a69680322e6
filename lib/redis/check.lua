-- A validation failed again. ARGV: now, id, next check, status, error
local k = get_key(ARGV[2])
if k and k.state == INVALID then
	move(k, INVALID, tonumber(ARGV[3]))
	k.checks = k.checks + 1
	set_error(k, ARGV[4], ARGV[5], now_ms(ARGV[1]))
	put_key(k)
end
return 1
