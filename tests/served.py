# SPDX-License-Identifier: Apache-2.0
"""What an inference service is told that serves one bundle without any registry."""

from __future__ import annotations

from pathlib import Path

from artifacts.testing import Bundle


def staged(bundle: Bundle, folder: Path) -> dict[str, str]:
    """Writes a bundle and the policy that trusts it below ``folder``; the environment that serves it in open mode."""
    bundle.write(folder / "model")
    (folder / "trust").mkdir()
    (folder / "trust" / f"{bundle.policy.tenant}.json").write_bytes(bundle.policy.to_bytes())
    return {
        "FUROSHIKI_SOURCE": "bundle",
        "FUROSHIKI_BUNDLE__PATH": str(folder / "model"),
        "FUROSHIKI_TRUST__DIR": str(folder / "trust"),
        "FUROSHIKI_AUTH__MODE": "open",
        "BENTOML_HOME": str(folder / "bentoml"),
    }
