# SPDX-License-Identifier: Apache-2.0
"""What Redis holds for a tenant, and the two scripts that change it. Each script is one atomic step.

- ``<prefix>:{<tenant>}:tokens``, a hash: the tenant's bucket, ``tokens`` as of ``at``. Below 0: spent in advance.
- ``<prefix>:{<tenant>}:slots``, a hash: per process ``<held> <wanted> <until>``.

Both end by themselves when they say nothing any more. Time is Redis's own; when it goes back, nothing is refilled.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keys of one tenant; in a Redis Cluster they lie together."""

    tokens: str
    slots: str


def keys_of(prefix: str, tenant: str) -> Keys:
    """Where Redis keeps a tenant's bucket and slots."""
    return Keys(tokens=f"{prefix}:{{{tenant}}}:tokens", slots=f"{prefix}:{{{tenant}}}:slots")
