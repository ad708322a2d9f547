"""What is proved: verdicts on statements, and certificates that anybody can check again.

`certify` makes a certificate for a candidate, `verify` proves its statement again with formulas
of its own; `certify_interval` and `verify_interval` do so for all real sizes in an interval. This
room does not know how a candidate was found.
"""

from shallows.certify.certificate import Certificate, EigenvalueEnclosure
from shallows.certify.interval import IntervalCertificate, certify_interval
from shallows.certify.prove import certify
from shallows.certify.threshold import ThresholdEnclosure, certify_threshold
from shallows.certify.verdict import Verdict
from shallows.certify.verify import Check, verify
from shallows.certify.verify_interval import verify_interval

__all__ = [
    "Certificate",
    "Check",
    "EigenvalueEnclosure",
    "IntervalCertificate",
    "ThresholdEnclosure",
    "Verdict",
    "certify",
    "certify_interval",
    "certify_threshold",
    "verify",
    "verify_interval",
]
