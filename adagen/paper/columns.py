"""The columns of every table: name, rounding, heading and format.

A new metric is a line here in each table that shows it; tables, CSV files and LaTeX follow.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from adagen.paper.names import METHOD_NAMES, escape

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: name in the data frame and the CSV file.
        decimals: digits after the point in the CSV file; None writes the value as it is.
        latex: heading in LaTeX; a column without one is in the CSV file alone.
        spec: format of a number in LaTeX, such as ".3f"; "" for text and counts.
        digits: significant digits in the CSV file, in place of `decimals`.
        score: whether it is a metric, which metrics files hold for every sampling seed.
        optional: whether tables without any value of it have no such column.
        text: writes the cell in LaTeX from the whole row, where the value alone doesn't say it.
            The column is then the first one in LaTeX, the label of its row.
    """

    name: str
    decimals: int | None = None
    latex: str = ""
    spec: str = ""
    digits: int | None = None
    score: bool = False
    optional: bool = False
    text: "Callable[[pd.Series], str] | None" = None

    @property
    def is_number(self) -> bool:
        """True if its cells are numbers, or empty."""
        rounded = self.decimals is not None or self.digits is not None
        return rounded or bool(self.spec) or self.name in ("steps", "n", "k")


def names(columns: Iterable[Column]) -> list[str]:
    """Names of the columns that a table always has."""
    return [column.name for column in columns if not column.optional]


def scores(columns: Iterable[Column]) -> list[str]:
    """Names of those columns that are metrics."""
    return [column.name for column in columns if column.score]


def _score(name: str, latex: str = "", spec: str = ".3f") -> Column:
    return Column(name, 4, latex, spec, score=True)


def _texts(*names: str) -> tuple[Column, ...]:
    """Columns that describe a row, in the CSV file alone."""
    return tuple(map(Column, names))


def _errors(name: str) -> Column:
    return Column(f"{name}_se", 4)


# Metrics. A standard error, in a table that has one, stands in LaTeX beside its metric.
FD = _score("fid", r"FD $\downarrow$")
LABEL_FREE = _score("fid_label_free", r"label-free FD $\downarrow$")
SPATIAL = replace(_score("sfid", r"sFID $\downarrow$", ".2f"), optional=True)
CLIP_SCORE = replace(_score("clip_score", r"CLIP $\uparrow$", ".2f"), optional=True)
INCEPTION_SCORE = _score("inception_score", r"IS $\uparrow$", ".2f")
PRECISION = _score("precision", r"Prec.\ $\uparrow$")
RECALL = _score("recall", r"Rec.\ $\uparrow$")
QUALITY = (FD, _errors("fid"), LABEL_FREE, PRECISION, RECALL)

COMPARED = (FD, LABEL_FREE, PRECISION, RECALL)
"""The metrics by which methods are compared in pairs."""
DISTANCES = (FD.name, LABEL_FREE.name)

# Cost. Timing repeats to a few per cent at best, and toy networks cost a thousandth of a GFLOP.
NFE = Column("nfe", latex="NFE", spec="g", digits=6)
GFLOPS = Column("gflops_per_image", latex="GFLOPs", spec=".3g", digits=4)
TFLOPS = Column("tflops_per_image", latex="TFLOPs", spec=".3g", digits=4, optional=True)

STEPS = Column("steps", latex="$T$")


def _method(row: "pd.Series") -> str:
    """Name of a row's method in print, with its refinement, or with a count of training seeds."""
    method, _, refinement = row["method"].partition("+")
    seeds = row.get("seeds", 0)
    refined = f" + {escape(refinement)}" if refinement else ""
    return METHOD_NAMES[method] + refined + (f" ({seeds} seeds)" if seeds else "")


METHOD = Column("method", latex="Method", text=_method)


def _rival(row: "pd.Series") -> str:
    """Name of a row's rival and method in print."""
    rival = f"{escape(row['rival'])}, " if row["rival"] else ""
    seeds = row["training_seeds"]
    return rival + METHOD_NAMES[row["method"]] + (f" ({seeds} seeds)" if seeds > 1 else "")


_QUALITY_AND_COST = (
    LABEL_FREE,
    _errors("fid_label_free"),
    SPATIAL,
    INCEPTION_SCORE,
    CLIP_SCORE,
    PRECISION,
    RECALL,
    _score("memorisation_gap"),
    NFE,
    GFLOPS,
    Column("images_per_second", digits=2),
)
"""They follow the primary distance in a table of whole runs."""

FID_COLUMNS = (
    *_texts("experiment", "paradigm", "dataset", "steps"),
    METHOD,
    Column("training_seed"),
    FD,
    _errors("fid"),
    Column("diff_handmade", 4, r"$\Delta$ hand-made", ".3f"),
    _errors("diff_handmade"),
    Column("diff_tuned", 4, r"$\Delta$ tuned", ".3f"),
    _errors("diff_tuned"),
    *_QUALITY_AND_COST,
    Column("drawn_images", digits=9, optional=True),
    Column("protocol"),
)

