"""All groups of a process: which there are, and which lanes each of them may send over.

Lanes that turn out to be one account are merged, and taken apart again where that was a mistake; keys come and go.
After each of these the groups are given their lanes anew.
"""

from __future__ import annotations

from collections.abc import Callable

from workbench.core.errors import MissingKey
from workbench.engine.admission import Ticket
from workbench.engine.lane import Lane
from workbench.engine.lane_board import LaneBoard
from workbench.engine.lane_group import Group, GroupName, Slots
from workbench.engine.lane_twins import TwinWatch


class GroupBoard:
    """`family` names a request's family of models, `slots` the cap of its provider over all processes."""

    def __init__(self, lanes: LaneBoard, family: Callable[[Ticket], str], slots: Callable[[str], Slots | None]) -> None:
        self.groups: dict[GroupName, Group] = {}
        self._lanes = lanes
        self._family = family
        self._slots = slots
        self.by_lane: dict[Lane, list[Group]] = {}
        """The groups that send over a lane."""
        self._twins: dict[tuple[str, ...], TwinWatch] = {}

    def of(self, ticket: Ticket) -> Group:
        """Where this request queues. Raises MissingKey if there is no key for it."""
        name = (ticket.route.provider, ticket.route.base_url, self._family(ticket))
        group = self.groups.get(name)
        if group is None:
            lanes = self._lanes.lanes_for(ticket.spec, ticket.route.base_url, name[2])
            group = self.groups[name] = Group(name, ticket.spec, [], self._slots(ticket.route.provider))
            self._serve(group, lanes)
        return group

    def look_for_twins(self, group: Group, now_s: float) -> None:
        """Merge lanes that turn out to be one account, and take apart what was merged by mistake."""
        place = group.name[:2]
        watch = self._twins.get(place)
        if watch is None:
            watch = self._twins[place] = TwinWatch()
        if not watch.due(now_s):
            return
        twins, overmerged = watch.look([lane for name, lane in self._lanes if name[:2] == place], now_s)
        if twins:
            self._lanes.merge(twins, "as what remains after each answer shows", now_s)
        elif overmerged is not None:
            watch.keep_apart(self._lanes.split(overmerged, "more remains than one account could leave", now_s))
        else:
            return
        for served in self.groups.values():
            self._serve(served, self._lanes.lanes_for(served.spec, served.name[1], served.name[2]))

    def reload_keys(self) -> None:
        """New keys get lanes; what was served by keys that are gone is left without."""
        for group in self.groups.values():
            try:
                lanes = self._lanes.lanes_for(group.spec, group.name[1], group.name[2])
            except MissingKey:
                lanes = []
            self._serve(group, lanes)

    def _serve(self, group: Group, lanes: list[Lane]) -> None:
        group.lanes = lanes
        for lane in lanes:
            served = self.by_lane.setdefault(lane, [])
            if group not in served:
                served.append(group)
