"""Small events, one for each rule, and the columns they must become."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.sources_cloudtrail.mapping import TYPES, map_events, map_texts

ABSENT = object()
ALICE = "arn:aws:iam::111122223333:user/alice"
BASE: dict[str, Any] = {
    "eventVersion": "1.08",
    "userIdentity": {
        "type": "IAMUser",
        "principalId": "AIDAEXAMPLE",
        "arn": ALICE,
        "accountId": "111122223333",
        "accessKeyId": "AKIAEXAMPLE",
        "userName": "alice",
    },
    "eventTime": "2026-03-02T10:00:00Z",
    "eventSource": "ec2.amazonaws.com",
    "eventName": "DescribeInstances",
    "awsRegion": "eu-west-1",
    "sourceIPAddress": "203.0.113.7",
    "userAgent": "[aws-cli/2.13.5]",
    "requestParameters": None,
    "responseElements": None,
    "requestID": "r-1",
    "eventID": "e-1",
    "readOnly": True,
    "eventType": "AwsApiCall",
    "managementEvent": True,
    "recipientAccountId": "111122223333",
    "eventCategory": "Management",
}


def event(**changes: Any) -> dict[str, Any]:
    """The base event with some top-level values changed or taken away."""
    return {key: value for key, value in {**BASE, **changes}.items() if value is not ABSENT}


def call(action: str, reads: bool | None = False, **changes: Any) -> dict[str, Any]:
    """An event of one action, written as in the column `action`."""
    service, name = action.split(":")
    read_only = ABSENT if reads is None else reads
    return event(eventSource=f"{service}.amazonaws.com", eventName=name, **{"readOnly": read_only, **changes})


def lookup(inner: Any, **outer: Any) -> dict[str, Any]:
    """A row of LookupEvents around an event."""
    text = inner if isinstance(inner, str) else json.dumps(inner)
    envelope = {
        "EventId": "outer-1",
        "EventTime": "2026-03-02 21:00:00+11:00",
        "CloudTrailEvent": text,
        "Resources": [],
    }
    return {**envelope, **outer}


def signed_in(outcome: str, name: str = "ConsoleLogin", **changes: Any) -> dict[str, Any]:
    """A sign-in event with its outcome."""
    return call(f"signin:{name}", None, eventType="AwsConsoleSignIn", responseElements={name: outcome}, **changes)


ROOT_USER = {"type": "Root", "principalId": "111122223333", "arn": "arn:aws:iam::111122223333:root", "accountId": "1"}
ASSUMED = {
    "type": "AssumedRole",
    "principalId": "AROAEXAMPLE:alice@example.com",
    "arn": "arn:aws:sts::111122223333:assumed-role/Admin/alice@example.com",
    "accountId": "111122223333",
    "accessKeyId": "ASIAEXAMPLE",
    "sessionContext": {
        "sessionIssuer": {"type": "Role", "arn": "arn:aws:iam::111122223333:role/Admin", "userName": "Admin"},
        "attributes": {"creationDate": "2026-03-02T09:00:00Z", "mfaAuthenticated": "true"},
    },
}
CENTER = {
    "type": "IdentityCenterUser",
    "accountId": "111122223333",
    "onBehalfOf": {"userId": "u-544894e8", "identityStoreArn": "arn:aws:identitystore::1:identitystore/d-1"},
    "credentialId": "c-1",
}
INSIGHT = {
    "eventVersion": "1.08",
    "eventTime": "2026-03-02T10:00:00Z",
    "awsRegion": "us-east-1",
    "eventID": "i-1",
    "eventType": "AwsCloudTrailInsight",
    "recipientAccountId": "111122223333",
    "sharedEventID": "s-1",
    "insightDetails": {
        "state": "Start",
        "eventSource": "ssm.amazonaws.com",
        "eventName": "UpdateInstanceInformation",
        "insightType": "ApiCallRateInsight",
        "insightContext": {"statistics": {"baseline": {"average": 85.4}}},
    },
    "eventCategory": "Insight",
}
SERVICE_EVENT = call(
    "kms:RotateKey", None, eventType="AwsServiceEvent", userIdentity=ABSENT, sourceIPAddress="kms.amazonaws.com"
)


@dataclass(frozen=True, slots=True)
class Case:
    """An event, and the columns that it must have; `meta` holds some keys of the metadata."""

    name: str
    given: dict[str, Any]
    columns: dict[str, Any]
    meta: dict[str, Any]


def case(name: str, given: dict[str, Any], meta: dict[str, Any] | None = None, **columns: Any) -> Case:
    """One case; without a `reason` of its own it must have none."""
    return Case(name, given, {"reason": None, **columns}, meta or {})


def kind(event_type: str, given: dict[str, Any], name: str = "", **columns: Any) -> Case:
    """One case about the type of event."""
    title = name or f"{given.get('eventSource', '').removesuffix('.amazonaws.com')}:{given.get('eventName')}"
    return case(f"{event_type} {title}", given, event_type=event_type, **columns)


WHOLE = [
    case(
        "ordinary read",
        event(),
        {
            "mapping": "cloudtrail/2",
            "verb": "read",
            "event_version": "1.08",
            "vendor_type": "AwsApiCall",
            "event_category": "Management",
            "read_only": True,
            "region": "eu-west-1",
            "account": "111122223333",
            "actor_type": "IAMUser",
            "access_key": "AKIAEXAMPLE",
            "user_agent": "[aws-cli/2.13.5]",
            "request_id": "r-1",
        },
        event_id="e-1",
        event_type="api_call",
        timestamp="2026-03-02T10:00:00Z",
        user_id=ALICE,
        action="ec2:DescribeInstances",
        resource="ec2",
        status="success",
        session_id=None,
        ip_address="203.0.113.7",
    ),
    case("no eventID is no event_id", event(eventID=ABSENT), event_id=None),
    case("an empty eventID is none", event(eventID=""), event_id=None),
    case("a number as eventID is text", event(eventID=17), event_id="17"),
    case(
        "eventTime as it came",
        event(eventTime="2024-06-02 19:41:40.000000000"),
        timestamp="2024-06-02 19:41:40.000000000",
    ),
    case(
        "Logstash moved eventTime",
        event(**{"eventTime": ABSENT, "@timestamp": "2020-09-14T00:44:23.000Z", "@version": "1"}),
        timestamp="2020-09-14T00:44:23.000Z",
    ),
    case(
        "eventTime before @timestamp", event(**{"@timestamp": "2020-09-14T00:44:23.000Z"}), timestamp=BASE["eventTime"]
    ),
    case("no eventSource", event(eventSource=ABSENT), action="DescribeInstances", resource=None),
    case(
        "a source of another domain",
        event(eventSource="ec2.amazonaws.com.cn"),
        action="ec2.amazonaws.com.cn:DescribeInstances",
    ),
]
WHO = [
    case("root has no userName", event(userIdentity=ROOT_USER), {"actor_type": "Root"}, user_id=ROOT_USER["arn"]),
    case(
        "assumed role",
        event(userIdentity=ASSUMED),
        {"principal": "AROAEXAMPLE:alice@example.com", "role": "arn:aws:iam::111122223333:role/Admin", "mfa": True},
        user_id=ASSUMED["arn"],
        session_id="ASIAEXAMPLE",
    ),
    case("Identity Center user", event(userIdentity=CENTER), {"on_behalf_of": "u-544894e8"}, user_id="u-544894e8"),
    case("Identity Center userId", event(userIdentity={"type": "IdentityCenterUser", "userId": "u-2"}), user_id="u-2"),
    case(
        "a role on behalf of a user",
        event(userIdentity={**ASSUMED, "onBehalfOf": {"userId": "u-3"}}),
        {"on_behalf_of": "u-3"},
        user_id=ASSUMED["arn"],
    ),
    case(
        "userName without arn",
        event(userIdentity={"type": "IAMUser", "userName": "bob", "accountId": "1"}),
        user_id="bob",
    ),
    case(
        "role without arn of its own",
        event(userIdentity={"type": "AssumedRole", "principalId": "p", "sessionContext": ASSUMED["sessionContext"]}),
        user_id="arn:aws:iam::111122223333:role/Admin",
        session_id="p@2026-03-02T09:00:00Z",
    ),
    case(
        "service",
        event(userIdentity={"type": "AWSService", "invokedBy": "rds.amazonaws.com", "accountId": "1"}),
        {"invoked_by": "rds.amazonaws.com"},
        user_id="rds.amazonaws.com",
    ),
    case(
        "principal only", event(userIdentity={"type": "AWSAccount", "principalId": "p", "accountId": "1"}), user_id="p"
    ),
    case(
        "account only", event(userIdentity={"type": "AWSAccount", "accountId": "444455556666"}), user_id="444455556666"
    ),
    case(
        "a hidden name is a name",
        event(userIdentity={"userName": "HIDDEN_DUE_TO_SECURITY_REASONS", "accountId": "1"}),
        user_id="HIDDEN_DUE_TO_SECURITY_REASONS",
    ),
    case("empty texts are skipped", event(userIdentity={"arn": "", "userName": "", "accountId": "1"}), user_id="1"),
    case("nobody", event(userIdentity=ABSENT), user_id=None),
    case("identity null", event(userIdentity=None), user_id=None),
    case("identity a text", event(userIdentity="alice"), user_id=None),
    case(
        "service event without identity",
        SERVICE_EVENT,
        {"source_address": "kms.amazonaws.com"},
        user_id="kms.amazonaws.com",
        event_type="account_change",
        action="kms:RotateKey",
        ip_address=None,
    ),
    case(
        "insight",
        INSIGHT,
        {"insight_type": "ApiCallRateInsight", "insight_state": "Start", "shared_event_id": "s-1"},
        event_id="i-1",
        event_type="security_alert",
        user_id="cloudtrail.amazonaws.com",
        action="cloudtrail:ApiCallRateInsight",
        resource="ssm:UpdateInstanceInformation",
        status="success",
        ip_address=None,
    ),
    case(
        "insight of an event data store",
        {key: value for key, value in INSIGHT.items() if key != "insightDetails"}
        | {"insightType": "ApiErrorRateInsight"},
        event_type="security_alert",
        action="cloudtrail:ApiErrorRateInsight",
        resource="cloudtrail",
    ),
]
WHERE = [
    case("IPv6", event(sourceIPAddress="2001:db8::ff00:42:8329"), ip_address="2001:db8::ff00:42:8329"),
    case("IPv4 in IPv6", event(sourceIPAddress="::ffff:192.0.2.128"), ip_address="::ffff:192.0.2.128"),
    case("loopback", event(sourceIPAddress="::1"), ip_address="::1"),
    case(
        "host name",
        event(sourceIPAddress="ec2.amazonaws.com"),
        {"source_address": "ec2.amazonaws.com"},
        ip_address=None,
    ),
    case("AWS Internal", event(sourceIPAddress="AWS Internal"), {"source_address": "AWS Internal"}, ip_address=None),
    case(
        "leading zeros", event(sourceIPAddress="075.050.255.67"), {"source_address": "075.050.255.67"}, ip_address=None
    ),
    case("256", event(sourceIPAddress="256.1.1.1"), ip_address=None),
    case("no address", event(sourceIPAddress=ABSENT), ip_address=None),
    case("nine groups", event(sourceIPAddress="1:2:3:4:5:6:7:8:9"), ip_address=None),
    case("two gaps", event(sourceIPAddress="1::2::3"), ip_address=None),
    case(
        "ARN of the resource",
        event(resources=[{"type": "AWS::IAM::Role", "ARN": "arn:r"}]),
        {"resource_type": "AWS::IAM::Role"},
        resource="arn:r",
    ),
    case(
        "second resource",
        event(resources=[{"ARNPrefix": "arn:b/", "type": "AWS::S3::Object"}, {"ARN": "arn:b"}]),
        resource="arn:b",
    ),
    case("arn in small letters", event(resources=[{"arn": "arn:r"}]), resource="arn:r"),
    case("bucket and key", event(requestParameters={"bucketName": "b", "key": "a/k"}), resource="b/a/k"),
    case("bucket", event(requestParameters={"bucketName": "b", "name": "n"}), resource="b"),
    case("bucket, key no text", event(requestParameters={"bucketName": "b", "key": {"x": 1}}), resource="b"),
    case("userName first", event(requestParameters={"policyArn": "arn:p", "userName": "bob"}), resource="bob"),
    case("roleName", event(requestParameters={"roleName": "r", "policyArn": "arn:p"}), resource="r"),
    case("instanceId", event(requestParameters={"instanceId": "i-1"}), resource="i-1"),
    case("secretId", event(requestParameters={"secretId": "s-1"}), resource="s-1"),
    case("name", event(requestParameters={"name": "n"}), resource="n"),
    case(
        "an instance of a set",
        event(requestParameters={"instancesSet": {"items": [{"instanceId": "i-2"}]}}),
        resource="i-2",
    ),
    case("a name that is a list", event(requestParameters={"name": ["n"], "keyId": "k"}), resource="k"),
    case("requestParameters a text", event(requestParameters="name=n"), resource="ec2"),
    case("requestParameters a list", event(requestParameters=["n"]), resource="ec2"),
    case("resources no list", event(resources="arn:r", requestParameters={"name": "n"}), resource="n"),
    case(
        "case variants of one key",
        event(requestParameters={"tagging": "", "Tagging": {"TagSet": 1}, "bucketName": "b"}),
        resource="b",
    ),
    case("MFA Yes", event(additionalEventData={"MFAUsed": "Yes"}), {"mfa": True}),
    case("MFA No", event(additionalEventData={"MFAUsed": "No"}), {"mfa": False}),
    case("MFA a boolean", event(additionalEventData={"MFAUsed": True}), {"mfa": True}),
    case(
        "MFA of the session as text",
        event(userIdentity={"sessionContext": {"attributes": {"mfaAuthenticated": "false"}}}),
        {"mfa": False},
    ),
    case("MFA unknown", event(additionalEventData={"MFAUsed": "perhaps"}), {"mfa": None}),
    case("additionalEventData a text", event(additionalEventData="MFAUsed"), {"mfa": None}),
    case("TLS", event(tlsDetails={"tlsVersion": "TLSv1.3"}), {"tls_version": "TLSv1.3"}),
    case(
        "shared event",
        event(sharedEventID="s-2", vpcEndpointId="vpce-1"),
        {"shared_event_id": "s-2", "vpc_endpoint": "vpce-1"},
    ),
]
FAILURE = {"status": "failure"}
KINDS = [
    # 1. alerts
    kind("security_alert", call("securityhub:BatchImportFindings")),
    kind("security_alert", call("guardduty:NewFinding", None, eventType="AwsServiceEvent")),
    kind("api_call", call("guardduty:GetFindings", True), "reading findings"),
    kind("audit_log_control", call("guardduty:ArchiveFindings"), "hiding findings"),
    # 2. signing in and out
    kind("login", signed_in("Success"), status="success"),
    kind("login", signed_in("Success", userIdentity=ROOT_USER), "of root", user_id=ROOT_USER["arn"]),
    kind("auth_failure", signed_in("Failure", errorMessage="Failed authentication"), **FAILURE),
    kind(
        "auth_failure",
        call("signin:ConsoleLogin", errorMessage="Failed authentication"),
        "errorMessage alone",
        **FAILURE,
    ),
    kind("auth_failure", call("signin:ConsoleLogin", errorCode="AccessDenied"), "sign-in denied", **FAILURE),
    kind("login", call("signin:ConsoleLogin", responseElements="x"), "outcome unreadable", status="success"),
    kind("logout", signed_in("Success", "Logout"), status="success"),
    kind("logout", signed_in("Success", "ExitRole")),
    kind("login", signed_in("Success", "SwitchRole")),
    kind("auth_failure", signed_in("Failure", "SwitchRole"), **FAILURE),
    kind("login", signed_in("Success", "CheckMfa")),
    kind("auth_failure", signed_in("Failure", "CheckMfa"), **FAILURE),
    kind("login", call("signin:UserAuthentication", serviceEventDetails={"UserAuthentication": "Success"})),
    kind(
        "auth_failure",
        call("signin:CredentialVerification", serviceEventDetails={"CredentialVerification": "Failure"}),
        **FAILURE,
    ),
    kind("auth_failure", signed_in("Failure"), "ConsoleLogin, outcome alone", **FAILURE),
    kind("logout", signed_in("Failure", "Logout"), "Logout that failed", **FAILURE),
    kind("logout", signed_in("Failure", "ExitRole"), "ExitRole that failed", **FAILURE),
    kind(
        "auth_failure",
        call("signin:UserAuthentication", serviceEventDetails={"UserAuthentication": "Failure"}),
        "UserAuthentication, outcome alone",
        **FAILURE,
    ),
    kind("login", call("sso:Federate", serviceEventDetails={"role_name": "Admin"})),
    kind("api_call", call("signin:CredentialChallenge"), "a prompt"),
    # 3. rights and credentials that do not hold
    *(
        kind("access_denied", call("ec2:RunInstances", errorCode=code), code, **FAILURE)
        for code in (
            "AccessDenied",
            "AccessDeniedException",
            "Client.UnauthorizedOperation",
            "VpceAccessDenied",
            "NotAuthorizedException",
            "AuthorizationError",
        )
    ),
    *(
        kind("auth_failure", call("ec2:RunInstances", errorCode=code), code, **FAILURE)
        for code in (
            "AuthFailure",
            "InvalidClientTokenId",
            "SignatureDoesNotMatch",
            "ExpiredToken",
            "ExpiredTokenException",
            "UnrecognizedClientException",
        )
    ),
    kind(
        "access_denied",
        call("s3:DeleteObject", eventCategory="Data", errorCode="AccessDenied"),
        "denied deletion",
        **FAILURE,
    ),
    kind("api_call", call("iam:GetUser", True, errorCode="ThrottlingException"), "throttled", **FAILURE),
    kind("config_change", call("ec2:RunInstances", errorCode="Client.RequestLimitExceeded"), "limited", **FAILURE),
    kind("config_change", call("ec2:RunInstances", errorCode=""), "empty errorCode", status="success"),
    kind("config_change", call("ec2:RunInstances", errorCode=404), "a number as errorCode", **FAILURE),
    # 4. credentials handed out
    kind("access_granted", call("sts:AssumeRole", True)),
    kind("access_granted", call("sts:GetSessionToken", True)),
    kind("access_granted", call("signin:GetSigninToken", None)),
    kind("api_call", call("sts:GetCallerIdentity", True)),
    kind("access_granted", call("sso:GetRoleCredentials", True)),
    # the audit trail itself
    kind("audit_log_access", call("cloudtrail:LookupEvents", True)),
    kind("audit_log_access", call("logs:GetLogEvents", True)),
    kind("audit_log_access", call("logs:FilterLogEvents", True)),
    kind("audit_log_access", call("rds:DownloadDBLogFilePortion", True)),
    kind(
        "audit_log_access",
        call(
            "s3:GetObject",
            True,
            eventCategory="Data",
            requestParameters={"bucketName": "b", "key": "AWSLogs/1/CloudTrail/x.gz"},
        ),
        "a log file in S3",
    ),
    kind("api_call", call("cloudtrail:GetTrailStatus", True), "a setting of the trail"),
    *(
        kind("audit_log_control", call(f"cloudtrail:{name}"))
        for name in ("StopLogging", "StartLogging", "CreateTrail", "DeleteTrail", "UpdateTrail", "PutEventSelectors")
    ),
    kind("audit_log_control", call("ec2:DeleteFlowLogs")),
    kind("audit_log_control", call("config:StopConfigurationRecorder")),
    kind("audit_log_control", call("logs:DeleteLogGroup")),
    # what watches and protects
    *(
        kind("audit_log_control", call(action))
        for action in (
            "guardduty:DeleteDetector",
            "securityhub:DisableSecurityHub",
            "macie2:UpdateMacieSession",
            "config:DeleteConfigRule",
            "monitoring:DisableAlarmActions",
            "access-analyzer:DeleteAnalyzer",
            "s3:DeleteBucketPublicAccessBlock",
            "s3:PutAccountPublicAccessBlock",
            "s3:DeleteBucketEncryption",
            "ec2:DisableEbsEncryptionByDefault",
            "iam:DeleteAccountPasswordPolicy",
        )
    ),
    kind("compliance_check", call("config:PutEvaluations")),
    kind("api_call", call("monitoring:PutMetricData")),
    kind("access_denied", call("cloudtrail:StopLogging", errorCode="AccessDenied"), "denied StopLogging", **FAILURE),
    # 5. models
    kind("model_access", call("bedrock:InvokeModel", True)),
    kind(
        "model_access", call("bedrock:InvokeModelWithResponseStream", True, errorCode="ValidationException"), **FAILURE
    ),
    kind("model_access", call("bedrock:ConverseStream", True)),
    kind("model_access", call("bedrock:RetrieveAndGenerate", False)),
    kind("model_update", call("bedrock:CreateModelCustomizationJob")),
    kind("model_update", call("sagemaker:CreateTrainingJob")),
    kind("audit_log_control", call("bedrock:DeleteGuardrail")),
    kind("audit_log_control", call("bedrock:PutModelInvocationLoggingConfiguration")),
    kind("permission_change", call("bedrock:PutFoundationModelEntitlement")),
    kind("api_call", call("bedrock:ListFoundationModels", True)),
    # data taken out as a whole
    kind("data_export", call("rds:StartExportTask")),
    kind("data_export", call("dynamodb:ExportTableToPointInTime")),
    kind("data_export", call("ec2:CreateInstanceExportTask")),
    # 6. accounts and rights
    *(
        kind("account_change", call(f"iam:{name}"))
        for name in (
            "CreateUser",
            "DeleteUser",
            "UpdateUser",
            "CreateLoginProfile",
            "UpdateLoginProfile",
            "DeleteLoginProfile",
            "CreateAccessKey",
            "UpdateAccessKey",
            "DeleteAccessKey",
            "ChangePassword",
            "DeactivateMFADevice",
            "UploadSSHPublicKey",
        )
    ),
    *(
        kind("account_change", call(action))
        for action in ("ec2:CreateKeyPair", "kms:DisableKey", "kms:ScheduleKeyDeletion", "iam:UploadServerCertificate")
    ),
    kind("account_change", call("identitystore:CreateUser")),
    kind("account_change", call("cognito-idp:AdminSetUserPassword")),
    kind("account_change", call("organizations:CloseAccount")),
    kind("account_change", call("sso-directory:UpdatePassword")),
    kind("api_call", call("sso-directory:ListMfaDevicesForUser", True)),
    kind("account_change", call("signin:PasswordUpdated")),
    kind("api_call", call("iam:GetLoginProfile", True)),
    *(
        kind("permission_change", call(action))
        for action in (
            "iam:AttachUserPolicy",
            "iam:PutUserPolicy",
            "iam:AddUserToGroup",
            "iam:CreateRole",
            "iam:TagUser",
            "organizations:LeaveOrganization",
            "sso:CreateAccountAssignment",
            "s3:PutBucketPolicy",
            "s3:PutBucketAcl",
            "lambda:AddPermission20150331v2",
            "ec2:CreateNetworkInterfacePermission",
            "ec2:AssociateIamInstanceProfile",
            "ec2:ModifySnapshotAttribute",
            "ec2:ModifyImageAttribute",
            "rds:ModifyDBSnapshotAttribute",
            "kms:CreateGrant",
            "kms:PutKeyPolicy",
            "ram:CreateResourceShare",
            "rolesanywhere:CreateTrustAnchor",
            "rds:AddRoleToDBInstance",
            "codebuild:UpdateProjectVisibility",
        )
    ),
    kind(
        "permission_change",
        call("sqs:SetQueueAttributes", requestParameters={"attributes": {"Policy": "{}"}}),
        "a queue's policy",
    ),
    kind("config_change", call("sqs:SetQueueAttributes", requestParameters={"attributes": {"DelaySeconds": "1"}})),
    *(
        kind("network_change", call(action))
        for action in (
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:DeleteSecurityGroup",
            "ec2:CreateNetworkAclEntry",
            "ec2:CreateRoute",
            "ec2:AttachInternetGateway",
            "ec2:AllocateAddress",
            "ec2:ModifyNetworkInterfaceAttribute",
            "ec2:CreateTrafficMirrorSession",
            "rds:AuthorizeDBSecurityGroupIngress",
            "elasticloadbalancing:ApplySecurityGroupsToLoadBalancer",
            "wafv2:DisassociateWebACL",
            "route53:ChangeResourceRecordSets",
            "network-firewall:UpdateFirewallPolicy",
        )
    ),
    # somebody else's machine
    kind("privilege_use", call("ssm:StartSession")),
    kind("privilege_use", call("ec2-instance-connect:SendSSHPublicKey")),
    kind("process_execution", call("ssm:SendCommand")),
    kind("config_change", call("ec2:ModifyInstanceAttribute")),
    kind("api_call", call("iam:GetRole", None), "readOnly missing, a read by name"),
    # 7. data
    kind("data_access", call("s3:GetObject", True, eventCategory="Data", managementEvent=False)),
    kind("data_modification", call("s3:PutObject", eventCategory="Data")),
    kind("data_deletion", call("s3:DeleteObject", eventCategory="Data", errorCode="NoSuchKey"), **FAILURE),
    kind("data_deletion", call("s3:DeleteObjects", None, eventCategory=ABSENT), "before there were categories"),
    kind(
        "data_access", call("dynamodb:GetItem", None, eventCategory=ABSENT, managementEvent=False), "by managementEvent"
    ),
    kind("data_access", call("dynamodb:Query", True, eventCategory="Data"), "by category"),
    kind("permission_change", call("s3:PutObjectAcl", eventCategory="Data")),
    *(
        kind("data_access", call(action, True))
        for action in (
            "secretsmanager:GetSecretValue",
            "secretsmanager:BatchGetSecretValue",
            "ssm:GetParameter",
            "ssm:GetParametersByPath",
            "kms:Decrypt",
            "ec2:GetPasswordData",
        )
    ),
    kind("data_access", call("athena:StartQueryExecution")),
    kind("data_modification", call("secretsmanager:PutSecretValue")),
    kind("data_modification", call("ssm:PutParameter")),
    *(
        kind("data_deletion", call(action))
        for action in ("secretsmanager:DeleteSecret", "s3:DeleteBucket", "rds:DeleteDBSnapshot", "dynamodb:DeleteTable")
    ),
    # 8. the cloud's own faults
    kind("system_error", call("ec2:RunInstances", errorCode="Server.InternalError"), "Server.InternalError", **FAILURE),
    kind("system_error", call("iam:ListUsers", True, errorCode="ServiceUnavailable"), "ServiceUnavailable", **FAILURE),
    kind("system_error", call("iam:ListUsers", True, errorCode="InternalFailure"), "InternalFailure", **FAILURE),
    # 9. everything else
    kind("config_change", call("ec2:RunInstances")),
    kind("config_change", call("ec2:RunInstances", None), "readOnly missing, a write by name"),
    kind("config_change", call("ssm:UpdateServiceSetting")),
    kind("api_call", call("ssm:UpdateInstanceInformation"), "an agent's report"),
    kind("network_change", call("wafv2:ListWebACLs"), "readOnly false beats the name"),
    kind("api_call", call("ce:GetCostAndUsage", "true"), "readOnly as text"),
    kind("config_change", call("ce:GetCostAndUsage", "False"), "readOnly as text, false"),
]


def said(name: str, given: dict[str, Any], **meta: Any) -> Case:
    """One case about the known keys of the metadata."""
    return case(f"metadata of {name}", given, {**dict.fromkeys(("verb", "target_kind", "credential")), **meta})


SAID = [
    said("a user", call("iam:CreateUser"), verb="create", target_kind="user"),
    said("a key", call("iam:UpdateAccessKey"), verb="update", target_kind="key", credential="key"),
    said("a password", call("iam:DeleteLoginProfile"), verb="delete", target_kind="user", credential="password"),
    said("a second factor", call("iam:DeactivateMFADevice"), verb="update", target_kind="user", credential="mfa"),
    said("a policy of a role", call("iam:AttachRolePolicy"), verb="create", target_kind="role"),
    said("a policy", call("iam:DeletePolicy"), verb="delete", target_kind="policy"),
    said("a group", call("iam:RemoveUserFromGroup"), verb="delete", target_kind="user"),
    said("an instance that is no user", call("ec2:ModifyInstanceAttribute"), verb="update"),
    said("a role that is assumed", call("sts:AssumeRole", True), credential="token"),
    said("a sign-in", signed_in("Success")),
    said("a query", call("athena:StartQueryExecution")),
    said("an encryption key", call("kms:Decrypt", True), verb="read", target_kind="key"),
    said(
        "a snapshot for everybody",
        call("ec2:ModifySnapshotAttribute", requestParameters={"createVolumePermission": {"add": [{"group": "all"}]}}),
        verb="update", visibility="public",
    ),
    said(
        "a snapshot for another account",
        call("rds:ModifyDBSnapshotAttribute", requestParameters={"valuesToAdd": ["111122223333"]}),
        verb="update", visibility=None,
    ),
    said(
        "a public bucket",
        call("s3:PutBucketAcl", requestParameters={"x-amz-acl": ["public-read"]}),
        verb="update", target_kind="policy", visibility="public",
    ),
    said(
        "a model",
        call("bedrock:InvokeModel", True, requestParameters={"modelId": "anthropic.claude-3"}),
        verb="read", model="anthropic.claude-3", provider="aws",
    ),
]  # fmt: skip
ODD = [
    case("no eventTime", event(eventTime=ABSENT), reason="eventTime is missing", timestamp=None),
    case("eventTime null", event(eventTime=None), reason="eventTime is missing"),
    case("eventTime empty", event(eventTime=""), reason="eventTime is missing"),
    case("no eventName", event(eventName=ABSENT), reason="eventName is missing"),
    case("eventName an object", event(eventName={"a": 1}), reason="an object where text belongs: eventName"),
    case("eventName an array", event(eventName=["a"]), reason="an array where text belongs: eventName"),
    case("eventName that looks like one", event(eventName="[x"), action="ec2:[x"),
    case("eventName of JSON in a text", event(eventName='{"a":1}'), action='ec2:{"a":1}'),
    case("@timestamp an array", event(**{"@timestamp": []}), reason="an array where text belongs: @timestamp"),
    case("arn an object", event(userIdentity={"arn": {}}), reason="an object where text belongs: userIdentity.arn"),
    case("eventID an object", event(eventID={"x": [1]}), reason="an object where text belongs: eventID"),
    case("empty object", {}, reason="eventTime is missing", details="{}", resource=None, user_id=None),
    case(
        "lookup",
        lookup(event()),
        event_id="e-1",
        timestamp=BASE["eventTime"],
        action="ec2:DescribeInstances",
        details=json.dumps(event()),
    ),
    case(
        "lookup, outer id and time",
        lookup(event(eventID=ABSENT, eventTime=ABSENT)),
        event_id="outer-1",
        timestamp="2026-03-02 21:00:00+11:00",
    ),
    case("lookup, outer id no text", lookup(event(eventID=ABSENT), EventId={"x": 1}), event_id=None),
    case(
        "lookup of no JSON",
        lookup("{"),
        reason="the record inside is not valid JSON: CloudTrailEvent",
        details=json.dumps(lookup("{")),
    ),
    case("lookup of nothing", lookup(""), reason="the record inside is not valid JSON: CloudTrailEvent"),
    case(
        "lookup with NaN", lookup('{"eventName": NaN}'), reason="the record inside is not valid JSON: CloudTrailEvent"
    ),
    case(
        "lookup with -Infinity",
        lookup('{"eventName": [-Infinity]}'),
        reason="the record inside is not valid JSON: CloudTrailEvent",
    ),
    case(
        "lookup with a comma too many",
        lookup('{"eventName": "x", }'),
        reason="the record inside is not valid JSON: CloudTrailEvent",
    ),
    case("lookup with such words in texts", lookup(event(userAgent='NaN, inf ,] \\" ,}')), user_id=ALICE),
    case(
        "lookup with a key twice",
        lookup('{"eventName":"a","eventName":"b"}'),
        reason="the record inside has a key twice: CloudTrailEvent",
    ),
    case("lookup of an array", lookup("[]"), reason="the record inside is not a JSON object: CloudTrailEvent"),
    case("lookup of null", lookup(event(), CloudTrailEvent=None), reason="eventName is missing"),
    case(
        "lookup of a number",
        lookup(event(), CloudTrailEvent=5),
        reason="the record inside is not a JSON object: CloudTrailEvent",
    ),
    case("CloudTrailEvent deep inside", event(requestParameters={"CloudTrailEvent": "{", "name": "n"}), resource="n"),
]
CASES = [*WHOLE, *WHO, *WHERE, *KINDS, *SAID, *ODD]


@pytest.fixture(scope="module")
def mapped() -> dict[str, dict[str, Any]]:
    """All cases, mapped as one batch, so that none can harm another."""
    return dict(zip((each.name for each in CASES), map_events(each.given for each in CASES), strict=True))


@pytest.mark.parametrize("each", CASES, ids=lambda each: each.name)
def test_a_small_event_becomes_the_columns_it_must(each: Case, mapped: dict[str, dict[str, Any]]) -> None:
    """Every named event gets the columns and the metadata of the table."""
    row = mapped[each.name]
    assert {column: row[column] for column in each.columns} == each.columns
    metadata = json.loads(row["metadata"])
    assert {key: metadata.get(key) for key in each.meta} == each.meta
    assert row["event_type"] in TYPES


def test_the_names_of_the_cases_are_unique() -> None:
    """No case hides behind another of the same name."""
    names = [each.name for each in CASES]
    assert sorted(names) == sorted(set(names))


def test_details_are_the_text_as_it_came() -> None:
    """White space, escapes, numbers and key order of the vendor's event are kept."""
    text = '{ "eventTime":"t",  "eventName":"\\u0041", "n": 1.10, "big": 123456789012345678901234567890 }'
    (row,) = map_texts([text])
    assert row["details"] == text
    assert row["action"] == "A"


def test_metadata_holds_only_what_is_present() -> None:
    """Absent, null and empty values leave no key."""
    (row,) = map_events([{"eventTime": "t", "eventName": "x", "awsRegion": None, "userAgent": ""}])
    assert json.loads(row["metadata"]) == {"mapping": "cloudtrail/2"}
