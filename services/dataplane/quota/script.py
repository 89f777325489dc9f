# SPDX-License-Identifier: Apache-2.0
"""What Redis holds for a tenant, and the scripts that change it. Each script is one atomic step.

- ``<prefix>:{<tenant>}:tokens``, a hash: the tenant's bucket, ``tokens`` as of ``at``. Below 0: spent in advance.
- ``<prefix>:{<tenant>}:slots``, a hash: per process ``<held> <wanted> <until>``.
- ``<prefix>:{<tenant>}:windows``, a hash: per window its ``number`` since the epoch, and what processes have taken in it,
  spent or not: ``since`` the hash was made, and ``before`` that. ``generation`` is when that was. A process that knew
  another generation brings what it had last heard; the highest is ``before``. So Redis may forget everything, and the
  windows are as they were as long as the process that was answered last is there.
- ``<prefix>:memory``: when Redis last had nothing to remember. Whoever sees another value knows that Redis forgot.

All but the last end by themselves when they say nothing any more. Time is Redis's own; when it goes back, nothing is
refilled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# tokens = what was there + refill + what is returned (or - what was spent in advance); grant at most what is there.
LEASE_TOKENS: Final = """
local rate, burst, balance, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(held[1]) or burst, tonumber(held[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - at) * rate)
tokens = math.min(burst, tokens + balance)
local granted = math.max(0, math.min(want, tokens))
tokens = tokens - granted
redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(1000 * (burst - tokens) / rate) + 1000)
return {string.format('%.9f', granted), string.format('%.9f', tokens)}
"""

# For every other process what it holds is taken, and what it wants up to its share is kept free.
LEASE_SLOTS: Final = """
local limit, me, want = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local share, lifetime = tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local taken = 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local held, wanted, ends = string.match(all[i + 1], '(%S+) (%S+) (%S+)')
  if tonumber(ends) < now or tonumber(ends) > now + 10 * lifetime then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= me then
    taken = taken + math.max(tonumber(held), math.min(tonumber(wanted), share))
  end
end
local granted = math.max(0, math.min(want, limit - taken))
if want == 0 then
  redis.call('HDEL', KEYS[1], me)
else
  redis.call('HSET', KEYS[1], me, string.format('%d %d %.6f', granted, want, now + lifetime))
  redis.call('PEXPIRE', KEYS[1], math.ceil(1000 * lifetime) + 1000)
end
return granted
"""

# Arguments: generation, wanted; per window: limit (-1: none), seconds, number, taken as last heard, balance handed back.
# A balance of an earlier window is dropped; what was overspent then and not settled counts now. When Redis's clock is set
# back, the window that began goes on; set back by more than a window, a new one begins.
LEASE_WINDOWS: Final = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local generation = redis.call('HGET', KEYS[1], 'generation') or string.format('%d%06d', time[1], time[2])
local granted, windows = tonumber(ARGV[2]), {}
for w = 1, 2 do
  local at = 5 * w - 2
  local limit, seconds, number = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local taken, balance = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local held = redis.call('HMGET', KEYS[1], w .. ':number', w .. ':before', w .. ':since')
  local current, before, since = tonumber(held[1]) or -1, tonumber(held[2]) or 0, tonumber(held[3]) or 0
  local window = math.floor(now / seconds)
  if current < window or current > window + 1 then
    current, before, since = window, 0, 0
  end
  if number == current and ARGV[1] ~= generation then before = math.max(before, taken) end
  if number < current then balance = math.min(0, balance) end
  since = since - balance
  if limit >= 0 then granted = math.min(granted, limit - before - since) end
  windows[w] = {current, before, since, (current + 1) * seconds - now}
end
granted = math.max(0, math.floor(granted))
local reply = {generation, granted}
redis.call('HSET', KEYS[1], 'generation', generation)
for w = 1, 2 do
  local current, before, since, ends = unpack(windows[w])
  since = since + granted
  redis.call('HSET', KEYS[1], w .. ':number', current, w .. ':before', before, w .. ':since', since)
  reply[3 * w] = current
  reply[3 * w + 1] = string.format('%.0f', before + since)
  reply[3 * w + 2] = string.format('%.6f', ends)
end
redis.call('EXPIRE', KEYS[1], 172800)
return reply
"""

MEMORY: Final = """
local time = redis.call('TIME')
redis.call('SET', KEYS[1], time[1] .. '.' .. time[2], 'NX')
return redis.call('GET', KEYS[1])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keys of one tenant; in a Redis Cluster they lie together."""

    tokens: str
    slots: str
    windows: str


def keys_of(prefix: str, tenant: str) -> Keys:
    """Where Redis keeps a tenant's bucket, slots and windows."""
    return Keys(
        tokens=f"{prefix}:{{{tenant}}}:tokens",
        slots=f"{prefix}:{{{tenant}}}:slots",
        windows=f"{prefix}:{{{tenant}}}:windows",
    )
