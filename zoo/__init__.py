"""The model zoo: networks declared as data, built, measured and filled with published weights."""

from zoo.errors import GraftError, SpecError, UnknownNameError, WeightsError

__all__ = ["GraftError", "SpecError", "UnknownNameError", "WeightsError"]
