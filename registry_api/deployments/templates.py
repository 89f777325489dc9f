# SPDX-License-Identifier: Apache-2.0
"""Which template a request means, from the builds and images of the caller's tenant."""

from __future__ import annotations

from dataclasses import replace

from core.errors import Conflict, ErrorCode, InvalidRequest
from registry_api.builds.service import BuildService, finished
from registry_api.deployments.values import AuthMode, Change, Deployment, Limits, NewDeployment, TargetKind, Template
from registry_api.images.service import ImageService
from registry_api.images.service import finished as finished_image
from registry_api.models.source import Source


class Templates:
    """Makes templates.

    Args:
        builds: Bentos that may be served.
        images: Images that may be run.
    """

    def __init__(self, builds: BuildService, images: ImageService) -> None:
        self._builds = builds
        self._images = images

    async def of_new(self, new: NewDeployment) -> tuple[Template, Source]:
        """The template of a new deployment, and the version inside.

        Raises:
            NotFound: ``BUILD_001`` or ``IMAGE_008`` if there is no such build or image.
            Conflict: ``STATE_001`` if it has not succeeded.
            InvalidRequest: ``VALID_002`` if it is to be open in a cluster.
        """
        if new.image_id is not None:
            _check_auth(new.target, new.auth)
            return await self._of_image(new.tenant, new.image_id, target=new.target, auth=new.auth, limits=new.limits)
        return await self._of_build(new.tenant, str(new.build_id), new.auth)

    async def changed(self, before: Deployment, change: Change) -> Template:
        """The template after a change.

        Raises:
            NotFound: ``BUILD_001`` or ``IMAGE_008`` if there is no such build or image.
            Conflict: ``STATE_001`` if it has not succeeded, or does not fit the deployment's target.
            InvalidRequest: ``VALID_002`` if it is to be open in a cluster.
        """
        template = before.template
        _check_target(before, change)
        auth = change.auth or template.auth
        limits = change.limits or template.limits
        _check_auth(template.target, auth)
        if change.build_id is not None:
            return (await self._of_build(before.tenant, change.build_id, auth))[0]
        if change.image_id is not None:
            found = await self._of_image(
                before.tenant, change.image_id, target=template.target, auth=auth, limits=limits
            )
            return found[0]
        return replace(template, auth=auth, limits=limits)

    async def source(self, tenant: str, template: Template) -> Source:
        """The version inside.

        Raises:
            NotFound: ``BUILD_001`` or ``IMAGE_008`` if what it is made of is gone.
        """
        if template.image_id is not None:
            return (await self._images.get(tenant, template.image_id)).source
        return (await self._builds.get(tenant, template.build_id)).source

    async def _of_build(self, tenant: str, build_id: str, auth: AuthMode) -> tuple[Template, Source]:
        build = await self._builds.get(tenant, build_id)
        source = build.source
        template = Template(
            build_id=build.id,
            model=source.model,
            version=source.version,
            digest=finished(build).digest,
            target=TargetKind.PROCESS,
            auth=auth,
        )
        return template, source

    async def _of_image(
        self, tenant: str, image_id: str, *, target: TargetKind, auth: AuthMode, limits: Limits
    ) -> tuple[Template, Source]:
        image = await self._images.get(tenant, image_id)
        source = image.source
        template = Template(
            build_id=image.build_id,
            image_id=image.id,
            model=source.model,
            version=source.version,
            digest=finished_image(image).digest,
            target=target,
            auth=auth,
            limits=limits,
        )
        return template, source


def _check_auth(target: TargetKind, auth: AuthMode) -> None:
    if target.clustered and auth is AuthMode.OPEN:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"Field 'auth' is 'open', which is for one machine; on target {target} callers need keys: 'api_key'.",
            details={"field": "auth"},
        )


def _check_target(before: Deployment, change: Change) -> None:
    served = before.template.target is TargetKind.PROCESS
    wrong = change.image_id or change.limits if served else change.build_id
    if wrong is not None:
        made_of = "builds, without limits" if served else "images"
        raise Conflict(
            ErrorCode.STATE_CONFLICT,
            f"Deployment {before.name!r} is of target {before.template.target}, which runs {made_of}. "
            "Deploy under another name.",
            details={"deployment": before.name, "target": before.template.target},
        )
