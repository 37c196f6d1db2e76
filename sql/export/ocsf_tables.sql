-- What an event becomes in OCSF, as tables; auditlake/docs/reference/ocsf-export.md shows them. A null is any other.

-- name: types()
-- The class of each event type, its activity where the event does not say which, and its severity. A row with a target
-- kind holds for that kind alone, and one with a version for that version alone. What has no row is API Activity: Other.
-- status_id is set where the type says how it ended; action_id is OCSF's 1 Allowed, 2 Denied.
create or replace temp table ocsf_types as
from (values
  ('login',             null,     null,    3002,  1, 1, null, null),
  ('logout',            null,     null,    3002,  2, 1, null, null),
  ('auth_failure',      null,     null,    3002,  1, 2, 2,    null),
  ('access_granted',    null,     null,    6003, 99, 1, null, 1),
  ('access_denied',     null,     null,    6003, 99, 2, 2,    2),
  ('permission_change', null,     '1.8.0', 3005, 99, 3, null, null),
  ('permission_change', 'group',  '1.8.0', 3006, 99, 3, null, null),
  ('permission_change', 'app',    '1.8.0', 3004,  3, 3, null, null),
  ('permission_change', null,     '1.9.0', 3007, 99, 3, null, null),
  ('permission_change', 'group',  '1.9.0', 3006, 99, 3, null, null),
  ('permission_change', 'role',   '1.9.0', 3008, 99, 3, null, null),
  ('permission_change', 'app',    '1.9.0', 3004,  3, 3, null, null),
  ('account_change',    null,     '1.8.0', 3001, 99, 2, null, null),
  ('account_change',    'group',  '1.8.0', 3006, 99, 2, null, null),
  ('account_change',    'role',   '1.8.0', 3004, 99, 2, null, null),
  ('account_change',    'policy', '1.8.0', 3004, 99, 2, null, null),
  ('account_change',    'app',    '1.8.0', 3004, 99, 2, null, null),
  ('account_change',    null,     '1.9.0', 3007, 99, 2, null, null),
  ('account_change',    'group',  '1.9.0', 3006, 99, 2, null, null),
  ('account_change',    'role',   '1.9.0', 3008, 99, 2, null, null),
  ('account_change',    'policy', '1.9.0', 3004, 99, 2, null, null),
  ('account_change',    'app',    '1.9.0', 3004, 99, 2, null, null),
  ('privilege_use',     null,     null,    6003, 99, 2, null, null),
  ('data_access',       null,     null,    6005,  1, 1, null, null),
  ('data_modification', null,     null,    6005,  2, 1, null, null),
  ('data_deletion',     null,     null,    6005,  7, 2, null, null),
  ('data_export',       null,     null,    6005,  1, 2, null, null),
  ('data_breach',       null,     null,    2006,  1, 5, 1,    null),
  ('config_change',     null,     null,    3004,  3, 2, null, null),
  ('system_error',      null,     null,    6008,  1, 3, 2,    null),
  ('security_alert',    null,     null,    2004,  1, 4, 1,    null),
  ('model_access',      null,     null,    6003,  2, 1, null, null),
  ('model_update',      null,     null,    3004,  3, 2, null, null),
  ('prompt_injection',  null,     null,    2004,  1, 4, 1,    null),
  ('human_oversight',   null,     null,    6003, 99, 1, null, null),
  ('compliance_check',  null,     null,    2003,  1, 1, 1,    null),
  ('policy_violation',  null,     null,    2003,  1, 4, 1,    null),
  ('audit_log_access',  null,     null,    6003,  2, 1, null, null),
  ('audit_log_control', null,     null,    3004,  3, 3, null, null),
  ('network_change',    null,     null,    6003,  3, 2, null, null),
  ('process_execution', null,     null,    1007,  1, 1, null, null),
  ('api_call',          null,     null,    6003, 99, 1, null, null)
) as listed(event_type, target_kind, version, class_uid, activity_id, severity_id, status_id, action_id);

