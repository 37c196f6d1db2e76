-- What the expressions of a mapping can call beside DuckDB's own functions. Texts in, texts out; null for what is none.
-- DuckDB puts an argument wherever a macro names it. What names one several times takes it out of a list of one, so that
-- it is worked out once, and calls within calls grow no tree without end.

-- name: instant_text()
-- The instant that a number is, counted since 1970 in units of which a microsecond has so many; exact, what is below a
-- microsecond dropped. What is no such number stays, to be refused as what it is.
create or replace temp macro instant_text(number, microseconds) as list_transform(
  [number],
  lambda counted: coalesce(
    try(strftime(
      make_timestamp(cast(floor(
        try_cast(counted as decimal(30, 9)) * cast(microseconds as decimal(16, 6))
      ) as bigint)),
      '%Y-%m-%d %H:%M:%S.%fZ'
    )),
    cast(counted as varchar)
  )
)[1];

-- name: instant_of_s()
create or replace temp macro instant_of_s(number) as instant_text(number, 1000000);

-- name: instant_of_ms()
create or replace temp macro instant_of_ms(number) as instant_text(number, 1000);

-- name: instant_of_us()
create or replace temp macro instant_of_us(number) as instant_text(number, 1);

-- name: instant_of_ns()
create or replace temp macro instant_of_ns(number) as instant_text(number, 0.001);

-- name: parse_local()
-- The time in a text by the first of these formats of strptime that fits, none of which has an offset.
create or replace temp macro parse_local(written, formats) as
  strftime(try_strptime(written, formats), '%Y-%m-%d %H:%M:%S.%f');

-- name: parse_zoned()
-- The instant in a text by the first of these formats that fits, each of which has an offset.
create or replace temp macro parse_zoned(written, formats) as
  strftime(timezone('UTC', try_strptime(written, formats)), '%Y-%m-%d %H:%M:%S.%fZ');

-- name: text_of()
-- The text of a field that is not empty and holds neither an object nor a list, nor a text that looks like one.
create or replace temp macro text_of(written) as list_transform(
  [written],
  lambda shown: case
    when shown <> '' and not starts_with(shown, '{') and not starts_with(shown, '[') then shown
  end
)[1];

-- name: text_of_column()
-- The same of a column, which costs nothing to name several times.
create or replace temp macro text_of_column(written) as case
  when written <> '' and not starts_with(written, '{') and not starts_with(written, '[') then written
end;

-- name: text_of_first()
-- The first text of several fields, of which the first that is there is known; that it is none is rare.
create or replace temp macro text_of_first(first_there, fields) as case
  when first_there is null or text_of_column(first_there) is not null then first_there
  else list_filter(fields, lambda shown: text_of_column(shown) is not null)[1]
end;

-- name: misplaced()
-- Why a record is refused that has an object or a list in one of these places, by the kinds of what is there.
create or replace temp macro misplaced(kinds, places) as list_filter(
  list_transform(
    kinds,
    lambda kind, i: case kind
      when 'OBJECT' then 'an object where text belongs: ' || places[i]
      when 'ARRAY' then 'an array where text belongs: ' || places[i]
    end
  ),
  lambda reason: reason is not null
)[1];

-- name: named()
-- Of a list of objects, the one whose name or key this is.
create or replace temp macro named(listed, wanted) as list_filter(
  json_extract(listed, '$[*]'),
  lambda each: coalesce(
    each ->> '$.name', each ->> '$.key', each ->> '$.displayName', each ->> '$.Name', each ->> '$.Key'
  ) = wanted
)[1]::varchar;

-- name: value_in()
-- The value of an object that has a name or key beside it.
create or replace temp macro value_in(pair) as coalesce(
  pair ->> '$.value.stringValue', pair ->> '$.value.intValue', pair ->> '$.value.boolValue',
  pair ->> '$.value.doubleValue', pair ->> '$.newValue', pair ->> '$.NewValue', pair ->> '$.value', pair ->> '$.Value',
  pair ->> '$.intValue', pair ->> '$.boolValue', pair ->> '$.multiValue'
);

