"""The second family of drawings: other layouts, fonts, colours, topics, wordings; no model trains on it.

The types have the same names as in the first family, so that scores by type can be compared.
"""

from __future__ import annotations

from typing import Any

from alignbench.datasets.synthetic.kind import Kind
from alignbench.datasets.synthetic.other.charts import describe_chart, imagine_chart, paint_chart
from alignbench.datasets.synthetic.other.documents import describe_document, imagine_document, paint_document
from alignbench.datasets.synthetic.other.tables import describe_table, imagine_table, paint_table

OTHER: dict[str, Kind[Any]] = {
    "chart": Kind(imagine_chart, paint_chart, describe_chart),
    "table": Kind(imagine_table, paint_table, describe_table),
    "document": Kind(imagine_document, paint_document, describe_document),
}

__all__ = ["OTHER"]
