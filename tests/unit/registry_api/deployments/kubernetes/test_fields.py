# SPDX-License-Identifier: Apache-2.0
"""Fields that a manager owns, as Kubernetes writes them."""

from __future__ import annotations

from registry_api.deployments.kubernetes.fields import differences, owned
from registry_api.deployments.kubernetes.values import Difference

LIVE = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "a",
        "namespace": "ml",
        "uid": "1",
        "resourceVersion": "5",
        "labels": {"ours": "1", "theirs": "2"},
        "finalizers": ["keep", "other"],
        "managedFields": [
            {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {
                "manager": "us",
                "operation": "Apply",
                "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:ours": {}}, "f:finalizers": {'v:"keep"': {}}},
                    "f:spec": {
                        "f:selector": {},
                        "f:template": {
                            "f:spec": {
                                "f:containers": {
                                    'k:{"name":"c"}': {".": {}, "f:name": {}, "f:image": {}, "f:args": {}, "f:gone": {}}
                                }
                            }
                        },
                    },
                },
            },
        ],
    },
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "a"}},
        "template": {
            "spec": {
                "containers": [
                    {"name": "injected", "image": "other"},
                    {"name": "c", "image": "i", "args": ["x", "y"], "terminationMessagePath": "/dev/log"},
                ]
            }
        },
    },
    "status": {"replicas": 3},
}


def test_what_we_applied_is_found_again() -> None:
    """Own labels, own items of lists and sets, atomic values whole; nothing of others, nothing of the server."""
    assert owned(LIVE, "us") == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a", "namespace": "ml", "labels": {"ours": "1"}, "finalizers": ["keep"]},
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"spec": {"containers": [{"name": "c", "image": "i", "args": ["x", "y"]}]}},
        },
    }


def test_who_only_updated_applied_nothing() -> None:
    """A manager without an entry of the operation Apply has nothing to apply again."""
    assert owned(LIVE, "kubectl") is None
    assert owned(LIVE, "nobody") is None


def test_differences_leave_out_what_the_server_keeps() -> None:
    """Versions, managed fields and status differ all the time; values, missing ones and lists of another length are named."""
    other = {
        **LIVE,
        "metadata": {
            "name": "a",
            "namespace": "ml",
            "resourceVersion": "9",
            "labels": {"ours": "1"},
            "finalizers": ["keep"],
        },
        "spec": {**LIVE["spec"], "replicas": 1, "paused": True},  # type: ignore[dict-item]
        "status": {},
    }

    assert differences(LIVE, other) == [
        Difference(thing="Deployment/a", field="metadata.finalizers", wanted='["keep"]', found='["keep","other"]'),
        Difference(thing="Deployment/a", field="metadata.labels.theirs", wanted="", found='"2"'),
        Difference(thing="Deployment/a", field="spec.paused", wanted="true", found=""),
        Difference(thing="Deployment/a", field="spec.replicas", wanted="1", found="3"),
    ]
