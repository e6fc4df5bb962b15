"""Read-ahead: who asks for decoded or drawn frames one after another finds the next ones made.

Nothing is foreseen for frames in their stored syntax (they are a read), nor for those who ask for a whole series at
once. What is made goes to the derived cache, at the lowest priority; what it shows is authorised when it is asked for.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from archive.errors import LightboxError
from archive.identifiers import InstanceUID
from archive.index.reader import find_study_overview
from archive.instances import FrameLayout, Instance
from archive.resources import DATABASE, KNOWN, STORE
from archive.scope import Scope
from auth.access import principal_of
from wado.pixels.source import FrameSource
from wado.sources import frame_source

FRAMES_AHEAD = 3
NEAR = 2
"""A step of so many frames still belongs to scrolling: requests overtake each other."""
MAXIMUM_FOLLOWED = 2_000
MAXIMUM_ORDERS = 16
MAXIMUM_LENGTH = 5_000
"""Longer series are not followed."""
ORDER_KEPT_S = 60.0

Ask = Callable[[FrameSource, int], None]


@dataclass(frozen=True, slots=True)
class Place:
    """What has just been asked for. `form` tells apart ways to show it: a transfer syntax, the name of a picture."""

    scope: Scope
    instance: Instance
    frame_index: int
    form: str


@dataclass(slots=True)
class Foresight:
    """Who is where in what. One for each process; looks ahead for one at a time."""

    _last: OrderedDict[tuple[str, str, str], int] = field(default_factory=OrderedDict)
    _orders: OrderedDict[tuple[Scope, str], tuple[float, Sequence[InstanceUID]]] = field(default_factory=OrderedDict)
    _looking: asyncio.Task[None] | None = None

    def note(self, request: web.Request, place: Place, ask: Ask) -> None:
        """Someone was given a frame; `ask` tells the pool of one that they will want."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(request, place, ask))

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self, request: web.Request, place: Place, ask: Ask) -> None:
        with contextlib.suppress(LightboxError):  # nobody waits for this; whoever asks for the frame is told
            instance = place.instance
            if instance.frames.count > 1:
                step = self._step(request, place, instance.instance_uid, place.frame_index)
                if step:
                    source = await frame_source(request.app[STORE], instance)
                    for index in _following(place.frame_index, step, instance.frames.count):
                        ask(source, index)
                return
            order = await self._order(request, place)
            if instance.instance_uid not in order:
                return
            position = order.index(instance.instance_uid)
            step = self._step(request, place, instance.series_uid, position)
            for index in _following(position, step, len(order)) if step else ():
                await _ask_for_only_frame(request, place, order[index], ask)

    def _step(self, request: web.Request, place: Place, sequence: str, position: int) -> int:
        """1 or -1 where this place follows the last one of the same client; 0 where they do not scroll."""
        key = (principal_of(request).label, place.form, sequence)
        last = self._last.pop(key, None)
        self._last[key] = position
        if len(self._last) > MAXIMUM_FOLLOWED:
            self._last.popitem(last=False)
        moved = 0 if last is None else position - last
        return 0 if abs(moved) > NEAR else (moved > 0) - (moved < 0)

    async def _order(self, request: web.Request, place: Place) -> Sequence[InstanceUID]:
        """The instances of the series in the order in which viewers show them."""
        key, now_s = (place.scope, place.instance.series_uid), asyncio.get_running_loop().time()
        kept = self._orders.get(key)
        if kept is not None and now_s < kept[0]:
            return kept[1]
        study = await request.app[DATABASE].read(
            lambda connection: find_study_overview(place.scope, connection, place.instance.study_uid)
        )
        uids: Sequence[InstanceUID] = ()
        for series in study.series if study is not None else ():
            if series.series_uid == place.instance.series_uid and len(series.instances) <= MAXIMUM_LENGTH:
                uids = [one.instance_uid for one in series.instances]
        self._orders[key] = (now_s + ORDER_KEPT_S, uids)
        if len(self._orders) > MAXIMUM_ORDERS:
            self._orders.popitem(last=False)
        return uids


FORESIGHT: web.AppKey[Foresight] = web.AppKey("FORESIGHT", Foresight)


def _following(position: int, step: int, count: int) -> Sequence[int]:
    return [index for index in (position + step * (1 + ahead) for ahead in range(FRAMES_AHEAD)) if 0 <= index < count]


async def _ask_for_only_frame(request: web.Request, place: Place, uid: InstanceUID, ask: Ask) -> None:
    study_uid, series_uid = place.instance.study_uid, place.instance.series_uid
    instance = await request.app[KNOWN].find_instance(place.scope, study_uid, series_uid, uid)
    if instance is not None and instance.frames.layout not in (FrameLayout.NONE, FrameLayout.WHOLE):
        ask(await frame_source(request.app[STORE], instance), 0)
