"""What a worker process can be asked for, as plain data, and doing it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from archive.errors import UnprocessableError
from wado.pixels.decode import Samples
from wado.pixels.parameters import RenderParameters
from wado.pixels.presentation import Presentation
from wado.pixels.render import animate, draw, encode
from wado.pixels.source import FrameLocation, FrameReader
from wado.pixels.syntaxes import NATIVE
from wado.pixels.transcode import native_frame, native_samples, transcode_frame

Result = bytes | Samples
"""What a task gives: bytes, or samples whose bytes are taken in row order."""


class Task(Protocol):
    """One piece of work. It is pickled on its way to the worker; what comes back is bytes only."""

    def perform(self, reader: FrameReader) -> Result: ...


@dataclass(frozen=True, slots=True)
class NativeFrame:
    """A frame as native little endian bytes."""

    location: FrameLocation

    def perform(self, reader: FrameReader) -> Result:
        location = self.location
        frame = reader.read(location)
        facts, syntax = location.facts, location.transfer_syntax_uid
        if syntax in NATIVE or facts.bits_allocated == 1:
            return native_frame(frame, facts, syntax, location.bit_offset)
        return native_samples(frame, facts, syntax)


@dataclass(frozen=True, slots=True)
class TranscodedFrame:
    """A frame in another transfer syntax."""

    location: FrameLocation
    target: str

    def perform(self, reader: FrameReader) -> Result:
        location = self.location
        frame = reader.read(location)
        return transcode_frame(frame, location.facts, location.transfer_syntax_uid, self.target, location.bit_offset)


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame, or several as an animation, as people look at them."""

    locations: tuple[FrameLocation, ...]
    frame_indexes: tuple[int, ...]
    parameters: RenderParameters

    def perform(self, reader: FrameReader) -> Result:
        pictures = [
            self._draw(reader, location, frame_index)
            for location, frame_index in zip(self.locations, self.frame_indexes, strict=True)
        ]
        return animate(pictures) if len(pictures) > 1 else encode(pictures[0], self.parameters)

    def _draw(self, reader: FrameReader, location: FrameLocation, frame_index: int) -> Samples:
        presentation = Presentation.read(location.path, frame_index)
        syntax = (location.transfer_syntax_uid, location.bit_offset)
        return draw(reader.read(location), location.facts, syntax, (presentation, self.parameters))


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the program, named "package.module:function", that gives bytes."""

    name: str
    arguments: tuple[Any, ...]

    def perform(self, reader: FrameReader) -> Result:
        module, _, function = self.name.partition(":")
        called: Callable[..., object] = getattr(import_module(module), function)
        result = called(*self.arguments)
        if not isinstance(result, bytes):
            raise UnprocessableError("The work gave no bytes.")
        return result
