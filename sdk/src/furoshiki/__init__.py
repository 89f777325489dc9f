# SPDX-License-Identifier: Apache-2.0
"""Furoshiki's client: push models, build and deploy them, infer with numpy, verify signatures offline.

>>> from furoshiki import Client
>>> with Client() as client:
...     client.models.push("digits", "digits.onnx")
"""

from furoshiki.builds import Build
from furoshiki.bundle import Manifest, ManifestFile, TrustedKey, TrustPolicy, Verified, parse_policy, verify
from furoshiki.client import AsyncClient, Client, Identity
from furoshiki.deployments import Deployment
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
from furoshiki.inference import InferenceResult, ModelMetadata
from furoshiki.jobs import Job, JobError
from furoshiki.keys import Key, NewKey
from furoshiki.logs import LogChunk
from furoshiki.models import Model, StageChange
from furoshiki.progress import Progress
from furoshiki.retry import Retry
from furoshiki.tenants import Tenant, TenantLimits
from furoshiki.tunings import Tuning, TuningChoice, TuningDevice, TuningPoint
from furoshiki.version import __version__
from furoshiki.versions import File, Tensor, Variant, Version

__all__ = [
    "AsyncClient",
    "AuthError",
    "Build",
    "Client",
    "ConfigError",
    "Conflict",
    "ConnectionFailed",
    "DeadlineExceeded",
    "Deployment",
    "File",
    "FuroshikiError",
    "Identity",
    "InferenceResult",
    "InvalidRequest",
    "Job",
    "JobError",
    "JobFailed",
    "Key",
    "LogChunk",
    "Manifest",
    "ManifestFile",
    "Model",
    "ModelMetadata",
    "NewKey",
    "NotFound",
    "Overloaded",
    "Progress",
    "RequestError",
    "Retry",
    "ServerFault",
    "SignatureRefused",
    "StageChange",
    "Tenant",
    "TenantLimits",
    "Tensor",
    "TransientError",
    "TrustPolicy",
    "TrustedKey",
    "Tuning",
    "TuningChoice",
    "TuningDevice",
    "TuningPoint",
    "Unavailable",
    "Variant",
    "Verified",
    "Version",
    "__version__",
    "parse_policy",
    "verify",
]