SYSTEM_COLUMNS = (
    Column(
        "model",
        latex="System",
        text=lambda row: f"{escape(row['model'])}, {METHOD_NAMES[row['method']]}",
    ),
    *_texts("experiment", "paradigm", "dataset"),
    STEPS,
    *_texts("method", "training_seeds"),
    GFLOPS,
    TFLOPS,
    FD,
    _errors("fid"),
    INCEPTION_SCORE,
    Column("protocol"),
    Column("paper_fid", latex=r"\textit{published} FID", spec="g"),
    Column("paper_is", latex=r"\textit{published} IS", spec="g"),
    Column("paper_tflops", latex=r"\textit{published} TFLOPs", spec="g"),
    *_texts("paper_source", "paper_meant"),
)

COMPARISON_COLUMNS = (
    *_texts("experiment", "paradigm", "steps", "method", "against", "score"),
    *(Column(name, 4) for name in ("difference", "relative", "se", "low", "high")),
    Column("over"),
    Column("generator_seeds", optional=True),
    *_texts("training_seeds", "sampling_seeds", "protocol"),
)
"""In LaTeX this table has a layout of its own: a row for each pair, a column for each metric."""

REFINEMENT_COLUMNS = (
    *_texts("experiment", "paradigm", "steps"),
    METHOD,
    Column("n", latex="$N$"),
    Column("k", latex="$K$"),
    *QUALITY,
    NFE,
    GFLOPS,
    Column("kind"),
    Column("equal_compute", latex="equal compute"),
    Column("protocol"),
)

STEPS_COLUMNS = (
    *_texts("experiment", "paradigm"),
    STEPS,
    METHOD,
    FD,
    _errors("fid"),
    LABEL_FREE,
    INCEPTION_SCORE,
    _errors(INCEPTION_SCORE.name),
    PRECISION,
    RECALL,
    NFE,
    GFLOPS,
    Column("seconds_per_image", latex="seconds", spec=".2g", digits=2),
    Column("protocol"),
)

STOPPING_COLUMNS = (
    *_texts("experiment", "paradigm"),
    STEPS,
    METHOD,
    Column("price", latex="price", spec="g", digits=6),
    *_texts("training_seeds", "sampling_seeds"),
    FD,
    _errors("fid"),
    Column("fid_low", 4),
    Column("fid_high", 4),
    LABEL_FREE,
    PRECISION,
    RECALL,
    NFE,
    GFLOPS,
    Column("stopped"),
    Column("protocol"),
)

_OPINIONS = (
    Column("preference", 4, r"preference $\uparrow$", ".3f"),
    Column("reward", 4, r"reward $\uparrow$", ".2f"),
)
FIDELITY_COLUMNS = (
    *_texts("experiment", "paradigm", "steps"),
    Column("fidelity", latex=r"$\lambda$", spec="g"),
    Column("training_seeds"),
    *QUALITY,
    *_OPINIONS,
    Column("protocol"),
)
GUIDANCE_COLUMNS = (
    *_texts("experiment", "paradigm", "steps"),
    Column("guidance", latex="$w$", spec="g"),
    *_texts("derived", "training_seeds"),
    *QUALITY,
    *_OPINIONS,
    Column("protocol"),
)

ABLATION_COLUMNS = (
    Column("study"),
    Column("variant", latex="Variant"),
    Column("experiment"),
    STEPS,
    *_texts("method", "training_seeds", "sampling_seeds"),
    FD,
    _errors("fid"),
    Column("diff", 4, r"$\Delta$ (95 \%)", "+.3f"),
    Column("diff_low", 4),
    Column("diff_high", 4),
    LABEL_FREE,
    _errors("fid_label_free"),
    PRECISION,
    RECALL,
    Column("protocol"),
)

RIVAL_COLUMNS = (
    *_texts("experiment", "paradigm", "dataset", "steps", "rival"),
    Column("method", latex="Rival", text=_rival),
    *_texts("derived", "training_seeds", "sampling_seeds"),
    FD,
    _errors("fid"),
    *(Column(f"fid_{end}", 4) for end in ("low", "high")),
    *(
        Column(f"diff_{method}{end}", 4, *latex)
        for method, name in (("handmade", "hand-made"), ("tuned", "tuned"))
        for end, latex in (
            ("", (rf"$\Delta$ {name} (95 \%)", "+.3f")),
            ("_low", ()),
            ("_high", ()),
        )
    ),
    *_QUALITY_AND_COST,
    Column("drawn_images", latex="images drawn", spec=",.0f", digits=9),
    Column("protocol"),
)
