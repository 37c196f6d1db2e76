-- name: presence_now($window_start, $as_of)
-- Whether anything at all was received in the last window: where nothing was, an answer about now would be a guess. What
-- auditlake writes about itself does not count as received.
-- returns: received
select
  exists (
    select 1
    from events
    where "timestamp" > $window_start
      and "timestamp" <= $as_of
      and source <> 'auditlake.self'
  ) as received;