-- name: classes()
-- The classes, and which attributes each has that not all have: `device` is there, and with it the profile `host`, where
-- the class needs it or has no actor without it.
create or replace temp table ocsf_classes as
from (values
  (1007, 'Process Activity',        'System Activity',              true,  false, false, false),
  (2003, 'Compliance Finding',      'Findings',                     true,  false, false, true),
  (2004, 'Detection Finding',       'Findings',                     true,  false, false, true),
  (2006, 'Data Security Finding',   'Findings',                     false, true,  false, true),
  (3001, 'Account Change',          'Identity & Access Management', false, true,  true,  false),
  (3002, 'Authentication',          'Identity & Access Management', false, true,  true,  false),
  (3004, 'Entity Management',       'Identity & Access Management', false, true,  true,  false),
  (3005, 'User Access Management',  'Identity & Access Management', false, true,  true,  false),
  (3006, 'Group Management',        'Identity & Access Management', false, true,  true,  false),
  (3007, 'User Management',         'Identity & Access Management', false, true,  true,  false),
  (3008, 'Role Management',         'Identity & Access Management', false, true,  true,  false),
  (6003, 'API Activity',            'Application Activity',         false, true,  true,  true),
  (6005, 'Datastore Activity',      'Application Activity',         false, true,  true,  false),
  (6008, 'Application Error',       'Application Activity',         true,  false, false, false)
) as listed(class_uid, class_name, category_name, has_host, has_endpoint, has_request, has_resources);

-- name: activities()
-- Which activity of a class it is, by what the event says was done: the verb of its metadata, after the event type, the
-- kind of target or the credential where that matters. The longest that fits counts.
create or replace temp table ocsf_activities as
from (values
  (3001, 'create', 1), (3001, 'enable', 2), (3001, 'disable', 5), (3001, 'delete', 6), (3001, 'lock', 9),
  (3001, 'unlock', 12), (3001, 'attach', 7), (3001, 'detach', 8),
  (3001, 'password/update', 3), (3001, 'password/create', 99), (3001, 'password/delete', 99),
  (3001, 'mfa/create', 10), (3001, 'mfa/enable', 10), (3001, 'mfa/delete', 11), (3001, 'mfa/disable', 11),
  (3001, 'token/create', 99), (3001, 'token/delete', 99), (3001, 'token/enable', 99), (3001, 'token/disable', 99),
  (3001, 'key/create', 99), (3001, 'key/delete', 99), (3001, 'key/enable', 99), (3001, 'key/disable', 99),
  (3001, 'certificate/create', 99), (3001, 'certificate/delete', 99), (3001, 'certificate/enable', 99),
  (3001, 'certificate/disable', 99),
  (3004, 'create', 1), (3004, 'read', 2), (3004, 'update', 3), (3004, 'delete', 4), (3004, 'enable', 8),
  (3004, 'disable', 9),
  (3005, 'create', 1), (3005, 'update', 1), (3005, 'assign', 1), (3005, 'attach', 1), (3005, 'delete', 2),
  (3005, 'revoke', 2), (3005, 'detach', 2),
  (3006, 'create', 6), (3006, 'delete', 5), (3006, 'assign', 1), (3006, 'attach', 1), (3006, 'revoke', 2),
  (3006, 'detach', 2),
  (3006, 'permission_change/create', 1), (3006, 'permission_change/update', 1), (3006, 'permission_change/delete', 2),
  (3007, 'create', 1), (3007, 'update', 2), (3007, 'delete', 3), (3007, 'enable', 4), (3007, 'disable', 5),
  (3007, 'lock', 6), (3007, 'unlock', 7), (3007, 'attach', 10), (3007, 'detach', 11), (3007, 'assign', 14),
  (3007, 'revoke', 15),
  (3007, 'password/update', 8), (3007, 'password/create', 99), (3007, 'password/delete', 99),
  (3007, 'mfa/create', 12), (3007, 'mfa/enable', 12), (3007, 'mfa/delete', 13), (3007, 'mfa/disable', 13),
  (3007, 'token/create', 18), (3007, 'token/delete', 19), (3007, 'token/enable', 99), (3007, 'token/disable', 99),
  (3007, 'key/create', 18), (3007, 'key/delete', 19), (3007, 'key/enable', 99), (3007, 'key/disable', 99),
  (3007, 'certificate/create', 18), (3007, 'certificate/delete', 19), (3007, 'certificate/enable', 99),
  (3007, 'certificate/disable', 99),
  (3007, 'permission_change/create', 14), (3007, 'permission_change/update', 14),
  (3007, 'permission_change/delete', 15),
  (3007, 'permission_change/policy/create', 10), (3007, 'permission_change/policy/update', 10),
  (3007, 'permission_change/policy/delete', 11),
  (3008, 'create', 1), (3008, 'update', 2), (3008, 'delete', 3), (3008, 'attach', 8), (3008, 'detach', 9),
  (3008, 'assign', 4), (3008, 'revoke', 5),
  (3008, 'permission_change/create', 4), (3008, 'permission_change/update', 4), (3008, 'permission_change/delete', 5),
  (6003, 'create', 1), (6003, 'read', 2), (6003, 'update', 3), (6003, 'delete', 4),
  (6005, 'create', 6), (6005, 'read', 1), (6005, 'update', 2), (6005, 'delete', 7)
) as listed(class_uid, deed, activity_id);

