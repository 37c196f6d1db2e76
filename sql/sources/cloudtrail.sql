-- name: cloudtrail()
-- AWS CloudTrail events, one JSON object each: a record of an S3 log file, a line of NDJSON, or a row of LookupEvents,
-- whose `CloudTrailEvent` is the event as a JSON string. Event versions 1.01 to 1.11; management, data, network
-- activity and Insights events, sign-ins and service events. Sources: AWS's "CloudTrail record contents" and "IAM
-- Identity Center sign-in events".
-- A record that cannot be an event keeps its row and says why in `reason`. No JSON object makes this statement fail:
-- values are read as text out of JSON text, and one of the wrong shape counts as absent unless a column stands on it.
-- The first kind of event that fits is the event's type.
-- returns: record, event_id, event_type, timestamp, user_id, action, resource, status, details, metadata, session_id, ip_address, reason
with
-- The envelope of a LookupEvents row; NULL for the many records that are the event itself.
opened as (
  select
    record,
    text,
    case
      when contains(text, '"CloudTrailEvent"')
        then try(json_extract_string(text, ['$.CloudTrailEvent', '$.EventId', '$.EventTime']))
    end as envelope
  from records
),
-- Whether the event inside an envelope is strict JSON. DuckDB also takes NaN, Infinity and trailing commas: they are
-- looked for in what is left when every string is replaced by 0.
inspected as (
  select
    record,
    text,
    envelope,
    case
      when envelope[1] is null then null
      when not json_valid(envelope[1]) then 'CloudTrailEvent is not valid JSON'
      when regexp_matches(
        regexp_replace(envelope[1], '"(?:[^"\\]|\\.)*"', '0', 'g'), '(?i)nan|inf|,\s*[\]}]'
      ) then 'CloudTrailEvent is not valid JSON'
      when json_type(envelope[1]) <> 'OBJECT' then 'CloudTrailEvent is not a JSON object'
      when len(json_keys(envelope[1])) <> len(list_distinct(json_keys(envelope[1])))
        then 'CloudTrailEvent has a key twice'
    end as envelope_reason
  from opened
),
-- The vendor's event, whichever way it came; NULL where there is none.
unwrapped as (
  select
    record,
    text,
    envelope_reason,
    case when left(envelope[2], 1) not in ('{', '[', '') then envelope[2] end as envelope_id,
    case when left(envelope[3], 1) not in ('{', '[', '') then envelope[3] end as envelope_time,
    case
      when envelope_reason is not null then null
      when envelope[1] is not null then inner_json(envelope[1])
      else text
    end as event
  from inspected
),
-- The one parse of the event, by position, an empty text being no value. Values 1 to 23 must be text; 24 to 35 say what
-- the call was and how it went; 36 to 48 go to metadata, but 45 and 46 name the resource; 49 to 52 are ARNs of the
-- resource, and from 53 on parameters that may name it, the most telling first. NULL if it does not parse after all.
parsed as (
  select
    record,
    text,
    envelope_reason,
    envelope_id,
    envelope_time,
    event,
    list_transform(try(json_extract_string(event, [
      '$.eventID',  -- 1
      '$.eventTime',  -- 2
      '$."@timestamp"',  -- 3
      '$.eventName',  -- 4
      '$.eventSource',  -- 5
      '$.eventType',  -- 6
      '$.eventCategory',  -- 7
      '$.errorCode',  -- 8
      '$.sourceIPAddress',  -- 9
      '$.insightDetails.insightType',  -- 10
      '$.insightDetails.eventSource',  -- 11
      '$.insightDetails.eventName',  -- 12
      '$.userIdentity.type',  -- 13
      '$.userIdentity.arn',  -- 14
      '$.userIdentity.userName',  -- 15
      '$.userIdentity.sessionContext.sessionIssuer.arn',  -- 16
      '$.userIdentity.invokedBy',  -- 17
      '$.userIdentity.principalId',  -- 18
      '$.userIdentity.accountId',  -- 19
      '$.userIdentity.onBehalfOf.userId',  -- 20
      '$.userIdentity.userId',  -- 21
      '$.userIdentity.accessKeyId',  -- 22
      '$.userIdentity.sessionContext.attributes.creationDate',  -- 23
      '$.readOnly',  -- 24
      '$.managementEvent',  -- 25
      '$.errorMessage',  -- 26
      '$.additionalEventData.MFAUsed',  -- 27
      '$.userIdentity.sessionContext.attributes.mfaAuthenticated',  -- 28
      '$.responseElements.ConsoleLogin',  -- 29
      '$.responseElements.SwitchRole',  -- 30
      '$.responseElements.ExitRole',  -- 31
      '$.responseElements.Logout',  -- 32
      '$.responseElements.CheckMfa',  -- 33
      '$.serviceEventDetails.UserAuthentication',  -- 34
      '$.serviceEventDetails.CredentialVerification',  -- 35
      '$.awsRegion',  -- 36
      '$.recipientAccountId',  -- 37
      '$.userAgent',  -- 38
      '$.sharedEventID',  -- 39
      '$.requestID',  -- 40
      '$.eventVersion',  -- 41
      '$.vpcEndpointId',  -- 42
      '$.insightDetails.state',  -- 43
      '$.insightType',  -- 44
      '$.requestParameters.bucketName',  -- 45
      '$.requestParameters.key',  -- 46
      '$.resources[0].type',  -- 47
      '$.tlsDetails.tlsVersion',  -- 48
      '$.resources[0].ARN',  -- 49
      '$.resources[0].arn',  -- 50
      '$.resources[1].ARN',  -- 51
      '$.resources[1].arn',  -- 52
      '$.requestParameters.userName',  -- 53
      '$.requestParameters.roleName',  -- 54
      '$.requestParameters.instanceId',  -- 55
      '$.requestParameters.secretId',  -- 56
      '$.requestParameters.name',  -- 57
      '$.requestParameters.groupName',  -- 58
      '$.requestParameters.functionName',  -- 59
      '$.requestParameters.sourceArn',  -- 60
      '$.requestParameters.dBInstanceIdentifier',  -- 61
      '$.requestParameters.dBClusterIdentifier',  -- 62
      '$.requestParameters.dBSnapshotIdentifier',  -- 63
      '$.requestParameters.snapshotId',  -- 64
      '$.requestParameters.volumeId',  -- 65
      '$.requestParameters.imageId',  -- 66
      '$.requestParameters.groupId',  -- 67
      '$.requestParameters.keyId',  -- 68
      '$.requestParameters.tableName',  -- 69
      '$.requestParameters.tableArn',  -- 70
      '$.requestParameters.logGroupName',  -- 71
      '$.requestParameters.trailName',  -- 72
      '$.requestParameters.modelId',  -- 73
      '$.requestParameters.guardrailIdentifier',  -- 74
      '$.requestParameters.topicArn',  -- 75
      '$.requestParameters.queueUrl',  -- 76
      '$.requestParameters.policyArn',  -- 77
      '$.requestParameters.roleArn',  -- 78
      '$.requestParameters.instanceProfileName',  -- 79
      '$.requestParameters.repositoryName',  -- 80
      '$.requestParameters.clusterName',  -- 81
      '$.requestParameters.stackName',  -- 82
      '$.requestParameters.resourceArn',  -- 83
      '$.requestParameters.resourceId',  -- 84
      '$.requestParameters.accountId',  -- 85
      '$.requestParameters.networkInterfaceId',  -- 86
      '$.requestParameters.subnetId',  -- 87
      '$.requestParameters.vpcId',  -- 88
      '$.requestParameters.names[0]',  -- 89
      '$.requestParameters.instanceIds[0]',  -- 90
      '$.requestParameters.instancesSet.items[0].instanceId'  -- 91
    ])), lambda value: nullif(value, '')) as found
  from unwrapped
),
-- The values by name. The Logstash codec moves eventTime to @timestamp. An Insights event names no call of its own: it
-- is CloudTrail's, and its action is the kind of insight.
named as (
  select
    record,
    text,
    envelope_reason,
    event,
    found is null as unreadable,
    array_to_string(found[1:23], chr(10)) as texts,
    coalesce(found[1], envelope_id) as event_id,
    coalesce(found[2], envelope_time, found[3]) as event_time,
    coalesce(found[4], found[10], found[44]) as event_name,
    coalesce(found[5], case when found[6] = 'AwsCloudTrailInsight' then 'cloudtrail.amazonaws.com' end) as event_source,
    coalesce(found[6], '') as vendor_type,
    coalesce(found[7], case when lower(found[25]) = 'false' then 'Data' else '' end) as category,
    coalesce(found[8], '') as error_code,
    found[9] as source_address,
    found[10] as insight_type,
    concat_ws(':', replace(found[11], '.amazonaws.com', ''), found[12]) as insight_call,
    found[13] as identity_type,
    found[14] as identity_arn,
    found[15] as user_name,
    found[16] as role_arn,
    found[17] as invoked_by,
    found[18] as principal,
    found[19] as identity_account,
    found[20] as on_behalf_of,
    found[21] as directory_user,
    found[22] as access_key,
    found[23] as session_since,
    lower(found[24]) as read_only,
    found[26] as error_message,
    case
      when lower(coalesce(found[27], found[28])) in ('yes', 'true') then 'true'
      when lower(coalesce(found[27], found[28])) in ('no', 'false') then 'false'
    end as mfa,
    lower(coalesce(found[29], found[30], found[31], found[32], found[33], found[34], found[35])) as outcome,
    found[7] as event_category,
    found[36] as region,
    found[37] as account,
    found[38] as user_agent,
    found[39] as shared_event_id,
    found[40] as request_id,
    found[41] as event_version,
    found[42] as vpc_endpoint,
    found[43] as insight_state,
    case when left(found[45], 1) not in ('{', '[') then found[45] end as bucket,
    case when left(found[46], 1) not in ('{', '[') then found[46] end as bucket_key,
    found[47] as resource_type,
    found[48] as tls_version,
    list_filter(found[49:52], lambda value: left(value, 1) not in ('{', '['))[1] as resource_arn,
    list_filter(found[53:], lambda value: left(value, 1) not in ('{', '['))[1] as parameter
  from parsed
),
-- The first text that is an object or an array. Few texts open with a bracket, so the second look is rare.
shaped as (
  select
    *,
    case
      when regexp_matches(texts, '(?m)^[\[{]')
        then list_filter(
          [
            'eventID', 'eventTime', '@timestamp', 'eventName', 'eventSource', 'eventType', 'eventCategory', 'errorCode',
            'sourceIPAddress', 'insightDetails.insightType', 'insightDetails.eventSource', 'insightDetails.eventName',
            'userIdentity.type', 'userIdentity.arn', 'userIdentity.userName',
            'userIdentity.sessionContext.sessionIssuer.arn', 'userIdentity.invokedBy', 'userIdentity.principalId',
            'userIdentity.accountId', 'userIdentity.onBehalfOf.userId', 'userIdentity.userId',
            'userIdentity.accessKeyId', 'userIdentity.sessionContext.attributes.creationDate'
          ],
          lambda place: json_type(event, '$.' || place) in ('OBJECT', 'ARRAY')
        )[1]
    end as misplaced
  from named
),
-- The service, as in `s3` or `iam`, and whether the call only reads: what readOnly says, else what its name says.
called as (
  select
    *,
    case
      when ends_with(event_source, '.amazonaws.com') then left(event_source, length(event_source) - 14)
      else coalesce(event_source, '')
    end as service,
    case
      when read_only in ('true', 'false') then read_only = 'true'
      else regexp_matches(
        coalesce(event_name, ''),
        '^(Get|List|Describe|Head|Lookup|Search|Query|Scan|Select|BatchGet|BatchDescribe|Filter|Check|Download|Decrypt'
        || '|Encrypt|GenerateDataKey|Verify|Preview|Simulate|Validate|Estimate)([^a-z]|$)'
      )
    end as reads,
    coalesce(event_name, '') in (
      'ConsoleLogin', 'SwitchRole', 'UserAuthentication', 'CredentialVerification', 'CheckMfa', 'Federate',
      'Authenticate'
    ) as signs_in,
    coalesce(event_name, '') in ('Logout', 'ExitRole') as signs_out
  from shaped
),
-- How it went: errorCode says so, but a sign-in has an outcome of its own, or an errorMessage alone.
ended as (
  select
    *,
    case
      when (signs_in or signs_out) and outcome in ('success', 'failure') then outcome
      when (signs_in or signs_out) and error_message is not null then 'failure'
      when error_code <> '' then 'failure'
      else 'success'
    end as status
  from called
),
-- What kind of event it is: the first match wins. A throttled call is a failed call, never a denied one.
typed as (
  select
    *,
    case
      -- 1. An alert: Insights, and findings of the security services as they are made, not as they are read.
      when vendor_type = 'AwsCloudTrailInsight' or category = 'Insight' then 'security_alert'
      when service in ('guardduty', 'securityhub', 'macie', 'macie2')
        and contains(event_name, 'Finding')
        and (
          vendor_type = 'AwsServiceEvent'
          or event_name in ('BatchImportFindings', 'BatchImportFindingsV2', 'CreateSampleFindings')
        )
        then 'security_alert'
      -- 2. Signing in and out.
      when signs_in and status = 'success' then 'login'
      when signs_in then 'auth_failure'
      when signs_out then 'logout'
      -- 3. Credentials that do not hold, and rights that do not reach.
      when error_code <> '' and regexp_matches(
        error_code,
        '(?i)AuthFailure|InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch|IncompleteSignature|ExpiredToken'
        || '|InvalidAccessKeyId|MissingAuthenticationToken|InvalidIdentityToken|IDPRejectedClaim'
      ) then 'auth_failure'
      when error_code <> '' and regexp_matches(
        error_code, '(?i)access.?denied|unauthorized|not.?authorized|AuthorizationError'
      ) then 'access_denied'
      -- 4. Credentials handed out. A prompt for them hands out nothing.
      when service = 'sts' then 'access_granted'
      when service in ('sso', 'sso-oauth')
        and event_name in ('CreateToken', 'CreateTokenWithIAM', 'GetRoleCredentials')
        then 'access_granted'
      when service = 'signin'
        and event_name in ('PasswordRecoveryRequested', 'PasswordRecoveryCompleted', 'PasswordUpdated', 'EmailUpdated')
        then 'account_change'
      when event_name in ('CredentialChallenge', 'StartDeviceAuthorization', 'RegisterClient')
        and service in ('signin', 'sso', 'sso-oauth')
        then 'api_call'
      when service = 'signin' then 'access_granted'
      -- The audit trail itself: its content read, its recording changed.
      when service = 'cloudtrail' and event_name in ('LookupEvents', 'StartQuery', 'GetQueryResults')
        then 'audit_log_access'
      when service = 'logs' and event_name in (
        'GetLogEvents', 'FilterLogEvents', 'GetLogRecord', 'GetLogObject', 'GetQueryResults', 'StartQuery',
        'StartLiveTail', 'Unmask'
      ) then 'audit_log_access'
      when service = 'rds' and event_name in ('DownloadDBLogFilePortion', 'DownloadCompleteDBLogFile')
        then 'audit_log_access'
      when service = 's3'
        and event_name in ('GetObject', 'SelectObjectContent')
        and bucket_key like '%AWSLogs/%/CloudTrail%'
        then 'audit_log_access'
      when service = 'cloudtrail' and not reads then 'audit_log_control'
      when (service, event_name) in (
        ('config', 'PutConfigurationRecorder'), ('config', 'StartConfigurationRecorder'),
        ('config', 'StopConfigurationRecorder'), ('config', 'DeleteConfigurationRecorder'),
        ('config', 'PutDeliveryChannel'), ('config', 'DeleteDeliveryChannel'),
        ('ec2', 'CreateFlowLogs'), ('ec2', 'DeleteFlowLogs'),
        ('route53', 'CreateQueryLoggingConfig'), ('route53', 'DeleteQueryLoggingConfig'),
        ('route53resolver', 'CreateResolverQueryLogConfig'), ('route53resolver', 'DeleteResolverQueryLogConfig'),
        ('route53resolver', 'AssociateResolverQueryLogConfig'),
        ('route53resolver', 'DisassociateResolverQueryLogConfig'),
        ('logs', 'DeleteLogGroup'), ('logs', 'DeleteLogStream'), ('logs', 'PutRetentionPolicy'),
        ('logs', 'DeleteRetentionPolicy'), ('s3', 'PutBucketLogging')
      ) then 'audit_log_control'
      -- 5. Models: used, or changed. Their guardrails and logs are settings.
      when (starts_with(service, 'bedrock') or service = 'sagemaker') and regexp_matches(
        event_name,
        '^(InvokeModel|Converse|InvokeAgent|InvokeInlineAgent|InvokeFlow|InvokeEndpoint|RetrieveAndGenerate'
        || '|ApplyGuardrail)'
      ) then 'model_access'
      when (starts_with(service, 'bedrock') or service = 'sagemaker') and not reads then case
        when regexp_matches(event_name, 'Guardrail|LoggingConfiguration') then 'config_change'
        else 'model_update'
      end
      -- Data taken out as a whole.
      when (service, event_name) in (
        ('rds', 'StartExportTask'), ('neptune-graph', 'StartExportTask'), ('logs', 'CreateExportTask'),
        ('dynamodb', 'ExportTableToPointInTime'), ('ec2', 'CreateInstanceExportTask'), ('ec2', 'ExportImage'),
        ('ec2', 'CreateStoreImageTask'), ('elasticache', 'ExportServerlessCacheSnapshot'),
        ('lightsail', 'ExportSnapshot'), ('personalize', 'CreateDatasetExportJob'),
        ('quicksight', 'StartAssetBundleExportJob')
      ) then 'data_export'
      -- 6. Accounts and their credentials, then what they may do.
      when regexp_matches(
        event_name,
        '^(Admin)?(Create|Delete|Update|Enable|Disable)User$'
        || '|^(Create|Update|Delete)(LoginProfile|AccessKey|ServiceSpecificCredential)$'
        || '|^(Upload|Update|Delete)(SSHPublicKey|SigningCertificate)$'
        || '|^(CreateVirtual|DeleteVirtual|Enable|Deactivate|Resync)MFADevice$'
        || '|^ResetServiceSpecificCredential$|^ChangePassword$|^AdminSetUserPassword$|^AdminResetUserPassword$'
      ) then 'account_change'
      when service = 'sso-directory' and not reads and regexp_matches(event_name, 'Password|MfaDevice')
        then 'account_change'
      when service = 'organizations' and event_name in ('CreateAccount', 'CreateGovCloudAccount', 'CloseAccount')
        then 'account_change'
      when not reads and (
        service in ('iam', 'organizations', 'sso', 'identitystore', 'sso-directory')
        or regexp_matches(
          event_name,
          'Policy|Acl|Permission|SecurityGroup(Ingress|Egress)|Modify\w*(Snapshot|Image)Attribute|Grant|LoginProfile'
          || '|AccessKey'
        )
      ) then 'permission_change'
      -- 7. Data: read, deleted, written.
      when category = 'Data' or (
        service = 's3' and regexp_matches(
          event_name,
          '^(Get|Head|Put|Post|Copy|Delete|Restore)Objects?$|^ListObject|^SelectObjectContent$|^UploadPart'
          || '|^(Create|Complete|Abort)MultipartUpload$'
        )
      ) then case
        when regexp_matches(event_name, '^(Batch)?Delete') then 'data_deletion'
        when reads then 'data_access'
        else 'data_modification'
      end
      when (service = 'secretsmanager' and event_name in ('GetSecretValue', 'BatchGetSecretValue'))
        or (service = 'ssm' and starts_with(event_name, 'GetParameter'))
        or (service = 'kms' and event_name = 'Decrypt')
        or (service = 'ec2' and event_name = 'GetPasswordData')
        then 'data_access'
      -- 8. The cloud's own faults.
      when regexp_matches(error_code, '(?i)(^|\.)Internal|ServiceUnavailable') then 'system_error'
      -- 9. Everything else.
      when reads then 'api_call'
      else 'config_change'
    end as event_type
  from ended
),
-- The address with a closing dotted quad as two groups of zeros, so that what remains is plain IPv6.
addressed as (
  select
    *,
    case
      when contains(source_address, ':')
        then regexp_replace(
          source_address,
          ':((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])$',
          ':0:0'
        )
    end as groups
  from typed
),
-- The address if it is one: services put their host name there, or "AWS Internal".
located as (
  select
    *,
    case
      when regexp_full_match(
        source_address,
        '((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])'
      ) then source_address
      when regexp_full_match(groups, '([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}') then source_address
      when regexp_full_match(
        groups, '([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4})*)?::([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4})*)?'
      ) and len(regexp_extract_all(groups, '[0-9A-Fa-f]+')) <= 7 then source_address
    end as ip_address
  from addressed
)
select
  record,
  event_id,
  event_type,
  event_time as timestamp,
  -- Who: an Identity Center user by the id in the directory, a service by its name where nobody else acted.
  coalesce(
    case when identity_type = 'IdentityCenterUser' then coalesce(on_behalf_of, directory_user) end,
    identity_arn,
    user_name,
    role_arn,
    invoked_by,
    principal,
    identity_account,
    case when vendor_type in ('AwsServiceEvent', 'AwsCloudTrailInsight') then event_source end
  ) as user_id,
  concat_ws(':', nullif(service, ''), event_name) as action,
  coalesce(
    resource_arn,
    case when bucket is not null then concat_ws('/', bucket, bucket_key) end,
    parameter,
    nullif(insight_call, ''),
    nullif(service, '')
  ) as resource,
  status,
  coalesce(event, text) as details,
  concat(
    '{"mapping":"cloudtrail/1"',
    ',"event_version":' || to_json(event_version),
    ',"vendor_type":' || to_json(nullif(vendor_type, '')),
    ',"event_category":' || to_json(event_category),
    ',"read_only":' || case when read_only in ('true', 'false') then read_only end,
    ',"region":' || to_json(region),
    ',"account":' || to_json(account),
    ',"identity_type":' || to_json(identity_type),
    ',"identity_account":' || to_json(identity_account),
    ',"principal":' || to_json(principal),
    ',"user_name":' || to_json(user_name),
    ',"role":' || to_json(role_arn),
    ',"invoked_by":' || to_json(invoked_by),
    ',"on_behalf_of":' || to_json(on_behalf_of),
    ',"access_key":' || to_json(access_key),
    ',"mfa":' || mfa,
    ',"error_code":' || to_json(nullif(error_code, '')),
    ',"error_message":' || to_json(error_message),
    ',"user_agent":' || to_json(user_agent),
    ',"source_address":' || case when ip_address is null then to_json(source_address) end,
    ',"shared_event_id":' || to_json(shared_event_id),
    ',"request_id":' || to_json(request_id),
    ',"vpc_endpoint":' || to_json(vpc_endpoint),
    ',"insight_type":' || to_json(insight_type),
    ',"insight_state":' || to_json(insight_state),
    ',"resource_type":' || to_json(resource_type),
    ',"tls_version":' || to_json(tls_version),
    '}'
  ) as metadata,
  -- A session is a temporary key, else a principal since the moment it signed in; a key that never ends is none.
  case
    when starts_with(access_key, 'ASIA') then access_key
    when session_since is not null and principal is not null then concat_ws('@', principal, session_since)
  end as session_id,
  ip_address,
  case
    when envelope_reason is not null then envelope_reason
    when unreadable then 'not valid JSON'
    when misplaced is not null
      then if(json_type(event, '$.' || misplaced) = 'OBJECT', 'an object', 'an array') || ' where text belongs: '
        || misplaced
    when event_time is null then 'eventTime is missing'
    when event_name is null then 'eventName is missing'
  end as reason
from located;
