-- name: counted_days($names, $days, $numbers_ever, $numbers)
-- What the log of the table counts of whole days is added to type_days. None of these is the first or the last day of a
-- type: when on it the first and the last event was does not matter.
insert into type_days
select
  unnest($names),
  unnest($days),
  unnest($numbers_ever),
  unnest($numbers),
  null,
  null;
