-- State by hand. ARGV: group, state, ids…; answers how many changed.
local state, n = tonumber(ARGV[2]), 0
for i = 3, #ARGV do
	local k = get_key(ARGV[i])
	if k and k.group == ARGV[1] and k.state ~= state then
		move(k, state, 0)
		if state == ACTIVE then
			k.fails, k.checks = 0, 0
		end
		k.step = 0
		changed(k)
		put_key(k)
		n = n + 1
	end
end
if n > 0 and state == DISABLED then
	gone(ARGV[1])
end
return n
