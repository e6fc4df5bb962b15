"""Painting solids into one axial slice in Hounsfield units, with soft edges as partial volumes have.

Coordinates are the patient's, in millimetres: x to the left, y to the back, z to the head.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

AIR_HU = -1000.0


@dataclass(frozen=True, slots=True)
class Solid:
    """A superellipsoid: `exponent` 2 is an ellipsoid, more is boxier. `turn_deg` turns it about z."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    turn_deg: float = 0.0
    exponent: float = 2.0

    def grown(self, margin_mm: float) -> "Solid":
        x, y, z = self.radii
        return Solid(self.centre, (x + margin_mm, y + margin_mm, z + margin_mm), self.turn_deg, self.exponent)

    def mirrored(self) -> "Solid":
        x, y, z = self.centre
        return Solid((-x, y, z), self.radii, -self.turn_deg, self.exponent)


class Slice:
    """One axial slice at height `z_mm`, `rows` x `rows` pixels over `field_mm`; starts as air."""

    def __init__(self, z_mm: float, rows: int, field_mm: float) -> None:
        self.z_mm = z_mm
        self.pixel_mm = field_mm / rows
        axis = (np.arange(rows, dtype=np.float32) - (rows - 1) / 2) * np.float32(self.pixel_mm)
        self.x = axis[np.newaxis, :]
        self.y = axis[:, np.newaxis]
        self.hu: Pixels = np.full((rows, rows), AIR_HU, dtype=np.float32)

    def coverage(self, solid: Solid) -> tuple[tuple[slice, slice], Pixels] | None:
        """The window the solid touches and how much of each pixel there it fills; None when it is elsewhere."""
        height = abs(self.z_mm - solid.centre[2]) / solid.radii[2]
        if height >= 1:
            return None
        rows = len(self.hu)
        reach = max(solid.radii[:2]) + 2 * self.pixel_mm
        if solid.exponent > 2:
            reach *= 1.42 if solid.turn_deg else 1.0
        window = tuple(
            slice(
                max(0, int((centre - reach) / self.pixel_mm + rows / 2)),
                min(rows, int((centre + reach) / self.pixel_mm + rows / 2) + 1),
            )
            for centre in (solid.centre[1], solid.centre[0])
        )
        across = self.x[:, window[1]] - solid.centre[0]
        along = self.y[window[0]] - solid.centre[1]
        if solid.turn_deg:
            angle = np.deg2rad(solid.turn_deg)
            cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
            across, along = across * cosine + along * sine, along * cosine - across * sine
        across, along = np.abs(across / solid.radii[0]), np.abs(along / solid.radii[1])
        if solid.exponent == 2:
            distance = np.sqrt(across * across + along * along + np.float32(height * height))
        else:
            power = np.float32(solid.exponent)
            total = across**power + along**power + np.float32(height**solid.exponent)
            distance = total ** (1 / power)
        edge = min(solid.radii[:2]) / self.pixel_mm
        return (window[0], window[1]), np.clip((1 - distance) * np.float32(edge) + np.float32(0.5), 0, 1)

    def paint(self, solid: Solid, hu: float, within: Pixels | None = None) -> None:
        """Fill the solid with `hu`, where `within` allows it (a share of 0 to 1 for each pixel)."""
        covered = self.coverage(solid)
        if covered is None:
            return
        window, share = covered
        if within is not None:
            share = share * within[window]
        area = self.hu[window]
        area += share * (np.float32(hu) - area)

    def paint_both(self, solid: Solid, hu: float, within: Pixels | None = None) -> None:
        """Fill the solid and its mirror image on the other side of the body."""
        self.paint(solid, hu, within)
        self.paint(solid.mirrored(), hu, within)

    def share_of(self, solid: Solid) -> Pixels:
        """How much of each pixel of the whole slice the solid fills."""
        share = np.zeros_like(self.hu)
        covered = self.coverage(solid)
        if covered is not None:
            share[covered[0]] = covered[1]
        return share

    def blend(self, share: Pixels, hu: float) -> None:
        """Move each pixel towards `hu` by its share."""
        self.hu += share * (np.float32(hu) - self.hu)