-- name: verbs()
-- What a word at the start of a part of the action says was done, where the metadata says no verb.
create or replace temp table ocsf_verbs as
from (values
  ('create', 'create'),
  ('get', 'read'), ('list', 'read'), ('describe', 'read'), ('read', 'read'), ('view', 'read'), ('head', 'read'),
  ('update', 'update'), ('modify', 'update'), ('set', 'update'), ('put', 'update'), ('change', 'update'),
  ('delete', 'delete'), ('remove', 'delete'), ('destroy', 'delete'),
  ('enable', 'enable'), ('disable', 'disable'), ('attach', 'attach'), ('detach', 'detach'), ('assign', 'assign'),
  ('grant', 'assign'), ('revoke', 'revoke')
) as listed(word, verb);

-- name: words()
-- What a word of an event is as a number of OCSF, by the attribute.
create or replace temp table ocsf_words as
from (values
  ('status_id', 'success', 1), ('status_id', 'succeeded', 1), ('status_id', 'ok', 1), ('status_id', 'allowed', 1),
  ('status_id', 'granted', 1), ('status_id', 'passed', 1), ('status_id', 'pass', 1), ('status_id', 'completed', 1),
  ('status_id', 'failure', 2), ('status_id', 'failed', 2), ('status_id', 'fail', 2), ('status_id', 'error', 2),
  ('status_id', 'denied', 2), ('status_id', 'blocked', 2), ('status_id', 'refused', 2), ('status_id', 'rejected', 2),
  ('severity_id', 'informational', 1), ('severity_id', 'info', 1), ('severity_id', 'low', 2),
  ('severity_id', 'medium', 3), ('severity_id', 'high', 4), ('severity_id', 'critical', 5), ('severity_id', 'fatal', 6),
  ('disposition_id', 'allowed', 1), ('disposition_id', 'granted', 1), ('disposition_id', 'blocked', 2),
  ('disposition_id', 'denied', 2), ('disposition_id', 'flagged', 15), ('disposition_id', 'detected', 15)
) as listed(attribute, word, number);

-- name: products()
-- What the sources are called, and whose cloud they speak of. Of any other, the product is the source's name.
create or replace temp table ocsf_products as
from (values
  ('auditlake',      'auditlake',                null,        null),
  ('auditlake.self', 'auditlake',                null,        null),
  ('cloudtrail',     'CloudTrail',               'AWS',       'AWS'),
  ('azure_activity', 'Azure Monitor',            'Microsoft', 'Azure'),
  ('entra',          'Microsoft Entra ID',       'Microsoft', 'Azure'),
  ('m365',           'Microsoft 365',            'Microsoft', null),
  ('gcp_audit',      'Cloud Audit Logs',         'Google',    'GCP'),
  ('gworkspace',     'Google Workspace',         'Google',    null),
  ('k8s_audit',      'Kubernetes',               'CNCF',      null),
  ('okta',           'Okta Workforce Identity',  'Okta',      null),
  ('github_audit',   'GitHub',                   'GitHub',    null)
) as listed(source, product, vendor, provider);
