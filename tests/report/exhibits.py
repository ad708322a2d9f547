"""Papers as they are shown, made up: one that was measured and one that was not."""

from shallows.certify.verdict import Verdict
from shallows.report import (
    Exhibit,
    ExhibitedClaim,
    ExhibitedFigure,
    Panel,
    Series,
    bibliography,
    panel_figure,
)


def two_exhibits() -> list[Exhibit]:
    """Every verdict there is, and a claim with characters that HTML reserves."""
    claims = [
        ExhibitedClaim(
            f"claim-{verdict.value.lower()}",
            f"That 1 < 2 & {verdict.value} is a word.",
            "tian2017, Lemma 1",
            verdict is not Verdict.PROVED,
            verdict,
            {"summary": f"Found <{verdict.value}>.", "numbers": [1.0]},
        )
        for verdict in Verdict
    ]
    figure = panel_figure([Panel("a panel", "k", "loss", (Series("II", [1, 2], [3, 4]),))])
    first = Exhibit(
        key="tian-2017",
        title="An Analytical Formula",
        reference=bibliography()["tian2017"],
        scale="smoke",
        claims=tuple(claims),
        figures=(ExhibitedFigure("Dots lie on a line.", (claims[0].id,), figure),),
        provenance={"seconds": 1.25, "precision": ["float64"], "seeds": [0, 1]},
        kept={"smoke": (2, 2), "desk": (2, 9)},
        command="shallows run tian-2017 --scale smoke",
    )
    bare = ExhibitedClaim("law", "A law.", "lutherseung2019, abstract", True, None, None)
    second = Exhibit(
        key="luther-seung-2019",
        title="Sample Variance Decay",
        reference=bibliography()["lutherseung2019"],
        scale=None,
        claims=(bare,),
        figures=(),
        provenance={},
        kept={"smoke": (0, 5)},
        command="shallows run luther-seung-2019 --scale smoke",
    )
    return [first, second]