-- name: named_value()
create or replace temp macro named_value(listed, wanted) as list_transform(
  [named(listed, wanted)],
  lambda pair: value_in(pair)
)[1];

-- name: any_of()
-- The texts of a list, joined by a character that none has.
create or replace temp macro any_of(listed) as array_to_string(json_extract_string(listed, '$[*]'), chr(31));

-- name: address_of()
-- An IP address without what may stand around it: brackets, a port, further addresses after a comma.
create or replace temp macro address_of(written) as case
  when regexp_full_match(written, '\[[^\]]*\](:\d+)?') then regexp_extract(written, '\[([^\]]*)\]', 1)
  when contains(written, ',') then address_of_one(trim(split_part(written, ',', 1)))
  else address_of_one(written)
end;

-- name: address_of_one()
create or replace temp macro address_of_one(written) as regexp_replace(
  regexp_replace(written, '^(\d+\.\d+\.\d+\.\d+):\d+$', '\1'), '^::ffff:(\d+\.\d+\.\d+\.\d+)$', '\1'
);

-- name: groups_of()
-- An address with a closing dotted quad as two groups of zeros, so that what remains is plain IPv6.
create or replace temp macro groups_of(written) as regexp_replace(
  written,
  ':((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])$',
  ':0:0'
);

-- name: is_address()
-- Whether a text is an IP address and nothing else.
create or replace temp macro is_address(written) as
  regexp_full_match(
    written,
    '((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])'
  )
  or (
    contains(written, ':')
    and (
      regexp_full_match(groups_of(written), '([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}')
      or (
        regexp_full_match(
          groups_of(written), '([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4})*)?::([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4})*)?'
        )
        and len(regexp_extract_all(groups_of(written), '[0-9A-Fa-f]+')) <= 7
      )
    )
  );

-- name: address()
-- The text if it is an address and nothing else.
create or replace temp macro address(written) as list_transform(
  [written], lambda shown: case when is_address(shown) then shown end
)[1];

-- name: ip_address()
-- The address that a text is, or null.
create or replace temp macro ip_address(written) as list_transform(
  list_transform([written], lambda shown: address_of(shown)),
  lambda address: case when is_address(address) then address end
)[1];

-- name: quad_bits()
create or replace temp macro quad_bits(written) as array_to_string(
  list_transform(string_split(written, '.'), lambda part: lpad(bin(cast(part as integer)), 8, '0')), ''
);

-- name: hex_groups()
create or replace temp macro hex_groups(written) as list_filter(string_split(written, ':'), lambda part: part <> '');

-- name: group_bits()
create or replace temp macro group_bits(listed) as array_to_string(
  list_transform(listed, lambda part: lpad(bin(cast('0x' || part as integer)), 16, '0')), ''
);

-- name: long_bits()
create or replace temp macro long_bits(written) as
  group_bits(hex_groups(split_part(written, '::', 1)))
  || repeat('0', 128 - 16 * len(hex_groups(replace(written, '::', ':'))))
  || group_bits(hex_groups(split_part(written, '::', 2)));

-- name: bits_of()
-- The bits of an address, 32 or 128 digits; null if it is none.
create or replace temp macro bits_of(written) as case
  when not is_address(written) then null
  when not contains(written, ':') then quad_bits(written)
  when contains(written, '.') then
    left(long_bits(groups_of(written)), 96) || quad_bits(regexp_extract(written, '[0-9.]+$'))
  else long_bits(written)
end;

-- name: in_network()
-- Whether an address is of a network, 10.0.0.0/8 or 2001:db8::/32, however each is spelled.
create or replace temp macro in_network(written, network) as list_transform(
  list_transform(
    [[ip_address(written), split_part(network, '/', 1), split_part(network, '/', 2)]],
    lambda parts: [bits_of(parts[1]), bits_of(parts[2]), parts[3]]
  ),
  lambda bits: length(bits[1]) = length(bits[2])
    and left(bits[1], cast(bits[3] as integer)) = left(bits[2], cast(bits[3] as integer))
)[1];
