"""What is proved: verdicts on statements, and certificates that anybody can check again.

`certify` makes a certificate for a candidate, `verify` proves its statement again with formulas
of its own; `certify_interval` and `verify_interval` do so for all real sizes in an interval. This
room does not know how a candidate was found.
"""

from shallows.certify.certificate import Certificate, EigenvalueEnclosure
from shallows.certify.convex import LeastLoss, certify_convex
from shallows.certify.flip_bounds import (
    Euclidean,
    FlipOutcome,
    Maximum,
    SmallestFlip,
    smallest_flip,
)
from shallows.certify.gram import LeastEigenvalue, least_eigenvalue
from shallows.certify.infinity import InfinityCertificate, certify_infinity
from shallows.certify.injective import (
    Injectivity,
    have_equal_outputs,
    is_convolution_injective,
    is_injective,
    is_network_injective,
)
from shallows.certify.interval import IntervalCertificate, certify_interval
from shallows.certify.point import PointCertificate, certify_point
from shallows.certify.prove import certify
from shallows.certify.splitting import SplittingCertificate, certify_splitting
from shallows.certify.threshold import ThresholdEnclosure, certify_threshold
from shallows.certify.verdict import Verdict
from shallows.certify.verify import Check, verify
from shallows.certify.verify_infinity import verify_infinity
from shallows.certify.verify_interval import verify_interval
from shallows.certify.verify_point import verify_point
from shallows.certify.verify_splitting import verify_splitting
from shallows.certify.verify_threshold import verify_threshold

__all__ = [
    "Certificate",
    "Check",
    "EigenvalueEnclosure",
    "Euclidean",
    "FlipOutcome",
    "InfinityCertificate",
    "Injectivity",
    "IntervalCertificate",
    "LeastEigenvalue",
    "LeastLoss",
    "Maximum",
    "PointCertificate",
    "SmallestFlip",
    "SplittingCertificate",
    "ThresholdEnclosure",
    "Verdict",
    "certify",
    "certify_convex",
    "certify_infinity",
    "certify_interval",
    "certify_point",
    "certify_splitting",
    "certify_threshold",
    "have_equal_outputs",
    "is_convolution_injective",
    "is_injective",
    "is_network_injective",
    "least_eigenvalue",
    "smallest_flip",
    "verify",
    "verify_infinity",
    "verify_interval",
    "verify_point",
    "verify_splitting",
    "verify_threshold",
]
