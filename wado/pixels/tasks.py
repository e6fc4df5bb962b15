"""What a worker process can be asked for, as plain data, and doing it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, Self

from archive.errors import UnprocessableError
from archive.operations.heap import give_back
from wado.pixels.decode import Samples
from wado.pixels.drawing_attributes import PresentationReader
from wado.pixels.exact import exact_copy
from wado.pixels.parameters import RenderParameters
from wado.pixels.pictures import encode_animation
from wado.pixels.render import CodedPicture, draw, render_frame
from wado.pixels.source import FrameLocation, FrameReader
from wado.pixels.syntaxes import NATIVE
from wado.pixels.transcode import native_frame, native_samples, transcode_frame

Result = bytes | Samples
"""What a task gives: bytes, or samples whose bytes are taken in row order."""


class Tools:
    """What a worker keeps from one task to the next."""

    def __init__(self) -> None:
        self.frames = FrameReader()
        self.presentations = PresentationReader()

    def rest(self) -> None:
        """There was nothing to do for a while: let go of it, and of what the allocator holds."""
        self.frames = FrameReader()
        self.presentations = PresentationReader()
        give_back()


class Task(Protocol):
    """One piece of work. It is pickled on its way to the worker; what comes back is bytes only."""

    def perform(self, tools: Tools) -> Result: ...


@dataclass(frozen=True, slots=True)
class NativeFrame:
    """A frame as native little endian bytes."""

    location: FrameLocation

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        """As `Span`'s."""
        return type(self), (self.location,)

    def perform(self, tools: Tools) -> Result:
        location = self.location
        frame = tools.frames.read(location)
        facts, syntax = location.facts, location.transfer_syntax_uid
        if syntax in NATIVE or facts.bits_allocated == 1:
            return native_frame(frame, facts, syntax, location.bit_offset)
        return native_samples(frame, facts, syntax)


@dataclass(frozen=True, slots=True)
class TranscodedFrame:
    """A frame in another transfer syntax."""

    location: FrameLocation
    target: str

    def perform(self, tools: Tools) -> Result:
        location = self.location
        frame = tools.frames.read(location)
        return transcode_frame(frame, location.facts, location.transfer_syntax_uid, self.target, location.bit_offset)


@dataclass(frozen=True, slots=True)
class ExactCopy:
    """A frame as lossless HTJ2K that was decoded again and compared."""

    location: FrameLocation

    def perform(self, tools: Tools) -> Result:
        location = self.location
        frame = tools.frames.read(location)
        return exact_copy(frame, location.facts, location.transfer_syntax_uid, location.bit_offset)


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame, or several as an animation, as people look at them."""

    locations: tuple[FrameLocation, ...]
    frame_indexes: tuple[int, ...]
    parameters: RenderParameters
    state_path: str | None = None
    """File of the presentation state in which it is drawn."""

    def perform(self, tools: Tools) -> Result:
        if len(self.locations) == 1:
            return render_frame(self._coded(tools, 0), self.parameters)
        first = tools.presentations.read(self.locations[0].path, self.frame_indexes[0])
        pictures = (draw(self._coded(tools, place), self.parameters) for place in range(len(self.locations)))
        return encode_animation(pictures, first.frame_ms)

    def _coded(self, tools: Tools, place: int) -> CodedPicture:
        location = self.locations[place]
        presentation = tools.presentations.read(location.path, self.frame_indexes[place], self.state_path)
        frame = tools.frames.read(location)
        return CodedPicture(frame, location.facts, location.transfer_syntax_uid, location.bit_offset, presentation)


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the program, named "package.module:function", that gives bytes."""

    name: str
    arguments: tuple[Any, ...]

    def perform(self, tools: Tools) -> Result:
        module, _, function = self.name.partition(":")
        called: Callable[..., object] = getattr(import_module(module), function)
        result = called(*self.arguments)
        if not isinstance(result, bytes):
            raise UnprocessableError("The work gave no bytes.")
        return result
