"""A style for QGIS: one colour for each class, see-through, with an outline."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree

_DOCTYPE = b"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
_POLYGONS = "2"  # by QGIS's numbers of kinds of geometry: it refuses a style for another kind


def qgis_style(colours: Mapping[str, tuple[int, int, int]], attribute: str = "class") -> bytes:
    """A QML document that QGIS (3.16 and later) finds beside a layer of the same name.

    Args:
        colours: Red, green, blue of each class name, each 0…255.
        attribute: The column that holds the class names.
    """
    root = ElementTree.Element("qgis", version="3.16.0", styleCategories="Symbology")
    renderer = ElementTree.SubElement(
        root,
        "renderer-v2",
        {"type": "categorizedSymbol", "attr": attribute, "enableorderby": "0", "forceraster": "0"},
    )
    categories = ElementTree.SubElement(renderer, "categories")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for number, (name, colour) in enumerate(colours.items()):
        ElementTree.SubElement(
            categories,
            "category",
            {"value": name, "label": name, "symbol": str(number), "render": "true"},
        )
        _add_symbol(symbols, str(number), colour)
    ElementTree.SubElement(root, "layerGeometryType").text = _POLYGONS
    document: bytes = ElementTree.tostring(root, encoding="utf-8")
    return _DOCTYPE + document


def _add_symbol(symbols: ElementTree.Element, name: str, colour: tuple[int, int, int]) -> None:
    symbol = ElementTree.SubElement(
        symbols, "symbol", {"type": "fill", "name": name, "alpha": "1", "clip_to_extent": "1"}
    )
    layer = ElementTree.SubElement(
        symbol, "layer", {"class": "SimpleFill", "enabled": "1", "pass": "0", "locked": "0"}
    )
    red, green, blue = colour
    values = {
        "color": f"{red},{green},{blue},102",
        "outline_color": f"{red},{green},{blue},255",
        "outline_width": "0.4",
        "outline_width_unit": "MM",
        "outline_style": "solid",
        "style": "solid",
    }
    options = ElementTree.SubElement(layer, "Option", {"type": "Map"})
    for key, value in values.items():
        ElementTree.SubElement(options, "Option", {"name": key, "type": "QString", "value": value})
    for key, value in values.items():  # before QGIS 3.26
        ElementTree.SubElement(layer, "prop", {"k": key, "v": value})
