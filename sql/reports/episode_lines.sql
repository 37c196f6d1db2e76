-- name: episode_lines()
-- The id of each episode of `some_episodes`, and its finding as compact JSON on a line of its own. What depends on the
-- group alone, or on group and peak, is there as text, cut where another value stands: `id_head`, `line_head` and
-- `line_tail`; so are its instants, without their Z. The other columns of that table are those of rolling_counts.
-- returns: id, line
select
  id,
  -- One call is twice as quick as || between so many.
  concat(
    '{"id":"', id, line_head, started, 'Z","end":', if(ended is null, 'null', '"'), ended,
    if(ended is null, ',"ongoing":', 'Z","ongoing":'), ongoing, ',"started_before_period":', started_before_period,
    ',"peak":', peak, ',"peak_at":"', peaked, line_tail, chr(10)
  ) as line
from (
  select
    *,
    left(sha256(concat(id_head, started, 'Z"]')), 16) as id
  from some_episodes
) as named;
