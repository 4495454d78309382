"""An append that can be repeated: a script in Redis that takes each event once.

For each run, stream and camera it keeps the highest number that it appended. Order is promised
there, so what is not above it was appended before, by an attempt whose answer got lost. The
marks of a run are kept for ``KEEP_S`` after its last event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from worker.output.event import Event

KEEP_S = 7 * 86_400
"""Longest time on disk after which an event that had arrived all the same is still known."""

ARGUMENTS = 7

SCRIPT = """
-- KEYS: those of streams and marks. ARGV: how long marks are kept, then seven for each event:
-- which key is its stream, which its marks; field, seq, oldest id to keep, type, document.
local replies, last, dirty, refusal = {}, {}, {}, nil
for at = 2, #ARGV, 7 do
  local marks, field, seq = KEYS[tonumber(ARGV[at + 1])], ARGV[at + 2], tonumber(ARGV[at + 3])
  local place = marks .. ' ' .. field
  if last[place] == nil and not refusal then
    local known = redis.pcall('HGET', marks, field)
    if type(known) == 'table' and not string.find(known.err, 'WRONGTYPE', 1, true) then
      refusal = known.err
    end
    last[place] = type(known) == 'string' and tonumber(known) or -1
  end
  local reply = refusal or 0
  if not refusal and seq > last[place] then
    reply = redis.pcall('XADD', KEYS[tonumber(ARGV[at])], 'MINID', '~', ARGV[at + 4], '*',
                        'type', ARGV[at + 5], 'event', ARGV[at + 6])
    if type(reply) == 'table' then
      reply = reply.err
      if not string.find(reply, 'WRONGTYPE', 1, true) then refusal = reply end
    else
      reply, last[place] = 1, seq
      dirty[place] = {marks, field, ARGV[at + 3]}
    end
  end
  replies[#replies + 1] = reply
end
local kept = {}
for _, mark in pairs(dirty) do
  redis.pcall('HSET', mark[1], mark[2], mark[3])
  kept[mark[1]] = true
end
for marks, _ in pairs(kept) do redis.pcall('EXPIRE', marks, ARGV[1]) end
return replies
"""


def arguments(
    events: Sequence[Event], keys: Sequence[str], marks: Sequence[str], oldest_ms: Sequence[int]
) -> list[Any]:
    """What follows the script's digest: the number of keys, the keys, and seven for each event.

    Args:
        events: in the order in which they are appended.
        keys: the stream of each.
        marks: the key of each one's marks.
        oldest_ms: the age limit of each one's stream, as an entry id.
    """
    places = {key: n for n, key in enumerate(dict.fromkeys((*keys, *marks)), start=1)}
    found: list[Any] = [len(places), *places, KEEP_S]
    for event, key, mark, oldest in zip(events, keys, marks, oldest_ms, strict=True):
        found += (
            places[key],
            places[mark],
            f"{event.stream}:{event.camera_id}",
            event.seq,
            oldest,
            event.type,
            event.document,
        )
    return found


def prepare(client: redis.Redis, marks: str) -> str | None:
    """Load the script; its digest, or None where the server or the rights forbid it.

    Raises:
        redis.RedisError, OSError: anything else that is wrong with the server.
    """
    try:
        digest = client.execute_command("SCRIPT", "LOAD", SCRIPT)  # type: ignore[no-untyped-call]
        digest = digest.decode() if isinstance(digest, bytes) else str(digest)
        # That it may run, and ask for marks: a number as high as can be, so nothing is appended.
        probe = (digest, 1, marks, KEEP_S, 1, 1, "probe", -1, 0, "", "")
        [reply] = client.execute_command("EVALSHA", *probe)  # type: ignore[no-untyped-call]
    except redis.exceptions.NoPermissionError:
        return None
    except redis.ResponseError as error:
        if "unknown command" in str(error).lower():
            return None
        raise
    return None if _forbidden(reply) else digest


def refusal_of(reply: Any) -> Exception | None:
    """What the script says of an event, as redis-py would raise it; None: Redis has it."""
    if isinstance(reply, int):
        return None
    if isinstance(reply, Exception) and type(reply) is not redis.ResponseError:
        return reply
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)
    kinds = {"READONLY ": redis.ReadOnlyError, "OOM ": redis.exceptions.OutOfMemoryError}
    kind = next((kind for code, kind in kinds.items() if code in text), redis.ResponseError)
    return redis.exceptions.NoPermissionError(text) if _forbidden(text) else kind(text)


def _forbidden(reply: Any) -> bool:
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)
    return "NOPERM" in text or "can't run this command" in text or "no permissions" in text
