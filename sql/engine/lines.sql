-- Values as cells of CSV and as JSON, as `auditlake/engine/lines.py` puts them together to lines. What is null is null.

-- name: guarded()
-- A text that no spreadsheet runs: an apostrophe before what it would take for a formula, as display/formula_guard.py says.
create or replace temp macro guarded(t) as
  case when regexp_matches(t, '^''*[=+\-@\t\r\n\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]') then concat('''', t) else t end;

-- name: unguarded()
-- The text as it is.
create or replace temp macro guarded(t) as t;

-- name: quoted_at_edges()
-- Whether a text must stand between quotes; so must one that begins or ends with white space, as readers drop that.
create or replace temp macro must_be_quoted(t) as regexp_matches(
  t,
  '[",\r\n]'
  || '|^[\s\v\x{1c}-\x{1f}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]'
  || '|[\s\v\x{1c}-\x{1f}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]\z'
);

-- name: quoted_inside()
-- The same, white space or not.
create or replace temp macro must_be_quoted(t) as regexp_matches(t, '[",\r\n]');

-- name: nothing_for_empty()
-- What stands for an empty text.
create or replace temp macro csv_empty() as '';

-- name: quotes_for_empty()
-- What stands for an empty text, so that it can be told from null.
create or replace temp macro csv_empty() as '""';

-- name: csv_text()
-- A text as a cell. First comes what most texts of JSON need; then one search for all that needs another look.
create or replace temp macro csv_text(t) as case
  when contains(t, '"') then concat('"', replace(guarded(t), '"', '""'), '"')
  when regexp_matches(
    t,
    '[,\r\n]|^''*[=+\-@\t\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]'
    || '|^[\s\v\x{1c}-\x{1f}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]'
    || '|[\s\v\x{1c}-\x{1f}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]\z'
  )
  then if(must_be_quoted(guarded(t)), concat('"', guarded(t), '"'), guarded(t))
  when t = '' then csv_empty()
  else t
end;

-- name: csv_plain()
-- What needs no quotes: numbers, days, and texts that are cells already.
create or replace temp macro csv_plain(v) as cast(v as varchar);

-- name: csv_real()
-- A number with a fraction, whose shortest digits are those that Python gives.
create or replace temp macro csv_real(v) as case when isnan(v) then 'nan' else cast(v as varchar) end;

-- name: csv_boolean()
create or replace temp macro csv_boolean(v) as case when v then 'True' when not v then 'False' end;

-- name: csv_instant()
-- An instant in UTC. As a time without a zone it takes half as long.
create or replace temp macro csv_instant(v) as strftime(make_timestamp(epoch_us(v)), '%Y-%m-%dT%H:%M:%S.%fZ');

-- name: csv_local()
-- A time without a zone: its fraction only where it has one.
create or replace temp macro csv_local(v) as strftime(
  v, '%Y-%m-%dT%H:%M:%S'
) || case when epoch_us(v) % 1000000 <> 0 then strftime(v, '.%f') else '' end;

-- name: escaped_unit()
-- A character as JSON escapes it, in one or two units of UTF-16.
create or replace temp macro escaped_unit(c) as case
  when unicode(c) < 65536 then printf('\u%04x', unicode(c))
  else printf('\u%04x\u%04x', 55296 + ((unicode(c) - 65536) >> 10), 56320 + ((unicode(c) - 65536) & 1023))
end;

-- name: json_text()
-- A text as a string of JSON in ASCII.
create or replace temp macro json_text(t) as case
  when regexp_full_match(t, '[ !#-\[\]-~]*') then concat('"', t, '"')
  when t is not null then concat('"', array_to_string(list_transform(
    regexp_extract_all(t, '[ !#-\[\]-~]+|[^ !#-\[\]-~]'),
    lambda piece: case piece
      when '"' then '\"'
      when '\' then '\\'
      when chr(10) then '\n'
      when chr(13) then '\r'
      when chr(9) then '\t'
      when chr(12) then '\f'
      when chr(8) then '\b'
      else case when regexp_matches(piece, '^[ !#-\[\]-~]') then piece else escaped_unit(piece) end
    end
  ), ''), '"')
end;

-- name: unseen_escaped()
-- JSON as it came, but what a reader does not see escaped: the characters of display/text.py, UNSEEN.
create or replace temp macro unseen_escaped(t) as case
  when regexp_matches(
    t,
    '[\x{0}-\x{1f}\x{7f}-\x{9f}\x{ad}\x{34f}\x{61c}\x{115f}\x{1160}\x{17b4}\x{17b5}\x{180b}-\x{180f}\x{200b}-\x{200f}'
    || '\x{2028}-\x{202e}\x{2060}-\x{206f}\x{3164}\x{fe00}-\x{fe0f}\x{feff}\x{ffa0}\x{fff0}-\x{fffb}\x{fffe}\x{ffff}'
    || '\x{1bca0}-\x{1bca3}\x{1d173}-\x{1d17a}\x{e0000}-\x{e0fff}]'
  )
  then array_to_string(list_transform(
    regexp_extract_all(
      t,
      '[^\x{0}-\x{1f}\x{7f}-\x{9f}\x{ad}\x{34f}\x{61c}\x{115f}\x{1160}\x{17b4}\x{17b5}\x{180b}-\x{180f}\x{200b}-\x{200f}'
      || '\x{2028}-\x{202e}\x{2060}-\x{206f}\x{3164}\x{fe00}-\x{fe0f}\x{feff}\x{ffa0}\x{fff0}-\x{fffb}\x{fffe}\x{ffff}'
      || '\x{1bca0}-\x{1bca3}\x{1d173}-\x{1d17a}\x{e0000}-\x{e0fff}]+|(?s:.)'
    ),
    lambda piece: case
      when regexp_matches(
        piece,
        '^[\x{0}-\x{1f}\x{7f}-\x{9f}\x{ad}\x{34f}\x{61c}\x{115f}\x{1160}\x{17b4}\x{17b5}\x{180b}-\x{180f}'
        || '\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{206f}\x{3164}\x{fe00}-\x{fe0f}\x{feff}\x{ffa0}'
        || '\x{fff0}-\x{fffb}\x{fffe}\x{ffff}\x{1bca0}-\x{1bca3}\x{1d173}-\x{1d17a}\x{e0000}-\x{e0fff}]'
      )
      then escaped_unit(piece)
      else piece
    end
  ), '')
  else t
end;

-- name: json_plain()
-- What is JSON by itself: whole numbers and texts that are JSON already.
create or replace temp macro json_plain(v) as cast(v as varchar);

-- name: json_real()
-- A number; one that JSON lacks as text.
create or replace temp macro json_real(v) as case
  when isfinite(v) then cast(v as varchar)
  when isnan(v) then '"nan"'
  when v is not null then '"' || cast(v as varchar) || '"'
end;

-- name: json_boolean()
create or replace temp macro json_boolean(v) as case when v then 'true' when not v then 'false' end;

-- name: json_word()
-- What is text in JSON and needs no escapes: days.
create or replace temp macro json_word(v) as '"' || cast(v as varchar) || '"';

-- name: json_instant()
create or replace temp macro json_instant(v) as strftime(make_timestamp(epoch_us(v)), '"%Y-%m-%dT%H:%M:%S.%fZ"');

-- name: json_local()
create or replace temp macro json_local(v) as strftime(
  v, '"%Y-%m-%dT%H:%M:%S'
) || case when epoch_us(v) % 1000000 <> 0 then strftime(v, '.%f"') else '"' end;

-- name: json_utf8()
-- A text as a string of JSON in which only what has to be is escaped.
create or replace temp macro json_utf8(t) as case
  when not regexp_matches(t, '["\\\x{0}-\x{1f}]') then concat('"', t, '"')
  when t is not null then concat('"', array_to_string(list_transform(
    regexp_extract_all(t, '[^"\\\x{0}-\x{1f}]+|["\\\x{0}-\x{1f}]'),
    lambda piece: case piece
      when '"' then '\"'
      when '\' then '\\'
      when chr(10) then '\n'
      when chr(13) then '\r'
      when chr(9) then '\t'
      when chr(12) then '\f'
      when chr(8) then '\b'
      else case when unicode(piece) < 32 then escaped_unit(piece) else piece end
    end
  ), ''), '"')
end;
