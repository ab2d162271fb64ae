"""`make bench`: every ratio in one table."""

from __future__ import annotations

from bench.build import build_speeds
from bench.document import machine
from bench.training import BATCH, training_speeds


def main() -> None:
    """Measure and print, with what is needed to read the figures."""
    print(machine())
    built = build_speeds()
    print(f"build resnet50, init skipped on both sides: {built.first * 1e3:.1f} ms the first time, ", end="")
    print(f"{built.first / built.torchvision:.2f} times torchvision's; ", end="")
    print(f"{built.again * 1e3:.1f} ms again, {built.again / built.torchvision:.2f} times")
    speeds = training_speeds()
    speed = BATCH / speeds.graft
    print(f"train resnet18, {BATCH} images of 224 pixels a step, {speeds.precision}: {speed:.1f} images/s")
    print(f"  of a bare PyTorch loop in the same precision: {speeds.bare / speeds.graft:.2f}")
    print(f"  of a bare PyTorch loop in float32: {speeds.plain / speeds.graft:.2f}")


if __name__ == "__main__":
    main()
