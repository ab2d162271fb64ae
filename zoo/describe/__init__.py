"""Describe networks: layer tables, facts held against the networks, the listing of the whole zoo."""

from zoo.describe.description import Description, LayerRow
from zoo.describe.facts import check_facts
from zoo.describe.follow import describe
from zoo.describe.listing import Listing, list_specs

__all__ = ["Description", "LayerRow", "Listing", "check_facts", "describe", "list_specs"]
