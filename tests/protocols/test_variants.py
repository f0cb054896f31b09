"""Each variant of mm/table_variants.py has its claim in protocols/t2_variants.py."""

from __future__ import annotations

from pagerace.mm.table_variants import VARIANTS
from pagerace.protocols import t2_variants
from tests.protocols.claims import claims_of


def test_each_variant_has_a_claim_of_its_name_with_its_parameters() -> None:
    claims = {address.partition("::")[2] for address in claims_of("t2_variants")}
    assert claims == {name.replace("-", "_").replace(".", "_") for name in VARIANTS}
    for name in VARIANTS:
        claim = getattr(t2_variants, name.replace("-", "_").replace(".", "_"))
        assert [config for config in t2_variants.of(name) if config not in claim.config] == []
