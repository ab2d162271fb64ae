"""`make bench`: every ratio in one table."""

from __future__ import annotations

from bench.document import machine
from bench.training import BATCH, training_speeds


def main() -> None:
    """Measure and print, with what is needed to read the figures."""
    print(machine())
    speeds = training_speeds()
    speed = BATCH / speeds.graft
    print(f"train resnet18, {BATCH} images of 224 pixels a step, {speeds.precision}: {speed:.1f} images/s")
    print(f"  of a bare PyTorch loop in the same precision: {speeds.bare / speeds.graft:.2f}")
    print(f"  of a bare PyTorch loop in float32: {speeds.plain / speeds.graft:.2f}")


if __name__ == "__main__":
    main()
