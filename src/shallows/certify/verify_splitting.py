"""Check a certificate about split neurons again: the point, and the Hessian's block at a neuron.

Why these two are enough is in `shallows.certify.splitting`; formulas are those of
`shallows.certify.verify`, and nothing that made the certificate is called.
"""

import flint

from shallows.certify._balls import between
from shallows.certify.splitting import Separation, SplittingCertificate
from shallows.certify.verdict import Verdict
from shallows.certify.verify import Check, FailedError, Space, check_descent, verify


def verify_splitting(certificate: SplittingCertificate) -> Check:
    """Prove the statement of a certificate again, or say what cannot be proved.

    **Accuracy.** Rigorous: ball arithmetic throughout. **Cost.** About 0.1 s, whatever the sizes.
    """
    core = verify(certificate.core)
    if core.verdict is not Verdict.PROVED:
        return core
    if not certificate.separations:
        return Check(Verdict.UNDECIDED, "It does not claim to be a proof.")
    try:
        with flint.ctx.workprec(certificate.core.bits):
            for separation in certificate.separations:
                _check(certificate, separation)
    except (FailedError, ArithmeticError, ValueError) as failure:
        return Check(Verdict.UNDECIDED, str(failure))
    return Check(Verdict.PROVED, "")


def _check(certificate: SplittingCertificate, separation: Separation) -> None:
    core, row, epsilon = certificate.core, separation.row, separation.descent
    if not 0 <= row < len(core.rows):
        raise FailedError(f"There is no block {row} of neurons.")
    size = int(core.sizes[core.rows[row]])
    # Of the block's neurons one alone moves: it is fixed by itself, or has no like.
    places = {(e.row, e.place) for e in epsilon.entries}
    if len(places) != 1 or not all(r == row and (place > 0 or size == 1) for r, place in places):
        raise FailedError(f"The direction for block {row} does not move one neuron of it.")
    space = Space([int(n) for n in core.sizes], core.rows, core.columns)
    # The critical point is in the box: what holds on all of it holds there.
    box = [between(*pair) for pair in core.weights]
    check_descent(space, box, epsilon, less="0.5")
