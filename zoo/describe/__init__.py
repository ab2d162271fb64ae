"""Describe networks: layers, sizes, multiply-adds, facts; list all specs; write a network as a graph."""

from zoo.describe.description import Description, LayerRow, violated_facts
from zoo.describe.listing import Listing, list_specs
from zoo.describe.trace import describe

__all__ = ["Description", "LayerRow", "Listing", "describe", "list_specs", "violated_facts"]
