# SPDX-License-Identifier: Apache-2.0
"""Furoshiki's client: push models, build and deploy them, infer with numpy, verify signatures offline.

>>> from furoshiki import Client
>>> with Client() as client:
...     client.models.push("digits", "digits.onnx")
"""

from furoshiki.aliases import Alias
from furoshiki.approvals import Approval
from furoshiki.audit import AuditEntry
from furoshiki.builds import Build
from furoshiki.bundle import Manifest, ManifestFile, TrustedKey, TrustPolicy, Verified, parse_policy, verify
from furoshiki.calibrations import Calibration
from furoshiki.cards import Card, Lineage, LineageEdge, LineageNode
from furoshiki.chain import AuditFinding, AuditVerdict, verify_history
from furoshiki.client import AsyncClient, Client, Identity
from furoshiki.conversions import (
    Conversion,
    ConversionResult,
    ConversionRoute,
    ConversionRoutes,
    Recipe,
)
from furoshiki.deletions import Deletion
from furoshiki.deployed import (
    Deployment,
    DeploymentEvent,
    DeploymentInstance,
    DeploymentLimits,
    DeploymentRevision,
)
from furoshiki.errors import (
    AuthError,
    ConfigError,
    Conflict,
    ConnectionFailed,
    DeadlineExceeded,
    FuroshikiError,
    InvalidRequest,
    JobFailed,
    NotFound,
    Overloaded,
    RequestError,
    ServerFault,
    SignatureRefused,
    TransientError,
    Unavailable,
)
from furoshiki.gates import Evidence, Readiness, TargetGates, UnmetGate
from furoshiki.images import Image, ImageLayer
from furoshiki.inference import InferenceResult, ModelMetadata
from furoshiki.jobs import Job, JobError
from furoshiki.keys import Key, NewKey
from furoshiki.layouts import ImageFolder
from furoshiki.logs import LogChunk
from furoshiki.models import Model
from furoshiki.progress import Progress
from furoshiki.requests import LoggedRequest
from furoshiki.retry import Retry
from furoshiki.signing import Revocation, SigningKey
from furoshiki.stages import Production, StageChange
from furoshiki.tenants import Tenant, TenantLimits
from furoshiki.tokens import LoginProvider, Token
from furoshiki.tunings import Tuning, TuningChoice, TuningDevice, TuningPoint
from furoshiki.usage import UsageReport, Used
from furoshiki.variants import VariantChoice, VariantForm
from furoshiki.version import __version__
from furoshiki.versions import Deprecation, File, Tensor, Variant, Version
from furoshiki.webhooks import Delivery, DeliveryAttempt, NewWebhook, Webhook

__all__ = [
    "Alias",
    "Approval",
    "AsyncClient",
    "AuditEntry",
    "AuditFinding",
    "AuditVerdict",
    "AuthError",
    "Build",
    "Calibration",
    "Card",
    "Client",
    "ConfigError",
    "Conflict",
    "ConnectionFailed",
    "Conversion",
    "ConversionResult",
    "ConversionRoute",
    "ConversionRoutes",
    "DeadlineExceeded",
    "Deletion",
    "Delivery",
    "DeliveryAttempt",
    "Deployment",
    "DeploymentEvent",
    "DeploymentInstance",
    "DeploymentLimits",
    "DeploymentRevision",
    "Deprecation",
    "Evidence",
    "File",
    "FuroshikiError",
    "Identity",
    "Image",
    "ImageFolder",
    "ImageLayer",
    "InferenceResult",
    "InvalidRequest",
    "Job",
    "JobError",
    "JobFailed",
    "Key",
    "Lineage",
    "LineageEdge",
    "LineageNode",
    "LogChunk",
    "LoggedRequest",
    "LoginProvider",
    "Manifest",
    "ManifestFile",
    "Model",
    "ModelMetadata",
    "NewKey",
    "NewWebhook",
    "NotFound",
    "Overloaded",
    "Production",
    "Progress",
    "Readiness",
    "Recipe",
    "RequestError",
    "Retry",
    "Revocation",
    "ServerFault",
    "SignatureRefused",
    "SigningKey",
    "StageChange",
    "TargetGates",
    "Tenant",
    "TenantLimits",
    "Tensor",
    "Token",
    "TransientError",
    "TrustPolicy",
    "TrustedKey",
    "Tuning",
    "TuningChoice",
    "TuningDevice",
    "TuningPoint",
    "Unavailable",
    "UnmetGate",
    "UsageReport",
    "Used",
    "Variant",
    "VariantChoice",
    "VariantForm",
    "Verified",
    "Version",
    "Webhook",
    "__version__",
    "parse_policy",
    "verify",
    "verify_history",
]
