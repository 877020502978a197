"""Active objects become labels, labels become active objects again, and commits are undone."""

from __future__ import annotations

from functools import partial
from typing import Any

from napari.layers import Labels
from napari.utils.notifications import show_error, show_warning

from napari_edgeflow.gui.commit import Change, CommitOrder, check_target, plan_commit
from napari_edgeflow.gui.engine import LabelToCorrect
from napari_edgeflow.gui.messages import Messages, in_words
from napari_edgeflow.gui.objects import ActiveObject, Binding
from napari_edgeflow.gui.planes import layer_shape
from napari_edgeflow.gui.runner import Runner
from napari_edgeflow.gui.target import Commit, LabelTarget

NOTHING_TO_CORRECT = "Choose the image and the Labels layer of the object first."


class Committer:
    """Writes active objects to the target and takes them back.

    Args:
        viewer: The napari viewer.
        target: The Labels layer that objects go to.
        runner: Asks for masks.
        messages: Where to say what happened.
    """

    def __init__(
        self, viewer: Any, target: LabelTarget, runner: Runner, messages: Messages
    ) -> None:
        self.may_overwrite = False
        self._viewer = viewer
        self._target = target
        self._runner = runner
        self._messages = messages

    def finish(self, binding: Binding, active: ActiveObject) -> None:
        """Commit the object now, or as soon as its mask is there."""
        active.is_finishing = True
        if active.is_pending:
            return
        if active.predicted_clicks == binding.log.on_plane(active.plane):
            self.commit(binding, active)
        else:
            self._runner.request(binding, active)

    def commit(self, binding: Binding, active: ActiveObject) -> None:
        """Write the mask that the object has."""
        try:
            if active.prediction is None:
                raise ValueError("expected a mask to commit, got none; click on the object first")
            layer = self._target.ensure(binding.image, active.plane)
        except ValueError as error:
            self._on_failed(active, error)
            return
        label = active.to_correct.label if active.to_correct else None
        order = CommitOrder(layer.data, active.plane, active.prediction, label, self.may_overwrite)
        self._runner.worker.submit(
            ("commit", active.id),
            lambda _stop: plan_commit(order),
            partial(self._on_planned, binding, active, layer),
            partial(self._on_failed, active),
        )

    def _on_planned(
        self, binding: Binding, active: ActiveObject, layer: Labels, change: Change
    ) -> None:
        if layer not in self._viewer.layers:
            gone = ValueError(f"{layer.name} was deleted before the object was written; try again")
            self._on_failed(active, gone)
            return
        self._target.write(layer, change, binding.log.on_plane(active.plane), active)
        waiting = list(active.waiting)
        active.stop()
        binding.forget(active)
        lost = f"; {change.lost_px} px stayed with its neighbours" if change.lost_px else ""
        text = f"Object {change.label} written to {layer.name}{lost}."
        self._messages.status = text
        for position, kind in waiting:
            binding.clicks.add(kind, position)
        self._messages.on_change()

    def _on_failed(self, active: ActiveObject, error: Exception) -> None:
        self._messages.say(f"Not committed: {in_words(error)}{active.stop()}", show_error)

    def correct(self, binding: Binding, label: int) -> None:
        """Make the object with this id in the target layer the active one."""
        plane, layer = binding.shown_plane, self._target.layer
        if plane is None or layer is None:
            reason = NOTHING_TO_CORRECT
        elif label < 1:
            reason = "Pick the label of the object in the Labels layer first."
        elif plane in binding.objects:
            reason = "Finish or reset the active object first."
        else:
            try:
                check_target(layer, layer_shape(binding.image))
            except ValueError as error:
                self._messages.say(str(error), show_error)
                return
            binding.log.drop(plane)
            to_correct = LabelToCorrect(layer.data[plane.slicer], label)
            self._runner.request(binding, self._runner.start(binding, plane, to_correct))
            return
        self._messages.say(reason, show_warning)

    def undo(self, binding: Binding | None) -> None:
        """Take the last commit back; its clicks return when this image is bound."""
        commit = self._target.undo()
        if commit is None:
            gone = "The layer of the last commit is gone: nothing to take back."
            self._messages.say(gone, show_warning)
            return
        self._messages.status = f"Took back object {commit.change.label}."
        is_same = binding is not None and layer_shape(binding.image) == commit.layer.data.shape
        if binding is not None and is_same:
            self._bring_back(binding, commit)

    def _bring_back(self, binding: Binding, commit: Commit) -> None:
        """Go on clicking where the commit ended, unless another object is active there."""
        plane = commit.active.plane
        if plane in binding.objects or not commit.clicks:
            return
        binding.objects[plane] = commit.active
        binding.last_plane = plane
        binding.log.put(plane, commit.clicks)
        binding.clicks.ensure()
        binding.show_preview()
