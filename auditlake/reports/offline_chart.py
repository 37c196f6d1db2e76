"""An Altair chart that draws itself here, as SVG, where Altair's own way would load scripts from the network.

No setting of Altair is changed: where the user has chosen a renderer, that one shows the chart.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import vl_convert


class OfflineChart(alt.LayerChart):
    """A chart of layers that needs no network to be shown."""

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> Any:
        """Return the picture, or what the renderer that the user chose makes of the chart."""
        if alt.renderers.active != "default":
            return super()._repr_mimebundle_(*args, **kwargs)
        spec = self.to_dict(context={"pre_transform": False})
        return {"image/svg+xml": vl_convert.vegalite_to_svg(spec), "text/plain": "a chart"}
