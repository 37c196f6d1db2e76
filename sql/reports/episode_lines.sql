-- name: episode_lines()
-- The id of each episode of `some_episodes`, and its finding as compact JSON on a line of its own. What depends on the
-- group alone, or on group and peak, is there as text. The columns of that table are those of rolling_counts, with
-- `id_head` (the id's array up to its start), `group_json` and `message_json`.
-- returns: id, line
select
  id,
  -- One call is twice as quick as || between so many.
  concat(
    '{"id":"', id, '","kind":', kind_json, ',"group":', group_json, ',"start":"', started, '","end":',
    coalesce('"' || ended || '"', 'null'), ',"ongoing":', ongoing, ',"started_before_period":', started_before_period,
    ',"peak":', peak, ',"peak_at":"', peaked, '","message":', message_json, chr(125), chr(10)
  ) as line
from (
  select
    *,
    left(sha256(id_head || '"' || started || '"]'), 16) as id
  from (
    select
      id_head,
      kind_json,
      group_json,
      message_json,
      ongoing,
      started_before_period,
      peak,
      strftime(make_timestamp(epoch_us("start")), '%Y-%m-%dT%H:%M:%S.%fZ') as started,
      strftime(make_timestamp(epoch_us("end")), '%Y-%m-%dT%H:%M:%S.%fZ') as ended,
      strftime(make_timestamp(epoch_us(peak_at)), '%Y-%m-%dT%H:%M:%S.%fZ') as peaked
    from some_episodes
  ) as printed
) as named;
