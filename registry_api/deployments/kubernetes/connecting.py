# SPDX-License-Identifier: Apache-2.0
"""From a configuration of Kubernetes to the official client. Credentials, TLS and proxies are the client's own business.

A configuration is an operator's file, and trusted as such: it may name a program that makes credentials (``exec``), which
then runs in the worker and without a time limit. Nobody who calls the registry has a say in it. Redirects are not followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from core.errors import ErrorCode, InitError, Unavailable

_MALFORMED: Final = (OSError, ValueError, TypeError, LookupError, AttributeError, yaml.YAMLError)
"""What the client raises, beside its own exception, for a file that is no configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """How the cluster is reached."""

    kubeconfig: Path | None = None  # None: the service account of this pod
    context: str | None = None  # of the kubeconfig; None: its current one
    timeout_seconds: float = 15.0  # of each call
    attempts: int = 3
    pause_seconds: float = 0.5  # before the second attempt; doubles with each further one


def connect(options: ApiOptions) -> Any:
    """The client, configured. Nothing is asked of the cluster.

    Raises:
        InitError: ``INIT_002`` if the configuration is none.
        Unavailable: ``DEVICE_001`` if the client is not installed.
    """
    try:
        from kubernetes import client, config
    except ImportError as error:
        raise Unavailable(
            ErrorCode.DEVICE_UNAVAILABLE,
            "The Kubernetes client is not installed. Install deploy/locks/kubernetes.txt.",
        ) from error
    configuration = client.Configuration()
    configuration.retries = False  # ours are enough
    try:
        if options.kubeconfig is None:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=str(options.kubeconfig),
                context=options.context,
                client_configuration=configuration,
                persist_config=False,
            )
    except (config.ConfigException, *_MALFORMED) as error:
        where = options.kubeconfig or "the service account of this pod"
        raise InitError(ErrorCode.SETTING_INVALID, f"Kubernetes is not configured by {where}: {error}") from error
    return client.ApiClient(configuration)


def cut_off() -> tuple[type[Exception], ...]:
    """What the client raises where there was no answer, or no credentials to ask with: a token that is being replaced."""
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config import ConfigException
    from urllib3.exceptions import HTTPError

    return ApiException, ConfigException, HTTPError, OSError
