# SPDX-License-Identifier: Apache-2.0
"""Somebody with a browser, for the provider of :mod:`deploy.local.components.oidc`: signs in and consents over HTTP."""

from __future__ import annotations

import re
from typing import Final

import httpx

_FORM: Final = re.compile(r'action="([^"]+)"')
_PROMPT: Final = re.compile(r'name="prompt" value="(login|consent)"')
_MOST_PAGES: Final = 10


def sign_in(address: str, *, login: str) -> httpx.Response:
    """Opens an authorization address as ``login``, agrees to everything, and follows the way back.

    Args:
        address: Of the provider's authorization endpoint, with its parameters.
        login: One of the provider's users; any password will do.

    Returns:
        What the redirect address answered at last.

    Raises:
        RuntimeError: If the provider shows something unexpected.
    """
    with httpx.Client(follow_redirects=True, trust_env=False, timeout=10.0) as browser:
        page = browser.get(address)
        for _ in range(_MOST_PAGES):
            form, prompt = _FORM.search(page.text), _PROMPT.search(page.text)
            if form is None or prompt is None:
                return page
            filled = (
                {"prompt": prompt[1], "login": login, "password": "any"}
                if prompt[1] == "login"
                else {"prompt": prompt[1]}
            )
            page = browser.post(str(page.url.join(form[1])), data=filled)
    raise RuntimeError(f"the provider asks again and again: {page.text[:500]}")
