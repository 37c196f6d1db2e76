-- name: asked($version, $types, $start, $end, $users, $statuses, $resources, $ip_addresses, $sessions, $sources, $chain, $authority)
-- What the statements below ask for; they bind nothing, since DuckDB streams only what binds nothing. version is that of
-- OCSF. A null filter is none; start and end are inclusive. chain and authority name the ledger and who signs it.
set variable ocsf = {
  'version': cast($version as varchar),
  'types': cast($types as varchar[]),
  'start': cast($start as timestamptz),
  'end': cast($end as timestamptz),
  'users': cast($users as varchar[]),
  'statuses': cast($statuses as varchar[]),
  'resources': cast($resources as varchar[]),
  'ip_addresses': cast($ip_addresses as varchar[]),
  'sessions': cast($sessions as varchar[]),
  'sources': cast($sources as varchar[]),
  'chain': cast($chain as varchar),
  'authority': cast($authority as varchar)
};

-- name: chosen()
-- The events that were asked for.
create or replace temp view ocsf_chosen as
select *
from events
where (getvariable('ocsf').types is null or list_contains(getvariable('ocsf').types, event_type))
  and (getvariable('ocsf').start is null or "timestamp" >= getvariable('ocsf').start)
  and (getvariable('ocsf')."end" is null or "timestamp" <= getvariable('ocsf')."end")
  and (getvariable('ocsf').users is null or list_contains(getvariable('ocsf').users, user_id))
  and (getvariable('ocsf').statuses is null or list_contains(getvariable('ocsf').statuses, status))
  and (getvariable('ocsf').resources is null or list_contains(getvariable('ocsf').resources, resource))
  and (getvariable('ocsf').ip_addresses is null or list_contains(getvariable('ocsf').ip_addresses, ip_address))
  and (getvariable('ocsf').sessions is null or list_contains(getvariable('ocsf').sessions, session_id))
  and (getvariable('ocsf').sources is null or list_contains(getvariable('ocsf').sources, source));

-- name: days()
-- How many events of each day were asked for.
select
  event_date,
  count(*) as events
from ocsf_chosen
group by event_date
order by event_date;

-- name: stretch($first, $last)
-- From which day to which, both included, the next statement gives.
set variable ocsf_days = {'first': cast($first as date), 'last': cast($last as date)};

-- name: shaped()
-- The events of these days as OCSF has them: one column an attribute, null where the event's class has none of that name.
create or replace temp view ocsf_events as
with
-- What the metadata says, by the known names. JSON that has half a surrogate pair says nothing.
read as (
  select
    *,
    try(json_extract_string(metadata, [
      '$.verb', '$.target_kind', '$.credential', '$.mfa', '$.actor_type', '$.user_name', '$.error_code',
      '$.error_message', '$.reason', '$.user_agent', '$.country', '$.account', '$.region', '$.model', '$.provider',
      '$.tokens', '$.severity', '$.read_only'
    ])) as f
  from ocsf_chosen
  where event_date between getvariable('ocsf_days').first and getvariable('ocsf_days').last
),

named as (
  select
    *,
    coalesce(nullif(action, ''), event_type) as operation,
    nullif(user_id, '') as person,
    nullif(resource, '') as target,
    lower(f[1]) as said_verb,
    f[18] = 'true' as is_reading,
    -- Of an account it matters what of it was created, so a word of the action says too little.
    case when event_type <> 'account_change' then lower(regexp_extract(
      action,
      '(?:^|[^A-Za-z])(?i:(create|get|list|describe|read|view|head|update|modify|set|put|change|delete|remove|destroy'
      || '|enable|disable|attach|detach|assign|grant|revoke))(?:[^a-z]|$)',
      1
    )) end as word,
    lower(f[2]) as target_kind,
    lower(f[3]) as credential,
    try_cast(f[4] as boolean) as mfa,
    nullif(f[5], '') as actor_type,
    nullif(f[6], '') as user_name,
    nullif(f[7], '') as error_code,
    nullif(coalesce(nullif(f[8], ''), f[9]), '') as why,
    nullif(f[10], '') as user_agent,
    nullif(f[11], '') as country,
    nullif(f[12], '') as account,
    nullif(f[13], '') as region,
    nullif(f[14], '') as model,
    nullif(f[15], '') as model_provider,
    try_cast(f[16] as integer) as tokens,
    lower(f[17]) as severity,
    case when length(ip_address) <= 40 and is_address(ip_address) then ip_address end as address
  from read
),

done as (
  select
    n.*,
    coalesce(n.said_verb, case when n.is_reading then 'read' end, v.verb) as verb
  from named as n
  left join ocsf_verbs as v
    on v.word = n.word
),

