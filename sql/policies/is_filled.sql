-- name: is_filled()
-- Whether a text says something: without white space around it, it is not empty and no word for nothing. The first branches
-- are for speed alone: they hold for most texts, none of which begins as such a word does, or with white space.
create or replace temp macro is_filled(said) as
  case
    when said >= 'o' and said < 'u' then true
    when said >= '.' and said < 'N' then true
    when said >= 'uo' and said < 'v' then true
    when said >= 'V' and said < 'n' then true
    when said >= 'v' then true
    else not regexp_full_match(
      said,
      '[ \t\n\r\f\v]*(-|[uU][nN][kK][nN][oO][wW][nN]|[nN]/[aA]|[nN][oO][nN][eE]|[nN][uU][lL][lL])?[ \t\n\r\f\v]*'
    )
  end;

-- name: are_filled()
-- Whether no text from one to another can be any that says nothing, by the same branches.
create or replace temp macro are_filled(least, greatest) as
  coalesce(
    (least >= 'o' and greatest < 'u')
    or (least >= '.' and greatest < 'N')
    or (least >= 'uo' and greatest < 'v')
    or (least >= 'V' and greatest < 'n')
    or (least >= 'v' and least <= greatest),
    false
  );
