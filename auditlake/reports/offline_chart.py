"""Altair charts that draw themselves here, as SVG, where Altair's own way would load scripts from the network.

Whoever has chosen a renderer of Altair gets that one: no setting of Altair is changed.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import vl_convert


class _Offline:
    """Base of such charts; two of them, side by side or one above the other, are one again."""

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> Any:
        """Return the picture, or what the renderer that the user chose makes of the chart."""
        if alt.renderers.active != "default":
            return super()._repr_mimebundle_(*args, **kwargs)  # type: ignore[misc]
        spec: dict[str, Any] = self.to_dict(context={"pre_transform": False})  # type: ignore[attr-defined]
        return {"image/svg+xml": vl_convert.vegalite_to_svg(spec), "text/plain": "a chart"}

    def __or__(self, other: Any) -> Any:
        return _Row(hconcat=[self, other])  # type: ignore[list-item]

    def __and__(self, other: Any) -> Any:
        return _Column(vconcat=[self, other])  # type: ignore[list-item]


class OfflineChart(_Offline, alt.LayerChart):
    """A chart of layers."""


class _Row(_Offline, alt.HConcatChart):
    """Charts side by side."""


class _Column(_Offline, alt.VConcatChart):
    """Charts one above the other."""
