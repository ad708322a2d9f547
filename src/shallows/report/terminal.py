"""A census as a table in the terminal, at most 100 columns wide."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from shallows.atlas.catalogue import Census
from shallows.report import sizes
from shallows.report.scales import shortened
from shallows.report.shares import Share, percent
from shallows.report.words import (
    answer_sentence,
    duration,
    global_share,
    scientific,
    significant,
    size_title,
)


def families_table(census: Census) -> Table:
    """The families, most frequent first; the caption is the answer in one sentence.

    **Convention.** Shares of all starts, settled or not, with 95 % Wilson intervals. Names and
    groups are folded where they are long, and cut after 40 characters.
    """
    size = size_title(census.question)
    table = _table(f"Critical points found{f' ({size})' if size else ''}", answer_sentence(census))
    table.add_column("name", overflow="fold")
    table.add_column("isotropy", overflow="fold")
    for heading in ("flipped", "count", "share (%)", "loss", "smallest\neigenvalue"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    for family in census.families:
        share = Share(family.count, census.starts)
        # `Text`, because rich reads square brackets in a plain string as markup.
        cells = [
            shortened(family.name, 40),
            shortened(family.isotropy, 40),
            str(family.flipped),
            str(family.count),
            str(share).replace(" %", ""),
            significant(family.loss),
            significant(family.smallest_eigenvalue, 6).replace("not computed", "–"),
            family.kind.value,
        ]
        table.add_row(*map(Text, cells))
    return table


def proofs_table(census: Census) -> Table:
    """What was proved of each family, and below why nothing was where that is so."""
    open_ = [
        f"{shortened(family.name, 40)}: {family.proof.statement}"
        for family in census.families
        if family.proof is not None and family.proof.words == "nothing"
    ]
    table = _table("Proofs", "\n".join(open_) or None)
    table.add_column("name", overflow="fold")
    for heading in ("verdict", "proved to be", "loss between", "and"):
        table.add_column(heading, no_wrap=True)
    for family in census.families:
        proof = family.proof
        if proof is None:
            continue
        loss = proof.loss or ("–", "–")
        cells = [shortened(family.name, 40), proof.verdict.value, proof.words, *loss]
        table.add_row(*map(Text, cells))
    return table


def sizes_table(censuses: Sequence[Census]) -> Table:
    """One row per number of student neurons: what was found there, and how well it settled."""
    found = sizes.ordered(censuses)
    table = _table("Critical points found, size by size", None)
    for heading in ("k", "starts", "settled", "families", "global (%)", "mean flipped"):
        table.add_column(heading, justify="right")
    table.add_column("worst gradient", justify="right")
    table.add_column("time", justify="right")
    for census in found:
        mean, _ = sizes.mean_flipped(census)
        low, high = global_share(census).interval
        cells = [
            str(sizes.neurons(census)),
            str(census.starts),
            str(census.settled),
            str(len(census.families)),
            f"{percent(global_share(census).fraction)} [{percent(low)}, {percent(high)}]",
            f"{mean:.3f}" if census.families else "–",
            scientific(sizes.worst_gradient(census)) if census.families else "–",
            duration(census.seconds),
        ]
        table.add_row(*map(Text, cells))
    return table


def _table(title: str, caption: str | None) -> Table:
    return Table(
        title=Text(title, style="bold"),
        caption=None if caption is None else Text(caption),
        caption_justify="left",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
