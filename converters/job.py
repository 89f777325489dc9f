# SPDX-License-Identifier: Apache-2.0
"""``python -m converters run SPEC.json``: the child process of a conversion job.

SPEC is one JSON object, see :class:`converters.spec.ConvertSpec`. Each stage is told as a JSON line on stdout. The answer is
written to the file that SPEC names: a :class:`converters.spec.ConvertAnswer` and exit code 0, or
``{"error": {"code", "message"}}`` and exit code 3. The bundle is verified here again, the work reads a private copy of the
verified bytes. This process runs nothing of the model: the sandbox does (:mod:`converters.working`). A candidate that differs
too much from its source is a result; a step that fails is an error, and then nothing is left in the output folder.
"""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from artifacts.formats import check_no_pickles, format_named
from artifacts.keys.file import FileTrust
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier, VerifiedBundle
from artifacts.source import DirectorySource
from converters.making import Maker
from converters.spec import ConvertAnswer, ConvertSpec
from converters.steps import FULL
from core.clock import SystemClock
from core.errors import ErrorCode, FuroshikiError, InvalidRequest

REFUSED: Final = 3
WORK: Final = ".work"  # folder within the output while steps run


def run(path: Path) -> int:
    """Does what the spec in ``path`` says; the exit code.

    Raises:
        OSError: The spec cannot be read or the answer not be written.
        msgspec.ValidationError: The file is no spec.
    """
    spec = msgspec.json.decode(path.read_bytes(), type=ConvertSpec)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the running step is ended on the way out
    code, answer = _answer(spec)
    Path(spec.answer).write_bytes(msgspec.json.encode(answer))
    return code


def _answer(spec: ConvertSpec) -> tuple[int, Any]:
    output = Path(spec.output)
    done = False
    try:
        answer = _convert(spec, output)
        done = True
    except FuroshikiError as error:
        return REFUSED, {"error": {"code": str(error.code), "message": error.message}}
    except OSError as error:
        code = ErrorCode.STORE_FULL if error.errno in FULL else ErrorCode.JOB_FAILED
        message = f"The conversion cannot read or write its files: {error.strerror}."
        return REFUSED, {"error": {"code": str(code), "message": message}}
    finally:
        shutil.rmtree(output / WORK, ignore_errors=True)
        if not done:
            _empty(output)
    return 0, answer


def _convert(spec: ConvertSpec, output: Path) -> ConvertAnswer:
    output.mkdir(parents=True, exist_ok=True)
    if any(output.iterdir()):
        raise InvalidRequest(ErrorCode.INVALID_FIELD, "The output folder is not empty.")
    tell("verify", 0.0, f"verifying {spec.tenant}/{spec.model}@{spec.version} {spec.variant}")
    bundle = _verified(spec)
    work = output / WORK
    work.mkdir(mode=0o700)
    folder = work / "source"
    _lay_out(bundle, folder)
    return Maker(spec, bundle=bundle, folder=folder, work=work, tell=tell, clock=SystemClock()).make()


def _verified(spec: ConvertSpec) -> VerifiedBundle:
    subject = Subject(tenant=spec.tenant, model=spec.model, version=spec.version, variant=spec.variant)
    policy = FileTrust(Path(spec.trust)).policy(spec.tenant)
    verifier = BundleVerifier(policy=policy, clock=SystemClock())
    return verifier.verify(DirectorySource(Path(spec.bundle)), subject=subject)


def _lay_out(bundle: VerifiedBundle, folder: Path) -> None:
    """Writes the verified bytes where the steps read them; the model's folder is the folder of its main file."""
    form = format_named(bundle.manifest.format)
    check_no_pickles(bundle.files)
    root = form.folder(bundle.files)
    for path, data in bundle.files.items():
        inner = Path(path) if root == "." else Path(path).relative_to(root) if path.startswith(f"{root}/") else None
        if inner is not None:
            (folder / inner).parent.mkdir(parents=True, exist_ok=True)
            (folder / inner).write_bytes(data)


def _empty(output: Path) -> None:
    for each in output.iterdir() if output.is_dir() else ():
        shutil.rmtree(each, ignore_errors=True) if each.is_dir() else each.unlink(missing_ok=True)


def tell(stage: str, done: float, message: str) -> None:
    """One line of progress on stdout."""
    line = {"stage": stage, "done": round(done, 3), "message": message}
    print(msgspec.json.encode(line).decode(), flush=True)  # noqa: T201
