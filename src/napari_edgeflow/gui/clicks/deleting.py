"""What the delete key does: the last click of the object being clicked, else selected objects."""

from __future__ import annotations

from napari.utils.notifications import show_info

from napari_edgeflow.annotation.commands import delete_objects
from napari_edgeflow.gui.clicks.objects import ActiveObject, Binding
from napari_edgeflow.gui.controller import Controller


def delete(controller: Controller) -> None:
    """Take the last click away; with no object being clicked delete the selected objects.

    A finished object is never deleted while another is being clicked, so that one press too
    many costs nothing. Both are steps that undo takes back.
    """
    binding, active, project = controller.binding, controller.active, controller.project
    ids = controller.selected_ids
    if binding is not None and active is not None:
        if not active.is_finishing:
            _delete_last_click(binding, active)
    elif project is not None and ids:
        project.do(lambda state, store: delete_objects(state, store, ids))
    else:
        show_info("There is nothing to delete: click on an object, or select finished ones.")


def _delete_last_click(binding: Binding, active: ActiveObject) -> None:
    clicks = binding.log.on_plane(active.plane)
    if not clicks:
        show_info("This object has no clicks left; Esc leaves it as it was.")
        return
    binding.clicks.remove(clicks[-1])