-- The class: by type and kind of target, else by type, else API Activity.
classed as (
  select
    n.*,
    coalesce(s.class_uid, t.class_uid, 6003) as class_uid,
    coalesce(s.activity_id, t.activity_id, 99) as default_activity,
    coalesce(s.severity_id, t.severity_id, 1) as default_severity,
    coalesce(s.status_id, t.status_id) as fixed_status,
    coalesce(s.action_id, t.action_id) as action_id
  from done as n
  left join ocsf_types as s
    on s.event_type = n.event_type
    and s.target_kind = n.target_kind
    and coalesce(s.version, getvariable('ocsf').version) = getvariable('ocsf').version
  left join ocsf_types as t
    on t.event_type = n.event_type
    and t.target_kind is null
    and coalesce(t.version, getvariable('ocsf').version) = getvariable('ocsf').version
),

placed as (
  select
    c.*,
    k.class_name,
    k.category_name,
    k.has_host,
    k.has_endpoint,
    k.has_request,
    k.has_resources,
    coalesce(
      by_target.activity_id, by_type.activity_id, by_credential.activity_id, by_verb.activity_id, c.default_activity
    ) as activity_id,
    case
      when c.fixed_status is not null then c.fixed_status
      when coalesce(c.status, '') = '' then 0
      else coalesce(told.number, 99)
    end as status_id,
    told.number as outcome,
    coalesce(grave.number, c.default_severity) as severity_id,
    case
      when c.event_type = 'prompt_injection' then coalesce(met.number, 15)
      when c.action_id is not null then c.action_id
    end as disposition_id,
    coalesce(p.product, c.source) as product,
    p.vendor,
    case when c.account is not null or c.region is not null or p.provider is not null
      then coalesce(p.provider, c.source)
    end as cloud_provider,
    case when c.class_uid in (6003, 6005) then c.model end as asked_model,
    getvariable('ocsf').version >= '1.9' and getvariable('ocsf').chain is not null and batch is not null as is_attested
  from classed as c
  left join ocsf_classes as k
    on k.class_uid = c.class_uid
  left join ocsf_activities as by_target
    on by_target.class_uid = c.class_uid
    and by_target.deed = c.event_type || '/' || c.target_kind || '/' || c.verb
  left join ocsf_activities as by_type
    on by_type.class_uid = c.class_uid
    and by_type.deed = c.event_type || '/' || c.verb
  left join ocsf_activities as by_credential
    on by_credential.class_uid = c.class_uid
    and by_credential.deed = c.credential || '/' || c.verb
  left join ocsf_activities as by_verb
    on by_verb.class_uid = c.class_uid
    and by_verb.deed = c.verb
  left join ocsf_words as told
    on told.attribute = 'status_id'
    and told.word = lower(c.status)
  left join ocsf_words as grave
    on grave.attribute = 'severity_id'
    and grave.word = c.severity
  left join ocsf_words as met
    on met.attribute = 'disposition_id'
    and met.word = lower(c.status)
  left join ocsf_products as p
    on p.source = c.source
)

