-- What a script has made on its way and nothing reads any more: there may be as many rows in each as there are events.

-- name: changes()
drop table if exists changes;

-- name: falls()
drop table if exists falls;

-- name: runs()
drop table if exists runs;
