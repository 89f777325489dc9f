# SPDX-License-Identifier: Apache-2.0
"""Finds products. How one is asked for is its slice's own: each needs other things to be so in that transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar

from registry_api.db.session import Database, Session
from registry_api.http.pagination import Listing, PageRequest
from registry_api.jobs.service import JobService
from registry_api.products.repository import ProductRepository
from registry_api.products.values import Product

P = TypeVar("P", bound=Product)

Products: TypeAlias = Callable[[Session, str], ProductRepository[Any, P]]
"""Opens the products of a tenant inside a transaction."""


class ProductService(Generic[P]):
    """The products of one kind that the caller's tenant has.

    Args:
        db: Where they are.
        jobs: Takes the jobs that make them.
        products: Opens them.
    """

    def __init__(self, db: Database, jobs: JobService, products: Products[P]) -> None:
        self._db = db
        self._jobs = jobs
        self._products = products

    async def get(self, tenant: str, product_id: str) -> P:
        """One product.

        Raises:
            NotFound: The kind's code, if the tenant has none of that id.
        """
        async with self._db.read(tenant) as session:
            return await self._products(session, tenant).get(product_id)

    async def page(
        self, tenant: str, request: PageRequest, *, model: str | None = None, version: int | None = None
    ) -> Listing[P]:
        """Products, newest first; None: of whatever model and version."""
        async with self._db.read(tenant) as session:
            return await self._products(session, tenant).page(request, model=model, version=version)