select
  {
    'activity_id': activity_id,
    'activity_name': case when activity_id = 99 then operation end,
    'category_uid': class_uid // 1000,
    'category_name': category_name,
    'class_uid': class_uid,
    'class_name': class_name,
    'type_uid': class_uid * 100 + activity_id,
    'severity_id': severity_id,
    'status': case class_uid // 1000 when 2 then 'New' else nullif(status, '') end,
    'status_id': status_id,
    'status_code': error_code,
    'status_detail': coalesce(why, case class_uid // 1000 when 2 then nullif(status, '') end),
    'time': epoch_us("timestamp") // 1000,
    'message': concat_ws(' ', operation, target),
    'metadata': {
      'version': getvariable('ocsf').version,
      'uid': event_id,
      'event_code': event_type,
      'log_name': source,
      'original_time': strftime("timestamp", '%Y-%m-%dT%H:%M:%S.%fZ'),
      'logged_time': epoch_us(ingested_at) // 1000,
      'product': {'name': product, 'vendor_name': vendor},
      'profiles': nullif(list_filter([
        case when cloud_provider is not null then 'cloud' end,
        case when has_host then 'host' end,
        case when disposition_id is not null then 'security_control' end,
        case when asked_model is not null then 'ai_operation' end,
        case when is_attested then 'record_integrity' end
      ], lambda profile: profile is not null), [])
    },
    'actor': {
      'user': case when person is not null then {
        'uid': person,
        'name': user_name,
        'type': actor_type,
        'type_id': case when actor_type is not null then 99 end
      } end,
      'session': case when nullif(session_id, '') is not null then {'uid': session_id} end,
      'app_name': case when person is null then source end
    },
    'src_endpoint': case when has_endpoint then {
      'ip': address,
      'name': case when address is null then coalesce(nullif(ip_address, ''), 'Unknown') end,
      'location': case when country is not null then {'country': country} end
    } end,
    'device': case when has_host then {
      'name': case when class_uid = 1007 then coalesce(target, 'Unknown') else source end,
      'type_id': 0
    } end,
    'api': case when class_uid = 6003 or cloud_provider is not null then {
      'operation': operation,
      'service': {'name': source},
      'response': case when error_code is not null then {'error': error_code, 'error_message': why} end
    } end,
    'cloud': case when cloud_provider is not null then {
      'provider': cloud_provider,
      'account': case when account is not null then {'uid': account} end,
      'region': region
    } end,
    'http_request': case when has_request and user_agent is not null then {'user_agent': user_agent} end,
    'user': case
      when class_uid = 3002 then {
        'uid': person,
        'name': coalesce(user_name, case when person is null then 'Unknown' end)
      }
      when class_uid in (3001, 3005, 3007) then {'uid': coalesce(target, person, 'Unknown'), 'name': null}
    end,
    'session': case when class_uid = 3002 and nullif(session_id, '') is not null then {'uid': session_id} end,
    'service': case when class_uid = 3002 then {'name': source} end,
    'is_mfa': case when class_uid = 3002 then mfa end,
    'privileges': case when class_uid = 3005 then [operation] end,
    'group': case when class_uid = 3006 then {'uid': coalesce(target, 'Unknown')} end,
    'iam_role': case when class_uid = 3008 then {'uid': coalesce(target, 'Unknown')} end,
    'entity': case when class_uid = 3004 then {
      'uid': coalesce(target, model, operation),
      'type': case event_type when 'model_update' then 'AI Model' else target_kind end,
      'type_id': case
        when event_type = 'model_update' then 99
        when target_kind = 'user' then 2
        when target_kind = 'group' then 3
        when target_kind = 'policy' then 5
        when target_kind is not null then 99
        else 0
      end
    } end,
    'database': case when class_uid in (6005) and not starts_with(coalesce(target, ''), 'arn:aws:s3:::') then {
      'uid': coalesce(target, 'Unknown'),
      'type_id': 0
    } end,
    'databucket': case when class_uid in (6005) and starts_with(target, 'arn:aws:s3:::') then {
      'uid': target,
      'type_id': 1
    } end,
    'process': case when class_uid = 1007 then {'uid': event_id, 'name': target, 'cmd_line': operation} end,
    'finding_info': case when class_uid // 1000 = 2 then {
      'uid': event_id,
      'title': operation,
      'types': [event_type],
      'desc': why
    } end,
    'compliance': case when class_uid = 2003 then {
      'control': operation,
      'status_id': case
        when event_type = 'policy_violation' then 3
        when outcome is null then 0
        when outcome = 1 then 1
        else 3
      end
    } end,
    'is_alert': case when class_uid = 2004 then true end,
    'attacks': case when event_type = 'prompt_injection' then
      [{'technique': {'uid': 'AML.T0051', 'name': 'LLM Prompt Injection'}, 'version': 'ATLAS'}]
    end,
    'action_id': case
      when event_type = 'prompt_injection' then case disposition_id when 2 then 2 when 1 then 1 else 3 end
      else action_id
    end,
    'disposition_id': disposition_id,
    'ai_model': case when asked_model is not null then {
      'name': asked_model,
      'ai_provider': coalesce(model_provider, source)
    } end,
    'message_context': case when asked_model is not null and tokens is not null then {
      'total_tokens': tokens,
      'service': {'name': source}
    } end,
    'resources': case when has_resources and target is not null then [{'uid': target}] end,
    'observables': case when not has_endpoint and address is not null then [{'type_id': 2, 'value': address}] end,
    'raw_data': details,
    'attestation_list': case when is_attested then [{
      'chain_uid': getvariable('ocsf').chain,
      'authority_uid': getvariable('ocsf').authority,
      'fingerprint': {
        'algorithm_id': 3,
        'encoding_id': 1,
        'serialization_id': 99,
        'serialization': 'auditlake leaf',
        'value': sha256(event_bytes(
          event_id, event_type, "timestamp", user_id, action, resource, status, details, metadata, session_id,
          ip_address, source, ingested_at, batch, seq, salt
        ))
      }
    }] end
  } as event,
  case when starts_with(metadata, '{') then replace(replace(metadata, chr(10), ' '), chr(13), ' ') end as unmapped
from placed
order by "timestamp", source, event_id;

-- name: rows()
-- One row an event: every attribute a column, which is what Parquet keeps.
-- returns: the attributes of OCSF
select
  event.*,
  unmapped
from ocsf_events;

-- name: lines()
-- One line of JSON an event. What is null is left out, at every depth; `unmapped` stays as it came.
-- returns: line
select
  left(body, -1) || coalesce(',"unmapped":' || unmapped, '') || '}' as line
from (
  select
    cast(json_merge_patch('{}', to_json(event)) as varchar) as body,
    unmapped
  from ocsf_events
);
